"""Targets that no BUILD file contains, which Pants defines in `pants.engine.internals`."""

from pants.engine.internals.synthetic_targets import SyntheticAddressMaps, SyntheticTargetsRequest
from pants.engine.internals.target_adaptor import TargetAdaptor

__all__ = ["SyntheticAddressMaps", "SyntheticTargetsRequest", "TargetAdaptor"]
