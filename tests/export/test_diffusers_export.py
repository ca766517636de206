"""The Python file runs where there is no Sol, and its frames are those of sol.apply."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from example_prompts import PROMPT
from export_examples import item, recipe_of

from sol.errors import NotApplicableError, SolError
from sol.export.diffusers import export_diffusers
from sol.models.catalog import CATALOG, POCKET_WEIGHTS
from sol.runtime.applied import install_stack
from sol.runtime.render import render

RATIOS = [1.0, 1.02, 1.01, 1.01, 1.0, 1.0, 0.99, 0.98]
SERIES = {"cache_interval": 3, "disable_cache_before_step": 2}
CASES = {
    "first_block": (item("diffusers_first_block", threshold=0.4, warmup=1),),
    "first_block in some steps": (
        item("diffusers_first_block", "2-3,5", threshold=0.9, warmup=1),
    ),
    "mag": (item("diffusers_mag", mag_ratios=RATIOS, threshold=0.2, max_skip_steps=2),),
    "taylorseer": (item("diffusers_taylorseer", **SERIES),),
    "taylorseer by names": (
        item("diffusers_taylorseer", cache_identifiers=[r".*\.attn[12]"], **SERIES),
    ),
    "int8": (item("int8_torchao"),),
    "weights": (item("weight_only"), item("diffusers_first_block", threshold=0.9, warmup=2)),
    "autocast": (item("autocast"),),
}
# One process for all, in which sol cannot be imported.
DRIVER = """
import importlib.util, runpy, sys, warnings
sys.modules["sol"] = None
import numpy, torch
torch.set_num_threads(1)
warnings.simplefilter("ignore")
folder, prompt, *files = sys.argv[1:]
for file in files:
    names = runpy.run_path(file)
    pipe = names["load"](folder)
    pipe.set_progress_bar_config(disable=True)
    # What a cache keeps must not reach the next video.
    n_videos = 2 if "Cache" in open(file).read() else 1
    videos = [names["generate"](pipe, prompt, 0) for _ in range(n_videos)]
    numpy.save(file + ".npy", videos)
if importlib.util.find_spec("cv2"):
    sys.argv[1:] = ["--model", folder, "--prompt", prompt]
    names["main"]()
