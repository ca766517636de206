"""What the tiny pipelines have in common: four blocks of width 32."""

from __future__ import annotations

from typing import Any

WIDTH = 32
N_HEADS = 2
HEAD_DIM = 16
N_BLOCKS = 4
LATENT_CHANNELS = 4
N_TEXT_TOKENS = 16

T5_SIZES: dict[str, Any] = {
    "vocab_size": 192,
    "d_model": WIDTH,
    "d_kv": HEAD_DIM,
    "d_ff": WIDTH,
    "num_layers": 2,
    "num_heads": N_HEADS,
    "dropout_rate": 0.0,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
"""Of a text encoder whose vocabulary is the pocket model's, with room to spare."""
