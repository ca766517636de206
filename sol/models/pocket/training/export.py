"""Writes the pipeline folder: small files, swapped in whole."""

import copy
import shutil
from pathlib import Path

from diffusers import LTXPipeline

MODEL_CARD = "README.md"


def export_weights(pipeline: LTXPipeline, folder: Path) -> None:
    """Saves a pipeline to `folder`, replacing what is there but its model card.

    The two large components are stored in float16; loading with `dtype=torch.float32`
    gives float32 throughout. A reader never sees a half-written folder.
    """
    fresh = folder.with_name(folder.name + ".new")
    stale = folder.with_name(folder.name + ".old")
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    halved = LTXPipeline(
        scheduler=pipeline.scheduler,
        vae=copy.deepcopy(pipeline.vae).half(),
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        transformer=copy.deepcopy(pipeline.transformer).half(),
    )
    halved.save_pretrained(fresh)
    if (folder / MODEL_CARD).exists():
        shutil.copy2(folder / MODEL_CARD, fresh / MODEL_CARD)
    if folder.exists():
        folder.rename(stale)
    fresh.rename(folder)
    shutil.rmtree(stale, ignore_errors=True)
