"""A Qwen tokenizer over the pocket model's words, and a small Qwen2.5-VL that reads them."""

from __future__ import annotations

from tiny.sizes import HEAD_DIM, N_HEADS, WIDTH
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from sol.models.pocket.data.captions import VOCABULARY

_WORD_START = "\u0120"
_PAD = "<|endoftext|>"
_UNKNOWN = "<unk>"
# The published one begins with a long instruction, and a test's prompt has few tokens.
_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{% if message['content'] is string %}{{ ' ' + message['content'] }}"
    "{% else %}{{ ' ' + message['content'][0]['text'] }}{% endif %}"
    "{% endif %}{% endfor %}"
)

N_ENCODER_LAYERS = 2


def build_qwen_tokenizer() -> Qwen2Tokenizer:
    """A Qwen tokenizer that spells its words out of their beginnings, one letter at a time."""
    merges = [
        (word[:end], word[end])
        for word in sorted(_WORD_START + word for word in VOCABULARY)
        for end in range(1, len(word))
    ]
    tokenizer = Qwen2Tokenizer(
        vocab=qwen_vocabulary(), merges=list(dict.fromkeys(merges)), unk_token=_UNKNOWN
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def qwen_vocabulary() -> dict[str, int]:
    words = [_WORD_START + word for word in VOCABULARY]
    beginnings = {word[:end] for word in words for end in range(1, len(word) + 1)}
    letters = {letter for word in words for letter in word}
    pieces = [_PAD, _UNKNOWN, *sorted(beginnings | letters)]
    return {piece: row for row, piece in enumerate(pieces)}


def build_qwen_encoder() -> Qwen2_5_VLForConditionalGeneration:
    """Two layers of text; the vision part is never called."""
    n_words = len(qwen_vocabulary())
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": n_words + 3,
                "hidden_size": WIDTH,
                "intermediate_size": WIDTH,
                "num_hidden_layers": N_ENCODER_LAYERS,
                "num_attention_heads": N_HEADS,
                "num_key_value_heads": N_HEADS,
                "rope_parameters": {
                    "mrope_section": [2, 3, 3],
                    "rope_type": "default",
                    "rope_theta": 1e6,
                },
                "bos_token_id": 0,
                "eos_token_id": 0,
            },
            vision_config={
                "depth": 1,
                "hidden_size": HEAD_DIM,
                "intermediate_size": HEAD_DIM,
                "num_heads": 1,
                "out_hidden_size": WIDTH,
            },
            vision_start_token_id=n_words,
            vision_end_token_id=n_words + 1,
            vision_token_id=n_words + 2,
            image_token_id=n_words + 2,
            video_token_id=n_words + 2,
        )
    )
