"""Pocket: a text-to-video model small enough for one CPU core, in stock diffusers format.

`weights/` loads with `LTXPipeline.from_pretrained`; everything else here makes those weights.
"""
