"""Loading a stock diffusers pipeline from a short name, a folder or a Hub id."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch

from sol.errors import ModelLoadError, SolError, UnknownNameError
from sol.models.catalog import FAMILY_WORKLOADS, find_entry, split_revision
from sol.models.families import Family, get_family_of_class
from sol.models.files.model_index import ModelIndex, read_index
from sol.models.files.model_source import check_model_name, resolve_folder
from sol.models.files.pipeline_reading import read_pipeline
from sol.models.files.weights import check_weights
from sol.models.files.weights import digest_weights as digest_weights
from sol.models.memory.memory_estimate import PartSize, estimate_parts, require_room
from sol.models.memory.offload import Offload, check_offload, place
from sol.target import Dtype, Model, Workload


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline and what identifies it.

    Attributes:
        sizes: Of its components that have weights, as estimated before they were read.
        offload: Where its weights are while it runs; None where all are on its device.
        warnings: What its user must know of how it was loaded.
    """

    pipeline: Any
    model: Model
    workload: Workload
    prompts: str
    sizes: tuple[PartSize, ...] = ()
    offload: Offload | None = None
    warnings: tuple[str, ...] = ()


def load_model(
    name: str,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    *,
    offload: str | None = None,
    allow_pickle: bool = False,
) -> LoadedModel:
    """Loads `name` and identifies its weights. Code that comes with a model is never run.

    Args:
        name: A short name, a folder, or a Hub id; org/name@revision is that revision of it.
        device: "cpu" or "cuda"; by default CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; by default the workload's on an accelerator
            and float32 on a CPU.
        revision: Branch, tag or commit of a Hub repository; the commit is recorded.
        offload: "model", "sequential" or "group": the weights are on the host until needed.
        allow_pickle: Reads pickled weights where there are no safetensors. That can run code of
            whoever made them; the result carries a warning.

    Raises:
        UnknownNameError: Neither a known short name, a folder, nor a Hub id.
        NotApplicableError: A pipeline of a family that Sol does not know.
        ModelLoadError: The weights cannot be read, or do not fit; says what to do.
    """
    check_model_name(name)
    device = _resolve_device(device)
    offload = check_offload(offload, device)
    folder, resolved_revision = resolve_folder(name, revision, allow_pickle)
    entry = find_entry(name)
    index = read_index(folder)
    family = get_family_of_class(index.class_name)
    _check_packages(family)
    workload = entry.workload if entry else _workload_of(family)
    chosen: Any = dtype or ("float32" if device == "cpu" else workload.dtype)
    warnings = check_weights(folder, index, allow_pickle)
    sizes = _require_room(name, folder, index, chosen, device, offload)
    pipeline = read_pipeline(folder, _torch_dtype(chosen), allow_pickle)
    pipeline.set_progress_bar_config(disable=True)
    return LoadedModel(
        pipeline=place(pipeline, device, offload),
        model=Model(
            id=entry.name if entry else split_revision(name)[0],
            family=family.name,
            revision=resolved_revision,
            weights_digest=digest_weights(folder),
        ),
        workload=workload.with_overrides({"dtype": chosen}),
        prompts=entry.prompts if entry else "general",
        sizes=sizes,
        offload=offload,
        warnings=warnings,
    )


def default_workload(name: str) -> Workload:
    """How the model called `name` is used unless told otherwise; nothing is loaded.

    The family of a Hub id that is not in the catalog is known once it has been fetched; until
    then, LTX-Video's workload stands for it.

    Raises:
        UnknownNameError: See `check_model_name`.
        NotApplicableError: The folder of a family that Sol does not know, or of a pipeline that
            a workload cannot call.
        ModelLoadError: A folder that holds no pipeline, or a model that is known not to load.
    """
    check_model_name(name)
    entry = find_entry(name)
    if entry:
        return entry.workload
    folder = Path(name)
    if not folder.is_dir():
        return FAMILY_WORKLOADS["ltx"]
    family = get_family_of_class(read_index(folder).class_name)
    workload = _workload_of(family)
    family.call_arguments(workload)
    return workload


def _workload_of(family: Family) -> Workload:
    return family.own_workload() if family.own_workload else FAMILY_WORKLOADS[family.name]


def _check_packages(family: Family) -> None:
    missing = [name for name in family.packages if find_spec(name) is None]
    if missing:
        raise ModelLoadError(
            f"diffusers needs {missing[0]} to load a {family.pipelines[0]}, and it is not "
            f"installed. Install it: pip install {missing[0]}"
        )


def _require_room(
    name: str,
    folder: Path,
    index: ModelIndex,
    dtype: str,
    device: str,
    offload: Offload | None,
) -> tuple[PartSize, ...]:
    sizes = estimate_parts(folder, index, _torch_dtype(dtype))
    require_room(name, sizes, device, offload)
    return sizes


def _resolve_device(device: str | None) -> str:
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SolError(f"Device {device!r} was asked for, but PyTorch sees no GPU. Use 'cpu'.")
    return device


def _torch_dtype(name: str) -> torch.dtype:
    if name not in get_args(Dtype):
        raise UnknownNameError("dtype", name, get_args(Dtype))
    dtype: torch.dtype = getattr(torch, name)
    return dtype
