"""Fields that say what an image stands on. No engine calls."""

import re
from typing import Any, Optional

from pants.engine.addresses import Address, UnparsedAddressInputs
from pants.engine.target import (
    InvalidFieldException,
    InvalidFieldTypeException,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
)
from pants.util.strutil import help_text

# What is no folder's name: a host with a port, and the registries that most images come from.
_REGISTRY = re.compile(
    r"[^/:]+:[0-9]+/|(?:localhost|docker\.io|ghcr\.io|quay\.io|mcr\.microsoft\.com|public\.ecr\.aws|registry\.k8s\.io"
    r"|(?:[^/]+\.)?gcr\.io|[^/]+\.(?:pkg\.dev|azurecr\.io|amazonaws\.com))/"
)


def one_string(field: Any, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
    """The value of a field that is one string, as the sequence that SpecialCasedDependencies is."""
    if raw_value is not None and not isinstance(raw_value, str):
        raise InvalidFieldTypeException(address, field.alias, raw_value, expected_type="one string")
    return None if raw_value is None else (raw_value,)


class BaseField(SpecialCasedDependencies):
    """One address or one reference; only an address is a dependency."""

    alias = "base"
    help = help_text(
        """
        What the image stands on: the address of a `base_image` or of another `container_image`, or a reference with a
        digest (`registry/repository@sha256:...`). Nothing: from scratch. Bases of registries are pinned in the lockfile
        `[dockless].lockfile`, which `generate-lockfiles --resolve=base-images` writes.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
        value = super().compute_value(one_string(cls, raw_value, address), address)
        if value and "@sha256:" not in value[0] and _REGISTRY.match(value[0]):
            raise InvalidFieldException(
                f"{address}: field `base`: {value[0]!r} is a reference without a digest; declare "
                f"`base_image(reference={value[0]!r})` and name that, or write registry/repository@sha256:..."
            )
        return value

    @property
    def reference(self) -> str:
        """The reference, where the field is one, else empty."""
        return self.value[0] if self.value and "@sha256:" in self.value[0] else ""

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        return UnparsedAddressInputs(
            () if self.reference else self.value or (),
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


class RemoveLayersField(StringSequenceField):
    alias = "remove_layers"
    help = "Digests of layers of the base (of the blob or of what is inside) that the image leaves out."


class ReferenceField(StringField):
    alias = "reference"
    required = True
    help = "Where the image is: `registry/repository:tag`, as `docker pull` takes it; with or without a digest."


class BasePlatformsField(StringSequenceField):
    alias = "platforms"
    help = 'The platforms to pin, such as `["linux/amd64"]`. `[dockless].platforms` by default.'
