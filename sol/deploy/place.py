"""What a recipe is about to be used on, and where that differs from the recipe's target."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sol.deploy.mismatch import Mismatch, parse_allow, settle
from sol.deploy.source import find_folder, find_revision
from sol.deploy.versions import find_version_mismatches
from sol.measure.hardware import probe, versions
from sol.models.families import describe_roles
from sol.models.loading import digest_weights
from sol.recipe import Recipe
from sol.target import Hardware

LOCAL = "local"
"""Instead of a revision, where the model was a folder."""
_DIGEST_CHARS = 19
"""Of a digest, as much as people compare."""


@dataclass(frozen=True)
class Place:
    """A pipeline on a machine.

    Attributes:
        weights_digest: None where the pipeline cannot tell where its weights come from.
        revision: None, or "local", where the weights do not come from a Hub snapshot.
        versions: Of installed packages, by name.
        dtype: Of the denoiser.
    """

    weights_digest: str | None
    revision: str | None
    hardware: Hardware
    versions: Mapping[str, str]
    dtype: str


def describe_place(pipeline: Any) -> Place:
    """Reads the weights' files once, to digest them."""
    folder = find_folder(pipeline)
    denoiser: Any = describe_roles(pipeline).denoisers[0].module
    return Place(
        weights_digest=None if folder is None else digest_weights(folder),
        revision=None if folder is None else find_revision(folder),
        # Of an offloaded pipeline, `device` is where its weights wait.
        hardware=probe(str(pipeline._execution_device.type)),
        versions=versions(),
        dtype=str(denoiser.dtype).removeprefix("torch."),
    )


def find_mismatches(recipe: Recipe, place: Place) -> tuple[Mismatch, ...]:
    """All that differs before any video is made."""
    return (
        *_compare_weights(recipe, place),
        *_compare_revision(recipe, place),
        *_compare_hardware(recipe, place),
        *find_version_mismatches(recipe, place.versions),
        *_compare_dtype(recipe, place),
    )


def settle_target(recipe: Recipe, place: Place, allow: Collection[str]) -> dict[str, str]:
    """By check, what differs and was allowed.

    Raises:
        TargetMismatchError: Something differs that was not allowed; all of it is listed.
        UnknownNameError: `allow` names no check.
    """
    return settle(find_mismatches(recipe, place), parse_allow(allow))


def find_unknown(recipe: Recipe, place: Place) -> dict[str, str]:
    """By check, why it could not be made, where that alone is no reason to refuse."""
    wanted = recipe.target.model.revision
    if wanted == LOCAL:
        return {"revision": "the recipe was measured on a local folder, which has no revision"}
    if place.revision in (None, LOCAL):
        return {
            "revision": f"the recipe was measured on revision {wanted}; the pipeline was not "
            "loaded from a Hub snapshot and cannot tell its own"
        }
    return {}


def _compare_weights(recipe: Recipe, place: Place) -> Iterator[Mismatch]:
    model = recipe.target.model
    if place.weights_digest == model.weights_digest:
        return
    here = "weights of unknown origin (the pipeline's parts do not come from one folder)"
    if place.weights_digest is not None:
        here = f"weights {place.weights_digest[:_DIGEST_CHARS]}…"
    yield Mismatch(
        "weights",
        "target.model.weights_digest",
        f"{model.id!r}, weights {model.weights_digest[:_DIGEST_CHARS]}…",
        here,
        "Load the recipe's model, or tune for this one.",
    )


def _compare_revision(recipe: Recipe, place: Place) -> Iterator[Mismatch]:
    wanted = recipe.target.model.revision
    if wanted == LOCAL or place.revision in (None, LOCAL, wanted):
        return
    yield Mismatch(
        "revision",
        "target.model.revision",
        wanted,
        str(place.revision),
        f"Load the model with revision={wanted!r}.",
    )


def _compare_hardware(recipe: Recipe, place: Place) -> Iterator[Mismatch]:
    """Its class: what it is, its name, and that it has the features; more of them do no harm."""
    wanted, here = recipe.target.hardware, place.hardware
    remedy = "Tune on this machine."
    for field in ("device", "name"):
        was, now = getattr(wanted, field), getattr(here, field)
        if was != now:
            yield Mismatch("hardware", f"target.hardware.{field}", was, now, remedy)
    missing = sorted(set(wanted.features) - set(here.features))
    # Of another kind of device, the features have other names.
    if missing and wanted.device == here.device:
        was, now = ", ".join(wanted.features), f"without {', '.join(missing)}"
        yield Mismatch("hardware", "target.hardware.features", was, now, remedy)


def _compare_dtype(recipe: Recipe, place: Place) -> Iterator[Mismatch]:
    wanted = recipe.target.workload.dtype
    if place.dtype != wanted:
        yield Mismatch(
            "workload",
            "target.workload.dtype",
            wanted,
            place.dtype,
            f"Load the pipeline with dtype {wanted}.",
        )
