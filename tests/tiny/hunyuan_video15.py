"""A tiny HunyuanVideo 1.5 pipeline."""

from __future__ import annotations

import functools
from typing import Any

from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from tiny.qwen import build_qwen_tokenizer, qwen_vocabulary
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, T5_SIZES, WIDTH
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
)

# The published one's instruction: the pipeline cuts so many tokens off.
_CHAT_TEMPLATE = (
    "{{ '<unk>' * 108 }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ ' ' + message['content'] }}"
    "{% endif %}{% endfor %}{{ '<unk>' }}"
)
_FEW_TOKENS = 8


def shorten_hidden_text() -> None:
    """From now on, all of these pipelines have few of the tokens that a mask hides anyway.

    Of an image that there is not they have 729, of quotations 256, by no setting; beside them the
    other tokens of a tiny pipeline are nothing.
    """
    init = HunyuanVideo15Pipeline.__init__

    @functools.wraps(init)
    def short(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.vision_num_semantic_tokens = self.tokenizer_2_max_length = _FEW_TOKENS

    HunyuanVideo15Pipeline.__init__ = short  # type: ignore[method-assign]


shorten_hidden_text()


def build() -> HunyuanVideo15Pipeline:
    return HunyuanVideo15Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=AutoencoderKLHunyuanVideo15(
            latent_channels=LATENT_CHANNELS,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            spatial_compression_ratio=8,
        ),
        text_encoder=Qwen2_5_VLTextModel(_qwen_config()),
        tokenizer=_qwen_tokenizer(),
        text_encoder_2=T5EncoderModel(T5Config(**{**T5_SIZES, "vocab_size": 384})),
        tokenizer_2=ByT5Tokenizer(),
        guider=ClassifierFreeGuidance(guidance_scale=6.0),
        transformer=HunyuanVideo15Transformer3DModel(
            # Those of an image, and a mask that says where it is.
            in_channels=2 * LATENT_CHANNELS + 1,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=N_HEADS,
            attention_head_dim=HEAD_DIM,
            num_layers=N_BLOCKS,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=WIDTH,
            text_embed_2_dim=WIDTH,
            image_embed_dim=WIDTH,
            rope_axes_dim=(4, 6, 6),
            task_type="t2v",
        ),
    )


def _qwen_tokenizer() -> Qwen2Tokenizer:
    tokenizer = build_qwen_tokenizer()
    tokenizer.chat_template = _CHAT_TEMPLATE
    tokenizer.padding_side = "right"
    return tokenizer


def _qwen_config() -> Qwen2_5_VLTextConfig:
    sizes: dict[str, Any] = {
        "vocab_size": len(qwen_vocabulary()),
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        # The pipeline leaves out what the last two make of the text.
        "num_hidden_layers": 4,
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_HEADS,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    rope = {"mrope_section": [2, 3, 3], "rope_type": "default", "rope_theta": 1e6}
    return Qwen2_5_VLTextConfig(**sizes, rope_parameters=rope)
