"""The pocket model untrained: stock diffusers and transformers classes at pocket sizes."""

from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from sol.models.pocket.data.captions import VOCABULARY
from sol.models.pocket.workload import MAX_SEQUENCE_LENGTH, SIGMA_SHIFT

LATENT_CHANNELS = 16
TEXT_WIDTH = 96
N_HEADS = 4
HEAD_DIM = 32
N_LAYERS = 8

_WORD_START = "\u2581"
_TOKENIZER_SIZE = 192
"""Words of today's captions and free rows, so that a later vocabulary keeps the weights' shape."""


def build_pipeline() -> LTXPipeline:
    """Builds the whole pipeline with random weights, drawn from torch's global generator."""
    return LTXPipeline(
        scheduler=build_scheduler(),
        vae=build_vae(),
        text_encoder=build_text_encoder(),
        tokenizer=build_tokenizer(),
        transformer=build_transformer(),
    )


def build_tokenizer() -> T5Tokenizer:
    """Builds a T5 tokenizer whose pieces are whole words; any other word becomes `<unk>`."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = [(_WORD_START + word, -1.0) for word in VOCABULARY]
    return T5Tokenizer(vocab=special + words, extra_ids=0, model_max_length=MAX_SEQUENCE_LENGTH)


def build_text_encoder() -> T5EncoderModel:
    """Builds a two-layer T5 encoder of width `TEXT_WIDTH`."""
    config = T5Config(
        vocab_size=_TOKENIZER_SIZE,
        d_model=TEXT_WIDTH,
        d_kv=24,
        d_ff=2 * TEXT_WIDTH,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    return T5EncoderModel(config)


def build_vae() -> AutoencoderKLLTXVideo:
    """Builds a video autoencoder of 8x8 spatial and 4x temporal compression.

    Pixels enter as 2x2 patches and pass two halvings of space and time. The residual paths of
    both samplers make the untrained network nearly the identity, which shortens training; no
    decoder layer but the last runs at patch resolution, which keeps decoding cheap.
    """
    return AutoencoderKLLTXVideo(
        latent_channels=LATENT_CHANNELS,
        patch_size=2,
        patch_size_t=1,
        block_out_channels=(32, 64, 128),
        down_block_types=("LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D"),
        layers_per_block=(0, 1, 1),
        spatio_temporal_scaling=(True, True),
        downsample_type=("spatiotemporal", "spatiotemporal"),
        decoder_block_out_channels=(24, 64),
        decoder_layers_per_block=(0, 1, 2),
        decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False, False, False),
        upsample_residual=(True, True),
        upsample_factor=(1, 1),
    )


def build_transformer() -> LTXVideoTransformer3DModel:
    """Builds the denoiser: one token per latent position."""
    return LTXVideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=N_HEADS,
        attention_head_dim=HEAD_DIM,
        cross_attention_dim=N_HEADS * HEAD_DIM,
        num_layers=N_LAYERS,
        caption_channels=TEXT_WIDTH,
    )


def build_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Builds the flow-matching Euler scheduler, its shift the same for any number of tokens."""
    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=SIGMA_SHIFT, max_shift=SIGMA_SHIFT
    )
