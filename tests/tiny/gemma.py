"""A Gemma tokenizer over the pocket model's words."""

from __future__ import annotations

from transformers import GemmaTokenizer

from sol.models.pocket.data.captions import VOCABULARY

_WORD_START = "\u2581"


def build_gemma_tokenizer() -> GemmaTokenizer:
    """A Gemma tokenizer that spells its words out of their beginnings, one letter at a time."""
    merges = [
        (word[:end], word[end])
        for word in sorted(_WORD_START + word for word in VOCABULARY)
        for end in range(1, len(word))
    ]
    return GemmaTokenizer(vocab=gemma_vocabulary(), merges=list(dict.fromkeys(merges)))


def gemma_vocabulary() -> dict[str, int]:
    words = [_WORD_START + word for word in VOCABULARY]
    beginnings = {word[:end] for word in words for end in range(1, len(word) + 1)}
    letters = {letter for word in words for letter in word}
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *sorted(beginnings | letters)]
    return {piece: row for row, piece in enumerate(pieces)}
