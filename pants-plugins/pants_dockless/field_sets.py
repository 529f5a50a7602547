"""The fields that `package` reads from a `container_image` and a `push_image`."""

from dataclasses import dataclass

from pants.core.goals.package import OutputPathField, PackageFieldSet

from pants_dockless.target_types import (
    AnnotationsField,
    BaseField,
    CmdField,
    ContainerImageDependenciesField,
    EntrypointField,
    EnvField,
    ExposedPortsField,
    FormatField,
    HealthcheckField,
    ImageField,
    ImageTagsField,
    IncludeBaseLayersField,
    LabelsField,
    LayersField,
    OutputField,
    PlatformsField,
    RegistriesField,
    RemoveLayersField,
    RepositoryField,
    SkipPushField,
    StopSignalField,
    UserField,
    VolumesField,
    WorkdirField,
)


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
    output: OutputField
    include_base_layers: IncludeBaseLayersField
    output_path: OutputPathField
    registries: RegistriesField
    repository: RepositoryField
    image_tags: ImageTagsField
    skip_push: SkipPushField


@dataclass(frozen=True)
class PushImageFieldSet(PackageFieldSet):
    """The fields of a `push_image`."""

    required_fields = (ImageField,)

    image: ImageField
    output_path: OutputPathField
    registries: RegistriesField
    repository: RepositoryField
    image_tags: ImageTagsField
    skip_push: SkipPushField
