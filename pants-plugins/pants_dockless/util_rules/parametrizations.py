"""The targets that an address without parameters means, if `parametrize` makes several targets of one."""

from pants.base.specs import AddressLiteralSpec, RawSpecsWithoutFileOwners
from pants.engine.addresses import Addresses, AddressInput, UnparsedAddressInputs
from pants.util.frozendict import FrozenDict

from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.target_types import SingleAddressField


async def find_parametrizations(inputs: UnparsedAddressInputs) -> Addresses:
    """Return these addresses, each replaced by all of its parametrizations if it lacks parameters."""
    parsed = [
        AddressInput.parse(text, relative_to=inputs.relative_to, description_of_origin=inputs.description_of_origin)
        for text in inputs.values
    ]
    literals = tuple(
        AddressLiteralSpec(
            each.path_component, each.target_component, each.generated_component, FrozenDict(each.parameters)
        )
        for each in parsed
    )
    return await _compat.addresses_of_specs(
        RawSpecsWithoutFileOwners(inputs.description_of_origin, address_literals=literals)
    )


async def check_one_parametrization(field: SingleAddressField) -> None:
    """Raise TargetError if the address means several targets."""
    addresses = await find_parametrizations(field.to_unparsed_address_inputs())
    if len(addresses) > 1:
        raise TargetError(
            field.address,
            field.alias,
            f"{field.value} has parameters, so that it means {len(addresses)} images",
            hint=f"write one of {', '.join(address.spec for address in addresses)}, or the address of an image_index",
        )
