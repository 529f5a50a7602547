"""The fields that `package` reads from a `container_image`, an `image_index` and a `push_image`."""

from dataclasses import dataclass, fields
from typing import TypeVar

from pants.core.goals.package import OutputPathField, PackageFieldSet
from pants.engine.target import Target

from pants_dockless._compat import EnvironmentField
from pants_dockless.target_types import (
    AnnotationsField,
    BaseField,
    CmdField,
    CompressionField,
    ContainerImageDependenciesField,
    EntrypointField,
    EnvField,
    ExposedPortsField,
    FormatField,
    HealthcheckField,
    ImageField,
    ImageLayerDependenciesField,
    ImagesField,
    IncludeBaseLayersField,
    LabelsField,
    LayersField,
    OutputField,
    PlatformsField,
    PythonEntireResolveField,
    PythonField,
    PythonFileOwnersField,
    PythonLayersField,
    RemoveLayersField,
    SkipPushField,
    StopSignalField,
    UserField,
    VolumesField,
    WorkdirField,
)

_T = TypeVar("_T", bound="_BuildFieldSet")


class _BuildFieldSet(PackageFieldSet):
    """Base of field sets that no goal selects. Rules request the packages of these field sets."""

    @classmethod
    def opt_out(cls, tgt: Target) -> bool:
        """Return True for all targets."""
        return True

    @classmethod
    def of(cls: "type[_T]", field_set: PackageFieldSet) -> "_T":
        """Return the field set with the values of another one, which has the same fields."""
        return cls(**{field.name: getattr(field_set, field.name) for field in fields(field_set)})


@dataclass(frozen=True)
class ContainerImageFieldSet(PackageFieldSet):
    """The fields of a `container_image`, apart from the content of its own layer."""

    required_fields = (ContainerImageDependenciesField,)

    layers: LayersField
    base: BaseField
    remove_layers: RemoveLayersField
    platforms: PlatformsField
    format: FormatField
    annotations: AnnotationsField
    entrypoint: EntrypointField
    cmd: CmdField
    env: EnvField
    workdir: WorkdirField
    user: UserField
    labels: LabelsField
    exposed_ports: ExposedPortsField
    volumes: VolumesField
    stop_signal: StopSignalField
    healthcheck: HealthcheckField
    dependencies: ContainerImageDependenciesField
    python_layers: PythonLayersField
    python: PythonField
    output: OutputField
    include_base_layers: IncludeBaseLayersField
    output_path: OutputPathField
    skip_push: SkipPushField
    environment: EnvironmentField


@dataclass(frozen=True)
class BuildImageFieldSet(_BuildFieldSet, ContainerImageFieldSet):
    """The fields of a `container_image`. Its package is the image without the output of the goal `package`."""


@dataclass(frozen=True)
class ImageIndexFieldSet(PackageFieldSet):
    """The fields of an `image_index`."""

    required_fields = (ImagesField,)

    images: ImagesField
    format: FormatField
    annotations: AnnotationsField
    output: OutputField
    include_base_layers: IncludeBaseLayersField
    output_path: OutputPathField
    skip_push: SkipPushField
    environment: EnvironmentField


@dataclass(frozen=True)
class BuildIndexFieldSet(_BuildFieldSet, ImageIndexFieldSet):
    """The fields of an `image_index`. Its package is the index without the output of the goal `package`."""


@dataclass(frozen=True)
class BuildLayerFieldSet(_BuildFieldSet):
    """The fields of an `image_layer`. Its package is the layer, which is built in the environment of the target."""

    required_fields = (ImageLayerDependenciesField,)

    environment: EnvironmentField


@dataclass(frozen=True)
class PythonLayersFieldSet(_BuildFieldSet):
    """The fields of a `container_image` with Python layers. Its package is these layers for one platform.

    `platform` is the platform, such as `linux/amd64`, and `interpreter` the path of CPython in the image.
    """

    required_fields = (PythonLayersField,)

    dependencies: ContainerImageDependenciesField
    python: PythonField
    python_file_owners: PythonFileOwnersField
    python_entire_resolve: PythonEntireResolveField
    compression: CompressionField
    environment: EnvironmentField
    platform: str = ""
    interpreter: str = ""


@dataclass(frozen=True)
class PushImageFieldSet(PackageFieldSet):
    """The fields of a `push_image`."""

    required_fields = (ImageField,)

    image: ImageField
    output_path: OutputPathField
    skip_push: SkipPushField
