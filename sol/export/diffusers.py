"""Recipes as a Python file that needs diffusers and torch alone.

The file loads the model, puts on it what diffusers, torch and torchao can do by themselves, and
makes one video with the recipe's workload. In it are only techniques that do there what they do in
Sol: a test compares the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path

from sol.errors import NotApplicableError
from sol.export import cache_pieces, module_pieces
from sol.export.header import header_lines
from sol.export.members import StackMember, express, members_of, require_something
from sol.export.outcome import Export
from sol.export.snippet import Piece
from sol.models.catalog import find_entry
from sol.models.families import FAMILIES, Family, get_family_of_class
from sol.recipe import Recipe

FORMAT = "diffusers"
_OTHERWISE = "neither diffusers nor torch has it"
_REASONS: Mapping[str, str] = {
    "cache_dit": "it is of another library: use --to cache-dit",
    "cuda_graphs": "its outputs are to be copied before the next call, which torch leaves to us",
    "first_block": "diffusers' FirstBlockCache has neither max_skips nor tail, front nor back",
    "fused_qkv": "diffusers fuses only where a model's processor has a path for it",
    "nvfp4": "torchao has it among its prototypes, which may change",
    "pab": "diffusers' own is for other models, and counts other steps",
    "step_mask": "diffusers cannot leave out a denoiser call",
    "planned": "diffusers cannot leave out a denoiser call",
    "easycache": "diffusers cannot leave out a denoiser call",
    "teacache": "diffusers' own has other coefficients and signals",
}
_WAYS: Mapping[str, Callable[[StackMember], Piece]] = {
    "attention_backend": module_pieces.attention_backend,
    "autocast": module_pieces.autocast,
    "diffusers_first_block": cache_pieces.first_block,
    "diffusers_mag": cache_pieces.mag,
    "diffusers_taylorseer": cache_pieces.taylorseer,
    "fp8": module_pieces.fp8,
    "full_compile": module_pieces.full_compile,
    "int8_torchao": module_pieces.int8_torchao,
    "regional_compile": module_pieces.regional_compile,
    "weight_only": module_pieces.weight_only,
}


def export_diffusers(recipe: Recipe) -> Export:
    """The Python text.

    Raises:
        SolError: Nothing of the recipe can be said in this format.
        NotApplicableError: A family of models that this version does not have.
    """
    expressed = express(members_of(recipe), _WAYS, _REASONS, _OTHERWISE)
    require_something(expressed, FORMAT)
    names, pieces = tuple(expressed.forms), tuple(expressed.forms.values())
    usage = "python this_file.py [--model ID_OR_FOLDER] --prompt TEXT --output video.mp4"
    header = header_lines(
        recipe, "A video with diffusers and torch", usage, names, expressed.omissions
    )
    return Export(_write(recipe, header, pieces), names, expressed.omissions)


_BODY = '''\
import argparse

import torch
from diffusers import DiffusionPipeline
{imports}

{functions}CALL = {call}


def load(model):
    """The accelerated pipeline."""
    pipe = DiffusionPipeline.from_pretrained(
        model, revision={revision!r}, dtype=torch.{dtype}, use_safetensors=True
    ).to({device!r})
    if getattr(pipe, "transformer_2", None) is not None:
        raise SystemExit("This file accelerates pipelines of one denoiser.")
    accelerate(pipe.transformer)
    return pipe


def accelerate(transformer):
    """What is done once."""
{install}


def generate(pipe, prompt, seed=0):
    """One video: frames of (height, width, 3) in [0, 1]."""
{before_call}    with torch.no_grad():
        return pipe(
            prompt=prompt,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
{call_arguments}            **CALL,
        ).frames[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", {default}, help="Hub id or folder")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="video.mp4")
    options = parser.parse_args()
    frames = generate(load(options.model), options.prompt, options.seed)
    export_to_video(list(frames), options.output, fps={frame_rate!r})


if __name__ == "__main__":
    main()
'''


def _write(recipe: Recipe, header: Iterable[str], pieces: Iterable[Piece]) -> str:
    pieces = tuple(pieces)
    target = recipe.target
    workload, revision = target.workload, target.model.revision
    source = _hub_source(target.model.id)
    body = _BODY.format(
        imports="".join(
            f"{line}\n"
            for line in sorted(
                {line for p in pieces for line in p.imports}
                | {"from diffusers.utils import export_to_video"}
            )
        ),
        functions="".join(f"{text}\n\n" for text in _distinct(p.functions for p in pieces)),
        call=_call(recipe),
        revision=None if source is None or revision == _LOCAL else revision,
        dtype=workload.dtype,
        device=target.hardware.device,
        install=_indented(4, [line for p in pieces for line in p.install] or ["pass"]),
        before_call="".join(f"    {line}\n" for p in pieces for line in p.before_call),
        call_arguments="".join(
            f"            {line},\n" for p in pieces for line in p.call_arguments
        ),
        default="required=True" if source is None else f"default={source!r}",
        frame_rate=workload.frame_rate,
    )
    return "".join(f"# {line}\n" for line in header) + "\n" + body


_LOCAL = "local"
"""The revision of what is no repository."""
_OF_THE_PIPELINE = ("own_arguments", "prepare")
"""What a family may do with a pipeline beyond the arguments of its call."""


def _hub_source(model_id: str) -> str | None:
    """What `from_pretrained` takes from anywhere; None for a folder of this machine."""
    entry = find_entry(model_id)
    source = entry.source if entry else model_id
    return None if Path(source).is_absolute() or Path(source).is_dir() else source


def _call(recipe: Recipe) -> str:
    name = recipe.target.model.family
    family = FAMILIES.get(name) or get_family_of_class(name)
    if _looks_at_the_pipeline(family):
        raise NotApplicableError(
            f"How {family.pipelines[0]} is called follows from the loaded pipeline, not from the "
            f"recipe alone: no file for {FORMAT!r} can be written. Use the recipe with sol.apply."
        )
    arguments = family.call_arguments(recipe.target.workload)
    lines = [f"    {name!r}: {value!r},\n" for name, value in arguments.items()]
    return "{\n" + "".join(lines) + "}"


def _looks_at_the_pipeline(family: Family) -> bool:
    defaults = {field.name: field.default for field in fields(family)}
    return any(getattr(family, name) is not defaults[name] for name in _OF_THE_PIPELINE)


def _distinct(groups: Iterable[Iterable[str]]) -> Iterable[str]:
    return dict.fromkeys(text for group in groups for text in group)


def _indented(n_spaces: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * n_spaces + line for line in lines)
