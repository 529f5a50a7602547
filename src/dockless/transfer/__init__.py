"""From a source to a destination, wherever they are: registries, layouts, archives."""
