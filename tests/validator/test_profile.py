import json
from dataclasses import asdict

import pytest
import yaml

from sol.errors import UnknownNameError
from sol.models.catalog import default_gate
from sol.validator.profile import PROFILE_DIR, ProfileError, load_profile, parse_profile


@pytest.fixture
def data():
    return yaml.safe_load((PROFILE_DIR / "near-lossless.yaml").read_text())


def test_every_shipped_profile_loads_under_its_file_name():
    names = [path.stem for path in PROFILE_DIR.glob("*.yaml")]
    assert "near-lossless" in names
    assert [load_profile(name).name for name in names] == names


def test_the_pocket_gate_demands_all_that_the_general_one_does_and_more():
    general, pocket = load_profile(default_gate("ltx")), load_profile(default_gate("pocket"))
    assert (general.name, pocket.name) == ("near-lossless", "near-lossless-pocket")
    assert default_gate("pocket-long") == pocket.name
    assert default_gate("a/folder") == general.name
    assert general.metric_names < pocket.metric_names
    assert general.vbench == pocket.vbench


def test_a_path_loads_as_well(tmp_path, data):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data | {"name": "mine", "seeds": 2}))
    assert load_profile(path).seeds == 2
    assert load_profile(str(path)).name == "mine"


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(UnknownNameError, match=r"'near-lossles'.*Known: near-lossless"):
        load_profile("near-lossles")


def test_the_digest_changes_with_any_number_and_with_nothing_else(data):
    profile = parse_profile(data, "test")
    again = parse_profile(json.loads(json.dumps(asdict(profile))), "test")
    assert again.digest == profile.digest
    data["metrics"][0]["margin"] *= 1.1
    assert parse_profile(data, "test").digest != profile.digest


def change(key, value):
    return lambda data: data | {key: value}


def change_rule(**values):
    return lambda data: data | {"metrics": [data["metrics"][0] | values]}


def change_plan(key, **values):
    return lambda data: data | {key: data[key] | values}


def rule(**values):
    return lambda data: data | {"metrics": [values]}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change("schema", "sol.gate/1"), ["schema", "sol.gate/2", "sol.gate/1"]),
        (change("confidence", 0.5), ["confidence", "0.5"]),
        (change("confidence", "0.95"), ["confidence", "'0.95'"]),
        (change("seeds", 0), ["seeds", "0"]),
        (change("seeds", True), ["seeds", "True"]),
        (change("n_prompts", 12), ["n_prompts", "remove it"]),
        (change_plan("screening", prompts=1), ["screening.prompts", "2"]),
        (change_plan("screening", confidence=0.4), ["screening.confidence", "0.4"]),
        (change_plan("confirmation", looks=[]), ["confirmation.looks", "at least 1"]),
        (change_plan("confirmation", looks=[84, 42]), ["confirmation.looks", "must rise"]),
        (change_plan("confirmation", candidates=0), ["confirmation.candidates", "0"]),
        (change_plan("confirmation", futility=0.9), ["confirmation.futility", "0.9"]),
        (change_plan("confirmation", spending=0), ["confirmation.spending", "0"]),
        (
            change_plan("confirmation", looks=[42]),
            ["tail: 42 prompts cannot show", "raise the last look or the share"],
        ),
        (change_plan("guidance", low=1.2), ["guidance.low", "1.2"]),
        (change("probes", ["engagment"]), ["probes.0", "unknown probe", "engagement"]),
        (change("metrics", []), ["metrics", "at least 1"]),
        (change_rule(margin=-0.1), ["metrics.0", "margin", "-0.1"]),
        (change_rule(margin=float("nan")), ["metrics.0", "margin"]),
        (change_rule(metric="psnr"), ["metrics.0", "unknown video metric", "motion"]),
        (change_rule(kind="average"), ["metrics.0", "average", "floor"]),
        (rule(metric="motion", kind="floor", margin=1), ["unknown paired metric", "psnr"]),
        (rule(metric="motion", kind="ratio", low=1.2, high=1.3), ["low", "1.2"]),
        (rule(metric="motion", kind="ratio", low=0.9), ["high", "required"]),
        (
            rule(metric="motion", kind="difference", margin=0.1, stratum=0.05),
            ["stratum must be at least the margin 0.1", "0.05"],
        ),
        (
            rule(metric="psnr", kind="floor", margin=30, stratum=31),
            ["stratum must be at most the margin 30", "31"],
        ),
        (
            rule(metric="psnr", kind="floor", margin=30, worst=31),
            ["worst must be at most the margin 30", "31"],
        ),
        (change("tail", 1.5), ["tail", "1.5"]),
        (
            rule(metric="vbench_dynamic_degree", kind="difference", margin=0.1),
            ["cannot stand under metrics", "put it under vbench"],
        ),
        (
            lambda data: data | {"vbench": data["metrics"][:1]},
            ["cannot stand under vbench", "put it under metrics"],
        ),
        (
            lambda data: data | {"vbench": [data["vbench"][0] | {"stratum": 0.1}]},
            ["VBench rules have no stratum and no worst limit"],
        ),
        (
            lambda data: data | {"metrics": data["metrics"] * 2},
            ["has 2 rules of kind", "keep one"],
        ),
        (lambda data: [data], ["top level"]),
    ],
)
def test_a_wrong_profile_is_refused_with_key_rule_and_remedy(data, damage, words):
    with pytest.raises(ProfileError) as caught:
        parse_profile(damage(data), source="mine.yaml")
    message = str(caught.value)
    assert "mine.yaml" in message
    assert [word for word in words if word not in message] == []


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(ProfileError, match="cannot be read as YAML"):
        load_profile(path)


def test_vbench_rules_hold_only_where_vbench_is_the_back_end(data):
    profile = parse_profile(data, "test")
    assert profile.rules("embedded") == profile.metrics
    assert profile.rules("vbench") == (*profile.metrics, *profile.vbench)
    assert profile.vbench
