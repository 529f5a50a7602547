"""The options of the section `[dockless]` for the goal `run`."""

import os

from pants.option.option_types import ShellStrListOption, StrOption
from pants.util.strutil import softwrap

from dockless.errors import InvalidValueError

RUNTIMES = ("docker", "podman", "ctr")


class RuntimeOptions:
    """The options about the container runtime. A part of the subsystem."""

    runtime = StrOption(
        default="",
        help=softwrap(
            """
            The container runtime that the goal `run` uses: `docker`, `podman`, `ctr` (the command of containerd), or
            the path of one of these programs. By default, the first of them that is on PATH and works.
            """
        ),
    )
    run_args = ShellStrListOption(
        default=[],
        help=softwrap(
            """
            Arguments for the container runtime that the goal `run` uses, such as
            `--publish=127.0.0.1:8080:80 --env=DEBUG=1`. Arguments after `--` on the command line are those of the
            image's entrypoint. If Pants runs in a terminal, `--interactive --tty` are added.
            """
        ),
    )

    def check_runtime(self) -> None:
        """Raise InvalidValueError for a container runtime that is not supported."""
        if self.runtime and os.path.basename(self.runtime) not in RUNTIMES:
            raise InvalidValueError(
                f"option `[dockless].runtime`: {self.runtime!r:.100} is not supported",
                hint=f"write {', '.join(RUNTIMES)} or the path of one of them",
            )
