"""`python -m dockless`."""

import sys

from dockless.cli import main

if __name__ == "__main__":
    sys.exit(main())
