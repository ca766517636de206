"""Mutated recipes: only the documented errors come out, whatever a stranger's file holds.

Each example is read as a file. What can be read is signed anew, as its author would have done, and
everything of its stack is parsed that can be without a model.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.settings import SETTINGS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sol.errors import RecipeError, SolError
from sol.integrator.constraints import find_conflict
from sol.plain_yaml import load_plain
from sol.recipe import SCHEMA, Recipe, dump_recipe, load_recipe
from sol.recipe_file import parse_mapping
from sol.skills.registry import get_technique
from sol.technique import StackItem, check_schedule, parse_config

N_OF_EACH_KIND = 5_000
# By which the memory of the process may grow: a recipe takes some megabytes to read, once.
MOST_GROWTH_KIB = 200 * 2**10
ADAPTER = TypeAdapter(Recipe)

RECIPE = load_plain("""\
schema: sol.recipe/1
target:
  model: {id: pocket, family: ltx, revision: local, weights_digest: "sha256:00"}
  hardware: {device: cpu, name: a machine, count: 2, memory_gb: 23.5, features: [avx2]}
  workload:
    height: 64
    width: 64
    num_frames: 17
    steps: 24
    guidance_scale: 3.0
    frame_rate: 16
    max_sequence_length: 32
stack: []
evidence:
  speedup: {median: 1.8, low: 1.7, high: 1.9, n: 9, device: a machine}
  baseline_s: {median: 1.8, low: 1.7, high: 1.9, n: 9, device: a machine}
  accelerated_s: {median: 1.0, low: 0.9, high: 1.1, n: 9, device: a machine}
  quality: [{name: psnr, value: 31.0, bound: 30.2, margin: 25.0, n: 12}]
  memory:
    baseline_weights: 10
    accelerated_weights: 8
    baseline_peak: null
    accelerated_peak: null
    n: 1
    device: a machine
  engagement: {step_mask: {calls_skipped: 3}}
provenance:
  run_id: run
  created: 2026-01-01T00:00:00
  versions: {torch: 2.13.0}
  gate: near-lossless
  gate_digest: d
  backend: b
approval: {status: unreviewed}
digest: sha256:00
""")


def _recipe_of(names: tuple[str, ...]) -> dict[str, Any]:
    data = deepcopy(RECIPE)
    data["stack"] = [
        {
            "technique": name,
            "skill": get_technique(name).skill,
            "config": json.loads(json.dumps(SETTINGS[name].bold)),
            "schedule": {"steps": "2-20", "layers": "all"},
        }
        for name in names
    ]
    return data


NAMES = tuple(SETTINGS)
RECIPES = [_recipe_of(pair) for pair in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)]

# What YAML and a careless reader could be led to do.
# fmt: off
MINES = (
    "!!python/object/apply:os.system [exit 9]", "!!python/name:os.system", "!!binary aGk=", "!x ",
    "&a ", "*a", "&a [*a]", "<<: ", "? ", "- ", "- " * 40, "[" * 60, "{" * 60, "{a: " * 30,
    ".nan", ".inf", "-.inf", "1.0e+999", "9" * 40, "9" * 5_000, "0x" + "f" * 500, "1:" * 400 + "1",
    "2026-99-99", "2026-01-01", "yes", "~", "''", '"', "'", "|", ">", "#", "%YAML 9.9\n", "---\n",
    "...\n", "\t", "\r", "\x00", "\x07", "\x85", "\u2028", "\ufeff", "\u202e",
    '"\\ud800"', '"\\0"',
    "all", "0-999999999999", "first:99999999999", "0-3,", "all=all", "../../etc/passwd",
    "/dev/zero", "(a+)+$", "{}", "[]", ": ", ",", "\n", "\n" * 50, "stack:\n", "schema: 1\n",
)
# fmt: on
MINE = st.sampled_from(MINES).map(lambda text: text.encode("utf-8", "surrogatepass"))
PLACE = st.floats(0, 1, exclude_max=True)


def _at(text: bytes, place: float) -> int:
    return int(place * (len(text) + 1))


def _swap_lines(text: bytes, a: float, b: float) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    i, j = int(a * len(lines)), int(b * len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


def _repeat_line(text: bytes, a: float, b: float) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    return b"".join([*lines[: int(b * len(lines))], lines[int(a * len(lines))], *lines])


def _cut(text: bytes, a: float, b: float) -> bytes:
    start = _at(text, a)
    return text[:start] + text[start + int(b * 40) :]


def _flip(text: bytes, a: float, b: float) -> bytes:
    changed = bytearray(text or b" ")
    changed[int(a * len(changed))] ^= 1 << int(b * 8)
    return bytes(changed)


def _truncate(text: bytes, a: float, b: float) -> bytes:
    return text[: _at(text, a)]


def _plant(text: bytes, mine: bytes, place: float) -> bytes:
    """In the place of a value, where YAML would read it as one."""
    lines = text.splitlines(keepends=True) or [b""]
    i = int(place * len(lines))
    key, colon, _ = lines[i].partition(b":")
    lines[i] = key + colon + b" " + mine + b"\n"
    return b"".join(lines)


def _insert(text: bytes, mine: bytes, place: float) -> bytes:
    return text[: _at(text, place)] + mine + text[_at(text, place) :]


EDITS = (_swap_lines, _repeat_line, _cut, _flip, _flip, _cut, _truncate)


@st.composite
def damaged_texts(draw: Callable[..., Any]) -> bytes:
    """The bytes of a recipe after one to three edits."""
    data = draw(st.sampled_from(RECIPES))
    text = yaml.safe_dump(data, sort_keys=False).encode()
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            text = draw(st.sampled_from((_plant, _insert)))(text, draw(MINE), draw(PLACE))
        else:
            text = draw(st.sampled_from(EDITS))(text, draw(PLACE), draw(PLACE))
    return text


TEXTS = st.sampled_from(MINES) | st.text(max_size=20) | st.sampled_from([*NAMES, "both", "cond"])
NUMBERS = (
    st.sampled_from([0, -1, 1, 10**4, 10**9, 2**31, 2**63 - 1, 2**64, 10**400, 0.0, -0.5, 1e300])
    | st.integers()
    | st.floats()
)
VALUES = st.recursive(
    TEXTS | NUMBERS | st.booleans() | st.none() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) of plain data."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        pairs = [(value, key) for key in keys]
        for key in keys:
            pairs += _places(value[key])
    return pairs


def _replace(draw: Any, container: Any, key: Any) -> None:
    container[key] = draw(VALUES)


def _remove(draw: Any, container: Any, key: Any) -> None:
    del container[key]


def _rename(draw: Any, container: Any, key: Any) -> None:
    if isinstance(container, dict):
        container[draw(TEXTS | st.integers() | st.booleans())] = container.pop(key)


def _retype(draw: Any, container: Any, key: Any) -> None:
    kinds = (str, repr, bool, lambda v: [v], lambda v: {"x": v}, lambda v: v and float("nan"))
    container[key] = draw(st.sampled_from(kinds))(container[key])


def _nest(draw: Any, container: Any, key: Any) -> None:
    for _ in range(draw(st.integers(1, 30))):
        container[key] = [container[key]]


def _multiply(draw: Any, container: Any, key: Any) -> None:
    if isinstance(container, list):
        container += [container[key]] * draw(st.integers(1, 100))


def _exchange(draw: Any, container: Any, key: Any) -> None:
    other = draw(
        st.sampled_from(sorted(container, key=str) if isinstance(container, dict) else [0])
    )
    container[key], container[other] = container[other], container[key]


CHANGES = (_replace, _replace, _remove, _rename, _retype, _nest, _multiply, _exchange)


@st.composite
def changed_recipes(draw: Callable[..., Any]) -> bytes:
    """A recipe with one to three values changed, most of them in the stack."""
    data = deepcopy(draw(st.sampled_from(RECIPES)))
    members = data["stack"]
    configs = [member["config"] for member in members]
    for _ in range(draw(st.integers(1, 3))):
        places = _places(draw(st.sampled_from([data, members, *configs, *configs])))
        if places:
            draw(st.sampled_from(CHANGES))(draw, *draw(st.sampled_from(places)))
    text = _PlainDumper.write(data)
    return text.encode("utf-8", "surrogatepass")


class _PlainDumper(yaml.SafeDumper):
    """Without anchors for values that occur twice, which would be all that is refused."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    @classmethod
    def write(cls, data: Any) -> str:
        return yaml.dump(data, Dumper=cls, sort_keys=False, allow_unicode=True)