"""


def run_exported(folder, cases):
    files = []
    for number, items in enumerate(cases):
        files.append(folder / f"{number}.py")
        files[-1].write_text(export_diffusers(recipe_of(*items)).text)
    command = [sys.executable, "-c", DRIVER, str(POCKET_WEIGHTS), PROMPT, *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=500)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return [np.load(f"{file}.npy") for file in files]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def videos(folder):
    made = run_exported(folder, CASES.values())
    return dict(zip(CASES, made, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_frames_are_those_of_sol(videos, pipeline, workload, baseline, name):
    with install_stack(pipeline, CASES[name]) as applied:
        ours = render(pipeline, workload, PROMPT, 0).frames
        applied.require_engaged()
    assert all(np.array_equal(video, ours) for video in videos[name])
    assert not np.array_equal(ours, baseline.frames)


@pytest.mark.slow
@pytest.mark.parametrize("technique", ["regional_compile", "full_compile"])
def test_compiled_frames_are_those_of_sol(tmp_path, pipeline, workload, technique):
    """To rounding: what is around a region decides how Inductor fuses what is in it."""
    items = (item(technique),)
    ((video,),) = run_exported(tmp_path, [items])
    with install_stack(pipeline, items):
        ours = render(pipeline, workload, PROMPT, 0).frames
    assert np.abs(video - ours).max() < 1e-4


def test_the_file_by_itself_writes_a_video(folder, videos):
    pytest.importorskip("cv2")
    assert (folder / "video.mp4").read_bytes()[4:8] == b"ftyp"


def names_of(*items):
    """What the exported file defines."""
    names = {"__name__": "exported"}
    exec(compile(export_diffusers(recipe_of(*items)).text, "exported", "exec"), names)
    return names


@pytest.mark.parametrize(
    "stack_item",
    [
        item("fp8"),
        item("fp8", granularity="tensor"),
        item("weight_only", format="int4", group_size=64),
    ],
    ids=["fp8 by rows", "fp8 by tensors", "int4"],
)
def test_layers_that_a_format_does_not_take_stay_as_they_are(pipeline, stack_item):
    """These take bfloat16 alone; there is no machine here that computes in them."""
    before = {name: type(p) for name, p in pipeline.transformer.named_parameters()}
    names_of(stack_item)["accelerate"](pipeline.transformer)
    assert {name: type(p) for name, p in pipeline.transformer.named_parameters()} == before


def test_the_attention_back_end_is_set_by_diffusers_own_call():
    """Not on a real denoiser: diffusers would keep it for the whole process."""

    class Denoiser:
        def set_attention_backend(self, name):
            self.backend = name

    denoiser = Denoiser()
    names_of(item("attention_backend", backend="_native_flash", sites="all"))["accelerate"](
        denoiser
    )
    assert denoiser.backend == "_native_flash"


def test_a_model_of_the_hub_is_loaded_by_its_id_and_revision():
    recipe = recipe_of(item("regional_compile"))
    model = replace(recipe.target.model, id="ltx", revision="a" * 40)
    text = export_diffusers(replace(recipe, target=replace(recipe.target, model=model))).text
    assert f"default={CATALOG['ltx'].source!r}" in text
    assert f"revision={'a' * 40!r}" in text


def test_what_it_cannot_say_is_listed():
    exported = export_diffusers(
        recipe_of(item("bf16_linear"), item("regional_compile"), item("planned", skip="3"))
    )
    assert exported.expressed == ("regional_compile",)
    assert [left.technique for left in exported.omissions] == ["bf16_linear", "planned"]
    assert all(f"{left.technique}: {left.reason}" in exported.text for left in exported.omissions)


@pytest.mark.parametrize(
    ("stack_item", "reason"),
    [
        (item("diffusers_first_block", threshold=0.0), "reuses nothing"),
        (item("diffusers_first_block", "0-1", warmup=3), "active in none of the 8 steps"),
        (item("diffusers_mag", "2-4", mag_ratios=RATIOS), "cannot limit it to the steps '2-4'"),
        (item("diffusers_mag"), "without a threshold and ratios"),
        (item("diffusers_taylorseer", sites="attention"), "no name for all attentions"),
        (item("regional_compile", kernels="triton"), "Sol's Triton kernels"),
        (item("attention_backend", backend="flash"), "for self-attention alone"),
        (item("autocast", full_first=1), "some of the steps"),
        (item("int8_torchao", layers="qkv=all"), "'qkv=all' have other names"),
        (item("int8_torchao", rank=4), "no low-rank correction"),
        (item("int8_torchao", "2-4"), "for all steps"),
        (item("weight_only", smooth=0.5), "does not smooth"),
        (item("fp8", granularity="block"), "each layer's shape"),
        (item("text_kv"), "neither diffusers nor torch has it"),
    ],
)
def test_a_recipe_of_which_nothing_can_be_said_is_an_error(stack_item, reason):
    with pytest.raises(SolError, match=f"Nothing of this recipe.*{reason}"):
        export_diffusers(recipe_of(stack_item))


def test_a_call_that_follows_from_the_pipeline_cannot_be_written():
    recipe = recipe_of(item("regional_compile"))
    model = replace(recipe.target.model, family="ltx2")
    with pytest.raises(NotApplicableError, match="LTX2Pipeline is called follows from the loaded"):
        export_diffusers(replace(recipe, target=replace(recipe.target, model=model)))


@pytest.mark.parametrize(
    "text",
    ["\n    import os", '"""\nraise SystemExit', "'); raise SystemExit(9)  #", "{x!r}\r1/0"],
)
def test_nothing_of_a_recipe_becomes_code(text):
    recipe = recipe_of(item("regional_compile"), negative_prompt=text)
    model = replace(recipe.target.model, id=text, revision=text)
    hardware = replace(recipe.target.hardware, name=text)
    speedup = replace(recipe.evidence.speedup, device=text)
    harmful = replace(
        recipe,
        target=replace(recipe.target, model=model, hardware=hardware),
        evidence=replace(recipe.evidence, speedup=speedup),
        digest=text,
    )
    names: dict[str, object] = {"__name__": "exported"}
    exec(compile(export_diffusers(harmful).text, "exported", "exec"), names)
    assert names["CALL"]["negative_prompt"] == text
