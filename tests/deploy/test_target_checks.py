"""What `sol.apply` compares before it touches a pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deploy.recipes import with_hardware, with_model, with_stack, with_versions, with_workload

import sol
from sol.deploy import Place, settle_target
from sol.deploy.place import describe_place, find_mismatches, find_unknown
from sol.deploy.source import find_folder, find_revision
from sol.errors import ConfigError, TargetMismatchError, UnknownNameError
from sol.models.catalog import POCKET_WEIGHTS
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline

COMMIT = "9f1c2a"

CHANGES = {
    "weights": (lambda r: with_model(r, weights_digest="sha256:0"), "target.model.weights_digest"),
    "device": (lambda r: with_hardware(r, device="cuda"), "target.hardware.device"),
    "machine": (lambda r: with_hardware(r, name="Z80"), "target.hardware.name"),
    "feature": (lambda r: with_hardware(r, features=("mmx",)), "target.hardware.features"),
    "torch": (lambda r: with_versions(r, torch="2.9.1+cpu"), "provenance.versions.torch"),
    "sol": (lambda r: with_versions(r, sol_tuner="0.9.0"), "provenance.versions.sol-tuner"),
    "dtype": (lambda r: with_workload(r, dtype="bfloat16"), "target.workload.dtype"),
}
NAMES = {
    "weights": "weights",
    "device": "hardware",
    "machine": "hardware",
    "feature": "hardware",
    "torch": "versions",
    "sol": "versions",
    "dtype": "workload",
}


def test_a_fitting_recipe_is_applied_without_a_word(pipeline, recipe):
    with sol.apply(pipeline, recipe) as applied:
        assert applied.overrides == {}


@pytest.mark.parametrize("case", CHANGES)
def test_each_difference_is_refused_by_its_key_with_both_values(pipeline, recipe, case):
    change, key = CHANGES[case]
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(TargetMismatchError) as caught:
        sol.apply(pipeline, change(recipe))
    assert str(caught.value).startswith(f"{key}: the recipe was measured with ")
    assert f'allow=("{NAMES[case]}",), --allow {NAMES[case]}.' in str(caught.value)
    assert "\n" not in str(caught.value)
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize("case", CHANGES)
def test_what_is_allowed_is_applied_and_recorded(pipeline, recipe, case):
    change, key = CHANGES[case]
    with sol.apply(pipeline, change(recipe), allow=(NAMES[case],)) as applied:
        assert list(applied.overrides) == [NAMES[case]]
        assert applied.overrides[NAMES[case]].startswith(key)
        assert applied.record()["overrides"] == applied.overrides


def test_all_differences_are_listed_at_once(pipeline, recipe):
    elsewhere = with_versions(with_hardware(recipe, name="Z80"), torch="1.0", diffusers="0.1.0")
    with pytest.raises(TargetMismatchError) as caught:
        sol.apply(pipeline, elsewhere)
    keys = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert keys == [
        "target.hardware.name",
        "provenance.versions.torch",
        "provenance.versions.diffusers",
    ]


def test_allowing_one_check_does_not_allow_another(pipeline, recipe):
    elsewhere = with_versions(with_hardware(recipe, name="Z80"), torch="1.0")
    with pytest.raises(TargetMismatchError, match="torch") as caught:
        sol.apply(pipeline, elsewhere, allow=("hardware",))
    assert "Z80" not in str(caught.value)


def test_an_unknown_check_is_told_the_known_ones(pipeline, recipe):
    with pytest.raises(UnknownNameError, match=r"'hardwear'\. Known: hardware, revision"):
        sol.apply(pipeline, recipe, allow=("hardwear",))


def test_a_forgotten_comma_is_told(pipeline, recipe):
    with pytest.raises(ConfigError, match=r'got the string \'hardware\': \("hardware",\)'):
        sol.apply(pipeline, recipe, allow="hardware")


@pytest.mark.parametrize(
    ("recorded", "fits"),
    [("2.13.0+cpu", True), ("2.13.7+cu130", True), ("2.12.0", False), ("3.13.0", False)],
)
def test_a_version_must_agree_to_the_minor_number(recipe, recorded, fits):
    place = Place("sha256:0", None, recipe.target.hardware, {"torch": "2.13.0+cpu"}, "float32")
    only_torch = replace(recipe.provenance, versions={"torch": recorded})
    found = find_mismatches(replace(recipe, provenance=only_torch), place)
    assert [m.key for m in found if m.check == "versions"] == (
        [] if fits else ["provenance.versions.torch"]
    )


@pytest.mark.parametrize(("technique", "is_compared"), [("weight_only", True), ("text_kv", False)])
def test_a_library_counts_where_a_technique_of_the_stack_calls_it(recipe, technique, is_compared):
    place = Place(None, None, recipe.target.hardware, {}, "float32")
    recorded = with_versions(with_stack(recipe, **{technique: {}}), torchao="0.18.0")
    keys = {mismatch.key for mismatch in find_mismatches(recorded, place)}
    assert ("provenance.versions.torchao" in keys) is is_compared


def test_more_features_than_the_recipe_needs_do_no_harm(recipe):
    features = (*recipe.target.hardware.features, "avx1024")
    here = replace(recipe.target.hardware, features=features, count=99, memory_gb=1.0)
    model, versions = recipe.target.model, recipe.provenance.versions
    place = Place(model.weights_digest, None, here, versions, "float32")
    assert settle_target(recipe, place, ()) == {}


@pytest.mark.parametrize(
    ("recorded", "here", "is_refused", "is_unknown"),
    [
        ("local", None, False, True),
        ("local", COMMIT, False, True),
        (COMMIT, COMMIT, False, False),
        (COMMIT, "b2d0", True, False),
        (COMMIT, None, False, True),
        (COMMIT, "local", False, True),
    ],
)
def test_the_revision_is_compared_where_both_are_known(
    recipe, recorded, here, is_refused, is_unknown
):
    model, hardware = recipe.target.model, recipe.target.hardware
    place = Place(model.weights_digest, here, hardware, recipe.provenance.versions, "float32")
    pinned = with_model(recipe, revision=recorded)
    found = [mismatch.check for mismatch in find_mismatches(pinned, place)]
    assert found == (["revision"] if is_refused else [])
    assert ("revision" in find_unknown(pinned, place)) is is_unknown


def test_what_could_not_be_checked_is_said(pipeline, recipe):
    with sol.apply(pipeline, with_model(recipe, revision=COMMIT)) as applied:
        assert "cannot tell its own" in applied.record()["unchecked"]["revision"]


def test_a_clone_knows_where_its_weights_come_from(pipeline, recipe):
    assert find_folder(pipeline) == POCKET_WEIGHTS.resolve()
    assert describe_place(pipeline).weights_digest == recipe.target.model.weights_digest


def test_weights_of_unknown_origin_are_refused(pocket, recipe):
    by_hand = clone_pipeline(pocket.pipeline)
    by_hand.transformer.register_to_config(_name_or_path="/somewhere/else/transformer")
    assert find_folder(by_hand) is None
    with pytest.raises(TargetMismatchError, match="weights of unknown origin"):
        sol.apply(by_hand, recipe)


def test_the_denoisers_type_of_numbers_counts(recipe):
    pipeline = sol.load_pipeline("pocket", "cpu", "bfloat16")
    with pytest.raises(TargetMismatchError, match=r"target\.workload\.dtype.* it is bfloat16"):
        sol.apply(pipeline, recipe)


def test_the_revision_is_the_name_of_a_snapshots_folder(tmp_path):
    assert find_revision(tmp_path / "models--a--b" / "snapshots" / COMMIT) == COMMIT
    assert find_revision(tmp_path / "weights") is None


def test_a_bare_stack_is_not_compared_with_anything(pipeline):
    with sol.apply(pipeline, [{"technique": "text_kv"}]) as applied:
        assert applied.record()["overrides"] == applied.record()["unchecked"] == {}
