"""The files of weights that VBench's dimensions read, and where each must lie."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

_CLIP = "https://openaipublic.azureedge.net/clip/models"
_CLIP_B32 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
_CLIP_L14 = "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
_DINO_CODE = "facebookresearch_dino_main"
_VIDEO_MODELS = "https://huggingface.co/OpenGVLab/VBench_Used_Models/resolve/main"


@dataclass(frozen=True)
class WeightFile:
    """One file.

    Attributes:
        name: What it is called in a folder given to `--weights-from`.
        places: Every path, from the environment's folder, at which it is read or looked for.
        url: Where it is published.
        dimensions: Those that cannot run without it.
        about_mb: Its size, to tell a user what to expect.
        sha256: As its publisher or several independent users give it; None if no one does. It is
            then written into `weights.lock.json` when the file first comes, and holds from then.
    """

    name: str
    places: tuple[str, ...]
    url: str
    dimensions: tuple[str, ...]
    about_mb: float
    sha256: str | None = None


def _dino_code(file: str) -> WeightFile:
    return WeightFile(
        name=f"{_DINO_CODE}/{file}",
        places=(f"cache/dino_model/{_DINO_CODE}/{file}",),
        url=f"https://raw.githubusercontent.com/facebookresearch/dino/main/{file}",
        dimensions=("subject_consistency",),
        about_mb=0.01,
    )


WEIGHTS: tuple[WeightFile, ...] = (
    # DINO's code, which VBench would clone, and its weights: VBench only looks whether the first
    # place is there, and torch.hub loads from the second.
    *(_dino_code(file) for file in ("hubconf.py", "vision_transformer.py", "utils.py")),
    WeightFile(
        name="dino_vitbase16_pretrain.pth",
        places=(
            "cache/dino_model/dino_vitbase16_pretrain.pth",
            "torch/hub/checkpoints/dino_vitbase16_pretrain.pth",
        ),
        url="https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/"
        "dino_vitbase16_pretrain.pth",
        dimensions=("subject_consistency",),
        about_mb=343,
    ),
    # CLIP's addresses contain the SHA-256.
    WeightFile(
        name="ViT-B-32.pt",
        places=("cache/clip_model/ViT-B-32.pt",),
        url=f"{_CLIP}/{_CLIP_B32}/ViT-B-32.pt",
        dimensions=("background_consistency",),
        about_mb=354,
        sha256=_CLIP_B32,
    ),
    WeightFile(
        name="ViT-L-14.pt",
        places=("cache/clip_model/ViT-L-14.pt",),
        url=f"{_CLIP}/{_CLIP_L14}/ViT-L-14.pt",
        dimensions=("aesthetic_quality",),
        about_mb=933,
        sha256=_CLIP_L14,
    ),
    WeightFile(
        name="sa_0_4_vit_l_14_linear.pth",
        places=("cache/aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth",),
        url="https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/main/"
        "sa_0_4_vit_l_14_linear.pth",
        dimensions=("aesthetic_quality",),
        about_mb=0.01,
    ),
    WeightFile(
        name="amt-s.pth",
        places=("cache/amt_model/amt-s.pth",),
        url="https://huggingface.co/lalala125/AMT/resolve/main/amt-s.pth",
        dimensions=("motion_smoothness",),
        about_mb=12,
    ),
    # VBench takes it out of an archive on Dropbox; ProPainter publishes the same file by itself,
    # and the SHA-256 is the one that RAFT's users give for the archive's.
    WeightFile(
        name="raft-things.pth",
        places=("cache/raft_model/models/raft-things.pth",),
        url="https://github.com/sczhou/ProPainter/releases/download/v0.1.0/raft-things.pth",
        dimensions=("dynamic_degree",),
        about_mb=21,
        sha256="fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1",
    ),
    # IQA-PyTorch puts the first eight digits into the name.
    WeightFile(
        name="musiq_spaq_ckpt-358bb6af.pth",
        places=("cache/pyiqa_model/musiq_spaq_ckpt-358bb6af.pth",),
        url="https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/"
        "musiq_spaq_ckpt-358bb6af.pth",
        dimensions=("imaging_quality",),
        about_mb=109,
        sha256="358bb6af275e28ea56821d44fb55c6cb83645db11f394d3ad65b2d149965ab50",
    ),
    WeightFile(
        name="ViClip-InternVid-10M-FLT.pth",
        places=("cache/ViCLIP/ViClip-InternVid-10M-FLT.pth",),
        url=f"{_VIDEO_MODELS}/ViClip-InternVid-10M-FLT.pth",
        dimensions=("overall_consistency",),
        about_mb=1711,
    ),
    # The file that the package openai-clip holds, too.
    WeightFile(
        name="bpe_simple_vocab_16e6.txt.gz",
        places=("cache/ViCLIP/bpe_simple_vocab_16e6.txt.gz",),
        url="https://raw.githubusercontent.com/openai/CLIP/main/clip/bpe_simple_vocab_16e6.txt.gz",
        dimensions=("overall_consistency",),
        about_mb=1.4,
        sha256="924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
    ),
)


LICENCES: tuple[str, ...] = (
    "motion_smoothness: the weights of AMT are CC BY-NC 4.0, not for commercial use.",
    "imaging_quality: pyiqa is PolyForm Noncommercial 1.0.0, not for commercial use.",
)
"""What a user must know before running a dimension for a product."""


def weights_of(
    dimensions: Collection[str], weights: Sequence[WeightFile] = WEIGHTS
) -> tuple[WeightFile, ...]:
    """The files that any of the dimensions needs, in the table's order."""
    return tuple(file for file in weights if set(file.dimensions) & set(dimensions))
