from registries import other, registry
from the_command import dockless, isolated_directory, start

__all__ = ["dockless", "isolated_directory", "other", "registry", "start"]
