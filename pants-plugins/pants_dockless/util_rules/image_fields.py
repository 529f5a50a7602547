"""The fields of a `container_image` as rules read them."""

from dataclasses import dataclass

from pants.core.goals.package import OutputPathField, PackageFieldSet

from dockless.mutate.config_edit import ConfigEdit
from pants_dockless.errors import TargetError
from pants_dockless.target_types import (
    AnnotationsField,
    BaseField,
    CmdField,
    EntrypointField,
    EnvField,
    ExposedPortsField,
    FormatField,
    HealthcheckField,
    ImageContentField,
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
    required_fields = (ImageContentField,)

    content: ImageContentField
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


def config_edit(field_set: ContainerImageFieldSet) -> ConfigEdit:
    """What the fields say of the config, checked. Raises TargetError."""
    edit = ConfigEdit(
        entrypoint=field_set.entrypoint.value,
        cmd=field_set.cmd.value,
        env=field_set.env.value,
        working_dir=field_set.workdir.value,
        user=field_set.user.value,
        labels=field_set.labels.value,
        exposed_ports=field_set.exposed_ports.value,
        volumes=field_set.volumes.value,
        stop_signal=field_set.stop_signal.value,
        healthcheck={"Test": list(field_set.healthcheck.value)} if field_set.healthcheck.value else None,
    )
    for name, error in edit.check():
        raise TargetError.of(field_set.address, "workdir" if name == "working_dir" else name, error)
    return edit
