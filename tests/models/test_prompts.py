import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import pytest

from sol.errors import SolError, UnknownNameError
from sol.models.pocket.data.scenes import Background, Scene, SceneObject, is_held_out
from sol.models.pocket.prompts import (
    calibration_scenes,
    confirmation_scenes,
    extra_scenes,
    find_stratum,
    screening_scenes,
)
from sol.models.prompts import (
    STRATA,
    Prompt,
    calibration_prompts,
    confirmation_prompts,
    extra_prompts,
    screening_prompts,
)

SETS = ("general", "pocket")
GENERAL_SIZES = {"calibration": 24, "screening": 18, "confirmation": 126, "extra": 12}
"""Prompts of the general set's parts; of the extra ones, for each stratum."""
HIGHEST_SHARE = 0.6
SAY_LITTLE = set(
    re.findall(
        r"\w+",
        "a an and are as at by down for from in into is it its of off on or out over that the "
        "them through to under up while with",
    )
)

PLAIN = Background("plain", "gray", "dark", "none")
STRIPED = Background("striped", "gray", "dark", "none")
BOUNCING = SceneObject("star", "red", "small", "bouncing")
DRIFTING = SceneObject("star", "blue", "small", "left")


def parts_of(name: str) -> dict[str, list[str]]:
    sizes = GENERAL_SIZES
    extra = [extra_prompts(name, stratum, sizes["extra"]) for stratum in STRATA]
    return {
        "calibration": calibration_prompts(name, sizes["calibration"]),
        "screening": texts(screening_prompts(name, sizes["screening"])),
        "confirmation": texts(confirmation_prompts(name, sizes["confirmation"])),
        **{f"extra {s}": texts(ps) for s, ps in zip(STRATA, extra, strict=True)},
    }


def texts(prompts: list[Prompt]) -> list[str]:
    return [prompt.text for prompt in prompts]


@pytest.mark.parametrize("name", SETS)
def test_no_prompt_is_in_two_parts_or_twice_in_one(name):
    every = [text for part in parts_of(name).values() for text in part]
    assert len(every) == 24 + 18 + 126 + 3 * 12
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("get", "n"), [(screening_prompts, 18), (confirmation_prompts, 126)])
def test_any_first_prompts_are_the_same_and_balanced(
    name: str, get: Callable[[str, int], list[Prompt]], n: int
):
    every = get(name, n)
    assert get(name, 0) == []
    for k in (1, 2, 3, 7, 17):
        assert get(name, k) == every[:k]
    for k in range(1, n + 1):
        counts = Counter(prompt.stratum for prompt in every[:k])
        assert max(counts.values()) - min(counts[stratum] for stratum in STRATA) <= 1


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("stratum", STRATA)
def test_extra_prompts_are_of_their_stratum_and_keep_their_order(name, stratum):
    every = extra_prompts(name, stratum, 12)
    assert {prompt.stratum for prompt in every} == {stratum}
    assert extra_prompts(name, stratum, 5) == every[:5]


@pytest.mark.parametrize(
    ("get", "n"),
    [
        (calibration_prompts, 24),
        (screening_prompts, 18),
        (confirmation_prompts, 126),
        (lambda name, n: extra_prompts(name, "texture", n), 12),
    ],
)
def test_more_general_prompts_than_there_are_is_refused_with_their_number(get, n):
    assert len(get("general", n)) == n
    with pytest.raises(SolError, match=rf"are {n} .* {n + 1} were asked for: ask for {n} or"):
        get("general", n + 1)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("get", [calibration_prompts, screening_prompts, confirmation_prompts])
def test_a_negative_number_is_refused(name, get):
    with pytest.raises(ValueError, match="cannot be negative but is -1"):
        get(name, -1)


@pytest.mark.parametrize("name", SETS)
def test_an_unknown_stratum_is_refused_with_the_known_ones(name):
    with pytest.raises(UnknownNameError, match=r"'textures'. Known: texture, compositional"):
        extra_prompts(name, "textures", 1)


def test_an_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'pockets'. Known: pocket, general"):
        screening_prompts("pockets", 1)


def test_general_prompts_are_sentences_of_8_to_25_words():
    for text in (text for part in parts_of("general").values() for text in part):
        assert 8 <= len(re.findall(r"[A-Za-z']+", text)) <= 25, text


def test_no_two_general_prompts_are_near_duplicates():
    every = [text for part in parts_of("general").values() for text in part]
    for one, other in combinations(every, 2):
        assert share_of_words(one, other) <= HIGHEST_SHARE, (one, other)


def test_a_reworded_prompt_counts_as_a_near_duplicate():
    one = "a small dog runs over green grass"
    assert share_of_words(one, "two dogs run through grass that is green") > HIGHEST_SHARE
    assert share_of_words(one, "a small boat drifts on a lake") < HIGHEST_SHARE


def share_of_words(one: str, other: str) -> float:
    """Of the shorter prompt's content words; a plural counts as its singular."""
    left, right = content_words(one), content_words(other)
    return len(left & right) / min(len(left), len(right))


def content_words(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.lower())
    return {word.rstrip("s") for word in words if word not in SAY_LITTLE}


@pytest.mark.parametrize(
    ("objects", "background", "stratum"),
    [
        ((BOUNCING, DRIFTING), PLAIN, "compositional"),
        ((BOUNCING, DRIFTING), STRIPED, "compositional"),
        ((BOUNCING,), PLAIN, "motion"),
        ((BOUNCING,), STRIPED, "motion"),
        ((DRIFTING,), STRIPED, "texture"),
        ((DRIFTING,), PLAIN, None),
    ],
)
def test_the_stratum_of_a_scene_is_the_first_rule_that_fits(objects, background, stratum):
    assert find_stratum(Scene(objects, background)) == stratum


def test_pocket_prompts_come_with_their_scenes():
    scenes = screening_scenes(30) + confirmation_scenes(30) + extra_scenes("motion", 9)
    prompts = screening_prompts("pocket", 30) + confirmation_prompts("pocket", 30)
    prompts += extra_prompts("pocket", "motion", 9)
    assert len(set(scenes)) == len(scenes)
    assert not set(scenes) & set(calibration_scenes(300))
    for scene, prompt in zip(scenes, prompts, strict=True):
        assert is_held_out(scene)
        assert prompt.stratum == find_stratum(scene)
        assert all(item.colour in prompt.text for item in scene.objects)
        assert all(item.shape in prompt.text for item in scene.objects)
