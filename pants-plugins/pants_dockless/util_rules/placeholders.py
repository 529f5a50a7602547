"""Placeholders in repositories and tags: values of the target, of the environment, of git and of the image."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Optional

from pants.engine.addresses import Address
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.util.frozendict import FrozenDict
from pants.util.value_interpolation import InterpolationContext

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest as ContentDigest
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.util_rules.git import run_git

# `{env.NAME}`, `{env.NAME:default}` and `{git.NAME}`. Pants replaces all other placeholders.
_OUTSIDE_VALUE = re.compile(r"\{(env|git)\.([A-Za-z0-9_]+)(?::([^{}]*))?\}")
_INCOMPLETE = re.compile(r"\{(?:env|git|pants)?\}")
_FORMS = "the name in the braces is incomplete; write {name}, {env.NAME}, {git.commit} or {pants.hash}"
_SHORT_COMMIT = 12
_NO_VALUES: FrozenDict[str, str] = FrozenDict()


class Template(NamedTuple):
    """A text with placeholders. `source` is its field or option, and `where` the file and the line, if any."""

    source: str
    text: str
    where: str = ""


@dataclass(frozen=True)
class OutsideValues:
    """The values that do not come from targets. `commit` is None if no text needs it, or there is none."""

    environment: FrozenDict[str, str]
    commit: Optional[str]


async def find_outside_values(texts: Iterable[str]) -> OutsideValues:
    """Return the environment variables and the git commit that the placeholders in `texts` need."""
    names = {match.group(1, 2) for text in texts for match in _OUTSIDE_VALUE.finditer(text)}
    variables = sorted(name for kind, name in names if kind == "env")
    environment = await _compat.environment_vars(EnvironmentVarsRequest(variables)) if variables else {}
    output = await run_git("rev-parse", "--verify", "HEAD") if any(kind == "git" for kind, _ in names) else None
    return OutsideValues(FrozenDict(environment), output.decode("ascii", "replace").strip() if output else None)


@dataclass(frozen=True)
class Placeholders:
    """The values of placeholders for a target."""

    address: Address
    digest: ContentDigest
    outside: OutsideValues

    def replace(self, template: Template, check: Callable[[str], str], more: Mapping[str, str] = _NO_VALUES) -> str:
        """Return the text with the values of placeholders, including those in `more`. Raises TargetError.

        `check` returns a valid result, and raises InvalidValueError for an invalid one.
        """

        def fail(problem: str, cause: str = "", hint: str = "") -> TargetError:
            cause = ": ".join(filter(None, (template.where, cause)))
            return TargetError(self.address, template.source, problem, cause=cause, hint=hint)

        def outside_value(match: "re.Match[str]") -> str:
            kind, name, default = match.groups()
            value = self.outside.environment.get(name, "") if kind == "env" else self._git_value(name)
            if value is None:
                raise fail(f"invalid value {template.text!r}", "git has the values {git.commit} and {git.short_commit}")
            if value or default:
                return value or default
            if kind == "env":
                raise fail(
                    f"the environment variable {name} is not set",
                    hint=f"set the variable, or write a default, as in {{env.{name}:dev}}",
                )
            raise fail(
                f"{match.group()} has no value",
                "git knows no commit of the build root",
                f"run Pants in a git repository with a commit, or write a default, as in {{git.{name}:dev}}",
            )

        if _INCOMPLETE.search(template.text):
            raise fail(f"invalid value {template.text!r}", _FORMS)
        text = _OUTSIDE_VALUE.sub(outside_value, template.text)
        try:
            source = InterpolationContext.TextSource(options_scope=template.source)
            return check(self._context(more).format(text, source=source))
        except InvalidValueError as error:
            raise fail(error.problem, error.cause, error.hint) from None
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            # Pants describes an unknown placeholder in several lines. The last line names the known placeholders.
            lines = str(error).strip().splitlines()
            cause = lines[-1] if lines else "a placeholder cannot be formatted"
            raise fail(f"invalid value {template.text!r}", cause) from None

    def _git_value(self, name: str) -> Optional[str]:
        """Return the value, an empty string if there is no commit, or None if the name is unknown."""
        commit = self.outside.commit or ""
        return {"commit": commit, "short_commit": commit[:_SHORT_COMMIT]}.get(name)

    def _context(self, more: Mapping[str, str]) -> InterpolationContext:
        parts = self.address.spec_path.split("/")
        return InterpolationContext.from_dict(
            {
                "name": self.address.target_name,
                "directory": parts[-1],
                "parent_directory": parts[-2] if len(parts) > 1 else "",
                "full_directory": self.address.spec_path,
                "pants": {"hash": self.digest.hex},
                # In the list of known placeholders.
                "env": {},
                "git": {},
                **more,
            }
        )
