"""The models with short names: what is listed, and that each can be called as it says."""

from __future__ import annotations

import pytest

from sol.models.catalog import (
    ALIASES,
    CATALOG,
    FAMILY_WORKLOADS,
    NOT_LOADABLE,
    default_gate,
    find_entry,
    split_revision,
)
from sol.models.families import FAMILIES

NAMES = {
    "pocket", "pocket-long", "ltx", "ltx-2", "ltx-2.3", "wan-1.3b", "wan-14b", "wan-2.2",
    "sana-video", "cosmos-2.5", "cosmos-3", "hunyuan-1.5", "cogvideox",
}  # fmt: skip

FRAMES_IN_A_LATENT = {"ltx": 8, "ltx2": 8}


def test_the_names():
    assert set(CATALOG) == NAMES
    assert set(ALIASES.values()) <= NAMES
    assert not set(NOT_LOADABLE) & NAMES


def test_every_family_has_a_workload():
    assert set(FAMILIES) <= set(FAMILY_WORKLOADS)
    assert set(FAMILY_WORKLOADS) == {entry.family for entry in CATALOG.values()}


def test_a_familys_workload_is_that_of_its_first_model():
    assert FAMILY_WORKLOADS["wan"] == CATALOG["wan-1.3b"].workload
    assert FAMILY_WORKLOADS["ltx"] == CATALOG["ltx"].workload


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_clips_fit_the_autoencoders(entry):
    workload = entry.workload
    assert workload.height % 16 == workload.width % 16 == 0
    assert workload.num_frames % FRAMES_IN_A_LATENT.get(entry.family, 4) == 1


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_a_model_is_found_by_its_name_its_source_and_any_revision(entry):
    assert find_entry(entry.name) is entry
    assert find_entry(entry.source).source == entry.source
    assert find_entry(f"{entry.name}@v1") is entry


def test_another_name_finds_the_same_model():
    assert find_entry("wan") is CATALOG["wan-1.3b"]
    assert default_gate("wan") == default_gate("org/name")


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("ltx", ("ltx", None)),
        ("org/name@v1", ("org/name", "v1")),
        ("org/name@", ("org/name", None)),
    ],
)
def test_a_revision_may_follow_a_name(model, parts):
    assert split_revision(model) == parts
