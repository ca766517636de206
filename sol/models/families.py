"""The table of model families: which adapter describes which pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sol.errors import NotApplicableError
from sol.models import ltx, sana_video, wan
from sol.models.cache_backends import cache_backend_capabilities
from sol.models.machine import machine_capabilities
from sol.roles import Roles
from sol.target import Workload


@dataclass(frozen=True)
class Family:
    """What Sol must know of one family of pipelines.

    Attributes:
        pipelines: Class names of diffusers pipelines that it describes.
        describe: Finds the roles; machine capabilities are added by `describe_roles`.
        call_arguments: The pipeline's keyword arguments for a workload.
        from_image: Class names of those that are given an image besides. They are described like
            the others, but no workload says how to call them.
        packages: Packages beyond Sol's own that diffusers needs to load it.
    """

    name: str
    pipelines: tuple[str, ...]
    describe: Callable[[Any], Roles]
    call_arguments: Callable[[Workload], Mapping[str, Any]]
    from_image: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


_LTX = Family(
    "ltx", ("LTXPipeline",), ltx.describe, ltx.call_arguments, from_image=(ltx.FROM_IMAGE,)
)
# diffusers keeps some layers of Wan in float32, and can read such a model with accelerate only.
_WAN = Family("wan", ("WanPipeline",), wan.describe, wan.call_arguments, packages=("accelerate",))
_SANA_VIDEO = Family(
    "sana_video", ("SanaVideoPipeline",), sana_video.describe, sana_video.call_arguments
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {family.name: family for family in (_LTX, _WAN, _SANA_VIDEO)}
)


def get_family(pipeline: Any) -> Family:
    """The family of a pipeline, by its class.

    Raises:
        NotApplicableError: No adapter describes this class.
    """
    return get_family_of_class(type(pipeline).__name__)


def get_family_of_class(class_name: str) -> Family:
    """The family whose adapter describes pipelines of this class.

    The `call_arguments` of one that is given an image are an error that says so.

    Raises:
        NotApplicableError: No adapter describes it.
    """
    for family in FAMILIES.values():
        if class_name in family.pipelines:
            return family
        if class_name in family.from_image:
            return replace(family, call_arguments=_refuse_calls(class_name, family.pipelines[0]))
    known = ", ".join(
        name for family in FAMILIES.values() for name in (*family.pipelines, *family.from_image)
    )
    raise NotApplicableError(
        f"Sol has no adapter for {class_name}. It knows: {known}. "
        "A new family is one file in sol/models and one row in sol/models/families.py."
    )


def _refuse_calls(from_image: str, from_text: str) -> Callable[[Workload], Mapping[str, Any]]:
    def refuse(workload: Workload) -> Mapping[str, Any]:
        raise NotApplicableError(
            f"Sol makes videos from a prompt alone, but {from_image} needs an image as well. "
            f"Name the {from_text} of the same weights instead, or put techniques on this one in "
            "Python: sol.apply(pipeline, [{'technique': ...}])."
        )

    return refuse


def describe_roles(pipeline: Any) -> Roles:
    """What this pipeline on this machine offers to techniques."""
    roles = get_family(pipeline).describe(pipeline)
    present, absent = machine_capabilities(str(pipeline.device.type), pipeline.dtype)
    libraries, no_library = cache_backend_capabilities(roles.denoisers)
    return Roles(
        family=roles.family,
        denoisers=roles.denoisers,
        guidance=roles.guidance,
        capabilities=roles.capabilities | present | libraries,
        lacks={**roles.lacks, **absent, **no_library},
    )
