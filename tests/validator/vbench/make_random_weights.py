"""Weights with random values in VBench's real cache layout, made inside VBench's environment.

`python -I make_random_weights.py ROOT FOLDER_OF_WORKER`. VBench fixes the architectures, so that
each has its full size; only the values are not trained. What is scored with them means nothing,
but it is scored by VBench's own code from the files that it really reads. Heads that give a mark
start in the middle of their range, as trained ones would.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
from pathlib import Path

import torch

DINO_URL = (
    "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth"
)
DINO_HUB = f'''
import timm
import torch

dependencies = ["torch", "timm"]


def dino_vitb16(pretrained=True, **kwargs):
    """Stands in for facebookresearch/dino: the same network, and weights by way of torch.hub."""
    any_size = {{"dynamic_img_size": True, "dynamic_img_pad": True}}
    model = timm.create_model("vit_base_patch16_224", num_classes=0, **any_size)
    if pretrained:
        state = torch.hub.load_state_dict_from_url(url="{DINO_URL}", map_location="cpu")
        model.load_state_dict(state, strict=True)
    return model.eval()
'''


def main(root):
    cache = root / "cache"
    for make in MAKERS:
        torch.manual_seed(0)
        make(root, cache)


def place(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def make_dino(root, cache):
    import timm

    hub = cache / "dino_model" / "facebookresearch_dino_main"
    place(hub / "hubconf.py").write_text(DINO_HUB)
    for name in ("vision_transformer.py", "utils.py"):
        (hub / name).write_text("# Stands in for the file of facebookresearch/dino.\n")
    file = place(cache / "dino_model" / "dino_vitbase16_pretrain.pth")
    torch.save(timm.create_model("vit_base_patch16_224", num_classes=0).state_dict(), file)
    shutil.copy(file, place(root / "torch" / "hub" / "checkpoints" / file.name))


def make_clip(cache, name, width, embed, patch, layers, text_width):
    """CLIP loads TorchScript archives only: a trace, with the sizes that its loader reads back."""
    from clip.model import CLIP

    model = CLIP(embed, 224, layers, width, patch, 77, 49408, text_width, text_width // 64, 12)
    model.eval()
    example = (torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.int64))
    with torch.no_grad():
        traced = torch.jit.trace(model, example, check_trace=False)
    torch.jit.save(traced, place(cache / "clip_model" / f"{name}.pt"))


def make_aesthetic(root, cache):
    make_clip(cache, "ViT-L-14", 1024, 768, 14, 24, 768)
    file = place(cache / "aesthetic_model" / "emb_reader" / "sa_0_4_vit_l_14_linear.pth")
    head = torch.nn.Linear(768, 1)
    torch.nn.init.constant_(head.bias, 5.0)
    torch.save(head.state_dict(), file)


def make_amt(root, cache):
    model = importlib.import_module("vbench.third_party.amt.networks.AMT-S").Model(3, 4, 3)
    file = place(cache / "amt_model" / "amt-s.pth")
    # Beside the weights the real file holds other objects: torch.load must allow them.
    torch.save({"state_dict": model.state_dict(), "args": argparse.Namespace(lr=2e-4)}, file)


def make_raft(root, cache):
    from easydict import EasyDict
    from vbench.third_party.RAFT.core.raft import RAFT

    model = RAFT(EasyDict(small=False, mixed_precision=False, alternate_corr=False))
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save(state, place(cache / "raft_model" / "models" / "raft-things.pth"))


def make_musiq(root, cache):
    from pyiqa.archs.musiq_arch import MUSIQ

    model = MUSIQ(pretrained=False)
    torch.nn.init.constant_(model.head.bias, 50.0)
    file = place(cache / "pyiqa_model" / "musiq_spaq_ckpt-358bb6af.pth")
    torch.save(model.state_dict(), file)


def make_viclip(root, cache):
    import clip

    vocabulary = Path(clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(vocabulary, place(cache / "ViCLIP" / vocabulary.name))
    from vbench.third_party.ViCLIP.simple_tokenizer import SimpleTokenizer
    from vbench.third_party.ViCLIP.viclip import ViCLIP

    model = ViCLIP(SimpleTokenizer(str(cache / "ViCLIP" / vocabulary.name)), pretrain=None)
    # Uninitialised memory otherwise: VBench's own class leaves some of these to the checkpoint.
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    torch.save({"model": model.state_dict()}, place(cache / "ViCLIP/ViClip-InternVid-10M-FLT.pth"))


MAKERS = (
    make_dino,
    lambda root, cache: make_clip(cache, "ViT-B-32", 768, 512, 32, 12, 512),
    make_aesthetic,
    make_amt,
    make_raft,
    make_musiq,
    make_viclip,
)

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])
    import worker

    root = Path(sys.argv[1])
    worker.prepare_process({"cache_dir": str(root / "cache"), "torch_home": str(root / "torch")})
    worker.import_vbench()
    main(root)
