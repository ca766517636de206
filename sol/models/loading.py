"""Loading a stock diffusers pipeline from a short name, a folder or a Hub id."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch

from sol.errors import ModelLoadError, SolError, UnknownNameError
from sol.models.catalog import CATALOG, FAMILY_WORKLOADS, LTX, find_entry
from sol.models.families import Family, get_family_of_class
from sol.target import Dtype, Model, Workload

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline and what identifies it."""

    pipeline: Any
    model: Model
    workload: Workload
    prompts: str


def load_model(
    name: str,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Loads `name` and identifies its weights.

    Args:
        device: "cpu" or "cuda"; by default CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; by default the workload's on an accelerator
            and float32 on a CPU.
        revision: Branch, tag or commit of a Hub repository.

    Raises:
        UnknownNameError: Neither a known short name, a folder, nor a Hub id.
        NotApplicableError: A pipeline of a family that Sol does not know.
        ModelLoadError: The weights cannot be read; says what to do.
    """
    check_model_name(name)
    folder, resolved_revision = _resolve_folder(name, revision)
    device = _resolve_device(device)
    entry = find_entry(name)
    family = _read_family(folder)
    _check_packages(family)
    workload = entry.workload if entry else FAMILY_WORKLOADS[family.name]
    chosen: Any = dtype or ("float32" if device == "cpu" else workload.dtype)
    pipeline = _read_pipeline(folder, _torch_dtype(chosen)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return LoadedModel(
        pipeline=pipeline,
        model=Model(
            id=entry.name if entry else name,
            family=family.name,
            revision=resolved_revision,
            weights_digest=digest_weights(folder),
        ),
        workload=workload.with_overrides({"dtype": chosen}),
        prompts=entry.prompts if entry else "general",
    )


def check_model_name(name: str) -> None:
    """Raises UnknownNameError for what cannot be a model, before anything is started."""
    entry = find_entry(name)
    source = entry.source if entry else name
    if not Path(source).is_dir() and not _HUB_ID.fullmatch(source):
        remedy = "Or give a folder made by save_pretrained, or a Hub id such as org/name."
        raise UnknownNameError("model", name, CATALOG, remedy)


def default_workload(name: str) -> Workload:
    """How the model called `name` is used unless told otherwise; nothing is loaded.

    The family of a Hub id that is not in the catalog is known once it has been fetched; until
    then, LTX-Video's workload stands for it.

    Raises:
        UnknownNameError: See `check_model_name`.
        NotApplicableError: The folder of a family that Sol does not know, or of a pipeline that
            a workload cannot call.
        ModelLoadError: A folder that holds no pipeline.
    """
    check_model_name(name)
    entry = find_entry(name)
    if entry:
        return entry.workload
    folder = Path(name)
    if not folder.is_dir():
        return LTX.workload
    family = _read_family(folder)
    family.call_arguments(FAMILY_WORKLOADS[family.name])
    return FAMILY_WORKLOADS[family.name]


def _read_family(folder: Path) -> Family:
    """The family of the pipeline that the folder's index names; no weights are read."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        class_name = str(index["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(
            f"{folder} is not a diffusers pipeline folder: it has no model_index.json that names "
            "a pipeline class. Make one with pipeline.save_pretrained(folder)."
        ) from error
    return get_family_of_class(class_name)


def _check_packages(family: Family) -> None:
    missing = [name for name in family.packages if find_spec(name) is None]
    if missing:
        raise ModelLoadError(
            f"diffusers needs {missing[0]} to load a {family.pipelines[0]}, and it is not "
            f"installed. Install it: pip install {missing[0]}"
        )


def digest_weights(folder: Path) -> str:
    """SHA-256 over the safetensors files and configs of a pipeline folder, by relative name."""
    digest = hashlib.sha256()
    files = [p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json")]
    for path in sorted(files, key=lambda p: p.relative_to(folder).as_posix()):
        digest.update(path.relative_to(folder).as_posix().encode())
        _update_from(digest, path)
    return f"sha256:{digest.hexdigest()}"


def _update_from(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)


def _resolve_folder(name: str, revision: str | None) -> tuple[Path, str]:
    entry = find_entry(name)
    source = entry.source if entry else name
    if Path(source).is_dir():
        return Path(source), "local"
    return _download(source, revision)


def _download(hub_id: str, revision: str | None) -> tuple[Path, str]:
    from diffusers import DiffusionPipeline

    try:
        folder = Path(DiffusionPipeline.download(hub_id, revision=revision, use_safetensors=True))
    except (OSError, ValueError) as error:
        raise ModelLoadError(
            f"Could not fetch {hub_id!r} from the Hugging Face Hub: {_first_clause(error)}. "
            "Check the id and the network, log in with `hf auth login` if the model is gated, "
            "or download it elsewhere and pass its folder to --model."
        ) from error
    return folder, folder.name


def _read_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import DiffusionPipeline

    try:
        with _quiet_loading():
            return DiffusionPipeline.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                # diffusers warns where it is asked for and accelerate is missing.
                low_cpu_mem_usage=find_spec("accelerate") is not None,
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(
            f"{folder} is not a diffusers pipeline folder with safetensors weights: "
            f"{_first_line(error)} Make one with pipeline.save_pretrained(folder)."
        ) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Without the progress bars of a load that takes a second; errors are still raised."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    shown = [library for library in libraries if library.is_progress_bar_enabled()]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


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


def _first_clause(error: BaseException) -> str:
    """diffusers appends advice about its own arguments in brackets."""
    return _first_line(error).rstrip(".").partition(" (")[0]


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".") + "."
