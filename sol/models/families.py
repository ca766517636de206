"""The table of model families: which adapter describes which pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import diffusers

from sol.errors import NotApplicableError
from sol.models.adapters import (
    cogvideox,
    cosmos,
    cosmos3,
    hunyuan_video15,
    inspected,
    ltx,
    ltx2,
    sana_video,
    wan,
)
from sol.models.adapters.seen_call import see_call
from sol.models.cache_backends import cache_backend_capabilities
from sol.models.machine import machine_capabilities
from sol.roles import Roles
from sol.target import Workload


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Family:
    """What Sol must know of one family of pipelines.

    Attributes:
        pipelines: Class names of diffusers pipelines that it describes.
        describe: Finds the roles; machine capabilities are added by `describe_roles`.
        call_arguments: The pipeline's keyword arguments for a workload.
        own_arguments: (pipeline, workload) -> what else a call of this pipeline is given: what
            its version decides, and the workload does not say.
        prepare: (pipeline, workload) -> undo: sets what a workload says and a call cannot.
        from_image: Class names of those that are given an image besides. They are described like
            the others, but no workload says how to call them.
        packages: Packages beyond Sol's own that diffusers needs to load it.
        read_frames: What a pipeline returned -> the frames of its first video.
        own_workload: How it is called where nothing more is known; None for a family that the
            catalog has a workload for.
    """

    name: str
    pipelines: tuple[str, ...]
    describe: Callable[[Any], Roles]
    call_arguments: Callable[[Workload], Mapping[str, Any]]
    own_arguments: Callable[[Any, Workload], Mapping[str, Any]] = lambda pipeline, workload: {}
    prepare: Callable[[Any, Workload], Callable[[], None]] = lambda pipeline, workload: _nothing
    from_image: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    read_frames: Callable[[Any], Any] = lambda result: result.frames[0]
    own_workload: Callable[[], Workload] | None = None

    def arguments(self, pipeline: Any, workload: Workload) -> Mapping[str, Any]:
        """All keyword arguments of a call of this pipeline, but for prompt and seed."""
        own = self.own_arguments(pipeline, workload)
        return {**self.call_arguments(workload), **own}


_LTX = Family(
    "ltx", ("LTXPipeline",), ltx.describe, ltx.call_arguments, from_image=(ltx.FROM_IMAGE,)
)
# diffusers keeps some layers of Wan in float32, and can read such a model with accelerate only.
_WAN = Family("wan", ("WanPipeline",), wan.describe, wan.call_arguments, packages=("accelerate",))
_SANA_VIDEO = Family(
    "sana_video", ("SanaVideoPipeline",), sana_video.describe, sana_video.call_arguments
)
_LTX2 = Family(
    "ltx2",
    ("LTX2Pipeline",),
    ltx2.describe,
    ltx2.call_arguments,
    own_arguments=ltx2.own_arguments,
)
_COGVIDEOX = Family(
    "cogvideox", ("CogVideoXPipeline",), cogvideox.describe, cogvideox.call_arguments
)
_HUNYUAN_VIDEO15 = Family(
    "hunyuan_video15",
    ("HunyuanVideo15Pipeline",),
    hunyuan_video15.describe,
    hunyuan_video15.call_arguments,
    prepare=hunyuan_video15.prepare,
)
_COSMOS = Family(
    "cosmos",
    ("Cosmos2_5_PredictBasePipeline",),
    cosmos.describe,
    cosmos.call_arguments,
    packages=("accelerate", "cosmos_guardrail"),
)
_COSMOS3 = Family(
    "cosmos3",
    ("Cosmos3OmniPipeline",),
    cosmos3.describe,
    cosmos3.call_arguments,
    read_frames=lambda result: result.video,
    packages=("accelerate", "cosmos_guardrail"),
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            _LTX,
            _LTX2,
            _WAN,
            _SANA_VIDEO,
            _COGVIDEOX,
            _HUNYUAN_VIDEO15,
            _COSMOS,
            _COSMOS3,
        )
    }
)


def get_family(pipeline: Any) -> Family:
    """The family of a pipeline, by its class.

    Raises:
        NotApplicableError: No adapter describes this class.
    """
    return get_family_of_class(type(pipeline).__name__)


def get_family_of_class(class_name: str) -> Family:
    """The family whose adapter describes pipelines of this class.

    The `call_arguments` of one that is given an image are an error that says so. A class without
    an adapter is a family of its own, as far as it can be understood by looking at it.

    Raises:
        NotApplicableError: It cannot.
    """
    for family in FAMILIES.values():
        if class_name in family.pipelines:
            return family
        if class_name in family.from_image:
            return replace(family, call_arguments=_refuse_calls(class_name, family.pipelines[0]))
    pipeline_class = getattr(diffusers, class_name, None)
    if pipeline_class is None:
        known = ", ".join(
            name
            for family in FAMILIES.values()
            for name in (*family.pipelines, *family.from_image)
        )
        raise NotApplicableError(
            f"diffusers has no {class_name}, and Sol no adapter for it. It knows: {known}."
        )
    see_call(pipeline_class)
    return Family(
        class_name,
        (class_name,),
        inspected.describe,
        functools.partial(inspected.call_arguments, pipeline_class),
        own_workload=functools.partial(inspected.default_workload, pipeline_class),
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
    """What this pipeline on this machine offers to techniques: nothing that its family lacks."""
    roles = get_family(pipeline).describe(pipeline)
    # Not the pipeline's dtype: that is its first part's, which may be a safety checker.
    module: Any = roles.denoisers[0].module
    present, absent = machine_capabilities(str(pipeline.device.type), module.dtype)
    libraries, no_library = cache_backend_capabilities(roles.denoisers)
    return replace(
        roles,
        capabilities=(roles.capabilities | present | libraries) - roles.lacks.keys(),
        lacks={**absent, **no_library, **roles.lacks},
    )
