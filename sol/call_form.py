"""What a module maps, read from its call and from its answer as one tensor.

A technique that predicts what a call would have returned (a cache) works on one input x and one
output y of x's shape. Most denoisers map one tensor. Others map several side by side: the tokens
of a video and those of its text, or of its sound. Then x and y hold all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from sol.forward_arguments import argument_reader, map_tensors

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]


@dataclass(frozen=True)
class CallForm:
    """How a module is called and how it answers.

    Attributes:
        read: (args, kwargs) -> x, with the batch on axis 0.
        read_answer: What the module returned -> y, of x's shape.
        answer: (y, args, kwargs, type of an earlier answer; None for a tuple) -> what the module
            would have returned.
        names: The arguments that x is made of, in order.
    """

    read: Callable[[Args, Kwargs], torch.Tensor]
    read_answer: Callable[[Any], torch.Tensor]
    answer: Callable[[torch.Tensor, Args, Kwargs, type | None], Any]
    names: tuple[str, ...] = ()

    def pass_through(self, args: Args, kwargs: Kwargs) -> Any:
        """The answer of a module that changes nothing."""
        return self.answer(self.read(args, kwargs), args, kwargs, None)


def type_of(answer: Any) -> type | None:
    """diffusers' record that a denoiser answered with; None for a tuple."""
    return None if isinstance(answer, tuple) else type(answer)


def replace_first(answer: Any, first: torch.Tensor) -> Any:
    """A tuple, or diffusers' record, with another tensor in its first place."""
    if isinstance(answer, tuple):
        return (first, *answer[1:])
    return type(answer)(**{**answer, next(iter(answer)): first})


def change_first(
    form: CallForm,
    y: torch.Tensor,
    args: Args,
    kwargs: Kwargs,
    change: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """y with another first tensor of the answer that it holds: the video without its sound."""
    first, *others = form.answer(y, args, kwargs, None)
    # The denoisers of some models answer with a list for each kind of output.
    return form.read_answer((map_tensors(change, first), *others))


def denoiser_form(denoiser: nn.Module, latents: str) -> CallForm:
    """Of a denoiser whose answer begins with the prediction for the latents of its argument."""
    return CallForm(
        argument_reader(denoiser, latents),
        lambda answer: answer[0],
        lambda y, args, kwargs, kind: (y,) if kind is None else kind(sample=y),
        (latents,),
    )


def block_form(block: nn.Module, hidden: str) -> CallForm:
    """Of a block that maps its hidden states to new ones."""
    return CallForm(
        argument_reader(block, hidden),
        lambda answer: answer,
        lambda y, args, kwargs, kind: y,
        (hidden,),
    )


def streams_form(block: nn.Module, names: Sequence[str], token_axis: int = 1) -> CallForm:
    """Of a block that maps several token sequences and returns them as a tuple.

    In x they follow one another along the token axis. Sequences of other widths are cut: a token
    of twice the width is two.

    Args:
        names: The block's arguments, in the order of its answer.
        token_axis: 1 for (batch, tokens, width), 0 for (tokens, width).
    """
    readers = tuple(argument_reader(block, name) for name in names)

    def streams(args: Args, kwargs: Kwargs) -> tuple[torch.Tensor, ...]:
        return tuple(read(args, kwargs) for read in readers)

    def answer(y: torch.Tensor, args: Args, kwargs: Kwargs, kind: type | None) -> Any:
        return _split(y, streams(args, kwargs), token_axis)

    return CallForm(
        lambda args, kwargs: _join(streams(args, kwargs), token_axis),
        lambda answer: _join(answer, token_axis),
        answer,
        tuple(names),
    )


def _join(streams: Sequence[torch.Tensor], token_axis: int) -> torch.Tensor:
    width = _common_width(streams)
    cut = [stream.reshape(*stream.shape[:-2], -1, width) for stream in streams]
    return torch.cat(cut, dim=token_axis)


def _split(
    joined: torch.Tensor, like: Sequence[torch.Tensor], token_axis: int
) -> tuple[torch.Tensor, ...]:
    width = _common_width(like)
    ends = [0]
    for stream in like:
        ends.append(ends[-1] + stream.shape[token_axis] * stream.shape[-1] // width)
    return tuple(
        joined.narrow(token_axis, start, end - start).reshape(stream.shape)
        for stream, (start, end) in zip(like, pairwise(ends), strict=True)
    )


def _common_width(streams: Sequence[torch.Tensor]) -> int:
    return math.gcd(*(stream.shape[-1] for stream in streams))