def check(content: bytes, file: Path) -> str:
    """Reads a file, and says how far it came."""
    file.write_bytes(content)
    try:
        recipe = load_recipe(file)
    except RecipeError as error:
        assert 0 < len(str(error)) < 10_000
        if "digest does not match" not in str(error):
            return "refused"
        recipe = _signed(file)
    try:
        _plan(recipe)
    except SolError as error:
        assert str(error)
        return "not planned"
    return "planned"


def _signed(file: Path) -> Recipe:
    data = load_plain(file.read_text(encoding="utf-8"))
    recipe = parse_mapping(ADAPTER, data, SCHEMA, file)
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    return load_recipe(file)


def _plan(recipe: Recipe) -> None:
    """Everything that `sol.apply` makes of a stack before it looks at a pipeline."""
    members = [
        (get_technique(m.technique), StackItem(m.technique, m.config, m.schedule))
        for m in recipe.stack
    ]
    for technique, item in members:
        parse_config(technique, item.config)
        check_schedule(technique, item.schedule)
        item.schedule.active_steps(recipe.target.workload.steps)
        item.schedule.active_layers(48)
    find_conflict(members)


@pytest.fixture
def file(tmp_path_factory):
    """One for all examples of a test, which must not take much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield tmp_path_factory.mktemp("fuzz") / "recipe.yaml"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KIB


@pytest.mark.parametrize("data", RECIPES, ids=NAMES)
def test_what_is_mutated_was_a_recipe_that_can_be_planned(data, file):
    """Or the fuzzing would stop at the first key."""
    file.write_text(_PlainDumper.write(data))
    recipe = _signed(file)
    for member in recipe.stack:
        parse_config(get_technique(member.technique), member.config)


# The deadline is there for what would not end: an example takes some hundredths of a second.
FEW = settings(
    max_examples=150,
    deadline=timedelta(seconds=20),
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
MANY = settings(FEW, max_examples=N_OF_EACH_KIND, derandomize=False, print_blob=True)


@FEW
@given(damaged_texts())
def test_of_a_damaged_text_only_documented_errors_come(file, content):
    check(content, file)


@FEW
@given(changed_recipes())
def test_of_changed_values_only_documented_errors_come(file, content):
    check(content, file)


@pytest.mark.slow
@MANY
@given(damaged_texts())
def test_of_5000_damaged_texts_only_documented_errors_come(file, content):
    check(content, file)


@pytest.mark.slow
@MANY
@given(changed_recipes())
def test_of_5000_changed_recipes_only_documented_errors_come(file, content):
    check(content, file)
