"""Pocket: a text-to-video model small enough for one CPU core, in stock diffusers format.

`weights/` loads with `LTXPipeline.from_pretrained` and needs no code of ours. `data/` draws
captioned clips without end, `training/` makes the weights from them, and `workload.py` says at
which sizes and settings.
"""
