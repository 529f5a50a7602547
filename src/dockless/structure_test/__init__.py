"""Structure tests of images: checks of the config and of the files in the layers, without a container."""
