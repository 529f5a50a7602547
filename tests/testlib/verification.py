"""The problems that `verify_image` reports, as text."""

from dockless.errors import DocklessError
from dockless.transfer.verify import verify_image


def problems_of(location):
    """Returns the problems of an image, one per line, or the error if the image cannot be read."""
    try:
        return "\n".join(verify_image(str(location)).problems)
    except DocklessError as error:
        assert "\n" not in str(error)
        return str(error)
