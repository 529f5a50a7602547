"""Targets, and the fields of images. No engine calls."""

from typing import Any, Optional

from pants.core.goals.package import OutputPathField
from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    BoolField,
    DictStringToStringField,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
)
from pants.util.strutil import help_text

from pants_dockless.base_fields import BaseField, BasePlatformsField, ReferenceField, RemoveLayersField, one_string
from pants_dockless.layer_fields import ENTRY_FIELDS, PLACE_FIELDS, ImageContentField, LayerContentField
from pants_dockless.push_fields import PUSH_FIELDS


class LayersField(SpecialCasedDependencies):
    alias = "layers"
    help = "Addresses of `image_layer` targets, lowest first. What `dependencies` gives is a layer on top of them."


class PlatformsField(StringSequenceField):
    alias = "platforms"
    help = help_text(
        """
        The platforms of the image, such as `["linux/amd64", "linux/arm64"]`. More than one makes an index of one image
        each, on the base's image for that platform and with the same layers. `[dockless].platforms` by default.
        """
    )


class FormatField(StringField):
    alias = "format"
    valid_choices = ("oci", "docker")
    help = "The family of media types, `oci` or `docker`. As the base has it by default, else `oci`."


class AnnotationsField(DictStringToStringField):
    alias = "annotations"
    help = "Annotations of the image's manifest."


class HealthcheckField(StringSequenceField):
    alias = "healthcheck"
    help = 'How a runtime tells whether the program is well: `["CMD", "/app/health"]`, `["CMD-SHELL", "..."]`.'


class OutputField(StringField):
    alias = "output"
    valid_choices = ("oci-layout", "oci-archive", "docker-archive", "metadata")
    default = "oci-layout"
    help = help_text(
        """
        What `package` writes beside the `.json` file: an OCI layout (a folder), an archive for `podman load`
        (`oci-archive`) or `docker load` (`docker-archive`), or nothing (`metadata`). Archives hold the layers of the
        base too, which are fetched for them.
        """
    )


class IncludeBaseLayersField(BoolField):
    alias = "include_base_layers"
    default = False
    help = "Whether the OCI layout that `package` writes holds the layers of the base too, which are fetched for it."


class EntrypointField(StringSequenceField):
    alias = "entrypoint"
    help = 'The program that the image runs and its first arguments, such as `["/app/server"]`.'


class CmdField(StringSequenceField):
    alias = "cmd"
    help = "Arguments after `entrypoint` (or the program, without one), which whoever runs the image can replace."


class EnvField(DictStringToStringField):
    alias = "env"
    help = 'Environment variables, such as `{"PORT": "8080"}`.'


class WorkdirField(StringField):
    alias = "workdir"
    help = "The folder in which the program starts, absolute."


class UserField(StringField):
    alias = "user"
    help = "The user that the program runs as: `user`, `uid`, `user:group` or `uid:gid`."


class LabelsField(DictStringToStringField):
    alias = "labels"
    help = "Labels in the image's config."


class ExposedPortsField(StringSequenceField):
    alias = "exposed_ports"
    help = 'Ports that the program listens on, such as `["8080/tcp"]`.'


class VolumesField(StringSequenceField):
    alias = "volumes"
    help = "Folders that whoever runs the image is to mount something on, absolute."


class StopSignalField(StringField):
    alias = "stop_signal"
    help = "The signal that asks the program to stop, such as `SIGTERM`."


class ImageLayerTarget(Target):
    alias = "image_layer"
    core_fields = (*COMMON_TARGET_FIELDS, LayerContentField, *PLACE_FIELDS, *ENTRY_FIELDS)
    help = help_text(
        """
        One layer, for the `layers` of any number of images: built once, pushed once. Its bytes depend on the content
        and the paths alone.
        """
    )


class ContainerImageTarget(Target):
    alias = "container_image"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImageContentField,
        *PLACE_FIELDS,
        LayersField,
        BaseField,
        RemoveLayersField,
        PlatformsField,
        FormatField,
        AnnotationsField,
        EntrypointField,
        CmdField,
        EnvField,
        WorkdirField,
        UserField,
        LabelsField,
        ExposedPortsField,
        VolumesField,
        StopSignalField,
        HealthcheckField,
        OutputField,
        IncludeBaseLayersField,
        OutputPathField,
        *PUSH_FIELDS,
    )
    help = help_text(
        """
        A container image. `package` writes it as an OCI layout, with its digest beside it in a `.json` file; `publish`
        pushes it. The same sources give the same digest on every machine.
        """
    )


class ImageField(SpecialCasedDependencies):
    """One address; a SpecialCasedDependencies all the same, so that `dependencies` and `dependents` know it."""

    alias = "image"
    required = True
    help = "The address of the `container_image` to push."

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
        return super().compute_value(one_string(cls, raw_value, address), address)


class PushImageTarget(Target):
    alias = "push_image"
    core_fields = (*COMMON_TARGET_FIELDS, ImageField, OutputPathField, *PUSH_FIELDS)
    help = help_text(
        """
        Another destination for an image. `publish` pushes to it; `package` writes its plan, a `.json` file with the
        image's digest and the references.
        """
    )


class BaseImageTarget(Target):
    alias = "base_image"
    core_fields = (*COMMON_TARGET_FIELDS, ReferenceField, BasePlatformsField)
    help = help_text(
        """
        An image of a registry to put others on. Its manifest and config are pinned in the lockfile
        `[dockless].lockfile`, so that packaging needs no network.
        """
    )
