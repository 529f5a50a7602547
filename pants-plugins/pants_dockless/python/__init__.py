"""The backend `pants_dockless.python`: layers of Python applications. It requires `pants.backend.python`."""
