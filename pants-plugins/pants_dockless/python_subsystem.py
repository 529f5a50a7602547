"""The options of the section `[dockless-python]`."""

from pants.option.option_types import BoolOption, IntOption, StrOption
from pants.option.subsystem import Subsystem
from pants.util.strutil import softwrap

from dockless.errors import InvalidValueError
from dockless.python_layers.grouping import GroupingRule

_OPTIONS = {"own_layer_size": "own_layer_size", "buckets": "buckets", "budget": "layer_budget"}


class DocklessPython(Subsystem):
    """The options of the section `[dockless-python]`."""

    options_scope = "dockless-python"
    help = softwrap(
        """
        Options for layers of Python applications. They are options of the repository, because images share layers only
        if the same rule assigns distributions to layers.
        """
    )

    own_layer_size = IntOption(
        default=GroupingRule().own_layer_size,
        help="A distribution with at least this number of bytes, unpacked, has a layer of its own.",
    )
    buckets = IntOption(
        default=GroupingRule().buckets,
        help=softwrap(
            """
            The number of layers for the other distributions: as many for pure ones, and as many for platform-specific
            ones. The hash of the name of a distribution selects the layer.
            """
        ),
    )
    layer_budget = IntOption(
        default=GroupingRule().budget,
        help=softwrap(
            """
            The maximum number of layers with third-party distributions. If an image has more, the value of
            `own_layer_size` is doubled for this image until the layers fit.
            """
        ),
    )
    allow_built_distributions = BoolOption(
        default=True,
        help=softwrap(
            """
            Whether an image may contain distributions that are built from sources, such as sdists. The bytes of such
            distributions can differ between builds. They have a layer of their own.
            """
        ),
    )
    compiler = StrOption(
        default=None,
        help=softwrap(
            """
            The absolute path of a CPython on the machine that builds, which compiles modules to bytecode. The minor
            version must be that of the base. With bytecode, an application starts several times faster, and its layers
            are larger. The bytes of the layers depend on the exact version of this interpreter. By default, images
            contain no bytecode.
            """
        ),
    )

    def rule(self) -> GroupingRule:
        """Return the rule that assigns distributions to layers. Raises InvalidValueError."""
        rule = GroupingRule(self.own_layer_size, self.buckets, self.layer_budget)
        try:
            rule.check()
        except InvalidValueError as error:
            option = f"[{self.options_scope}].{_OPTIONS[error.field]}"
            raise InvalidValueError(f"option `{option}`: {error.problem}", cause=error.cause, hint=error.hint) from None
        return rule
