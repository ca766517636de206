"""A space of stacks of which every one was measured, as a file of JSON lines.

The first line is the target, its diagnosis and its offers; each further line is a stack.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pydantic import TypeAdapter

from sol.diagnosis import Diagnosis
from sol.errors import SolError
from sol.search.records import Offer, Quality, Speed, WorkerInfo
from sol.technique import Stack

Members = Mapping[str, Mapping[str, Any]]
"""By technique, the knobs of its setting."""


@dataclass(frozen=True)
class Header:
    """What was recorded, and on what.

    Attributes:
        pairs: Prompts and seeds on which the error was measured.
        offers: By skill; every setting of their spaces is recorded.
    """

    info: WorkerInfo
    pairs: tuple[tuple[str, int], ...]
    diagnosis: Diagnosis
    offers: Mapping[str, tuple[Offer, ...]]


@dataclass(frozen=True)
class RecordedStack:
    """What was measured of one stack.

    Attributes:
        psnr: dB, of each prompt, against the baseline.
        baseline_s: Processor seconds of a baseline video before and one after.
        accelerated_s: Processor seconds of the stack's videos.
        failure: Why there are no numbers, if there are none.
    """

    members: Members
    psnr: tuple[float, ...] = ()
    ssim: tuple[float, ...] = ()
    baseline_s: tuple[float, ...] = ()
    accelerated_s: tuple[float, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failure: str = ""

    @property
    def speedup(self) -> float:
        """Baseline over accelerated seconds, of the means and of the median."""
        return fmean(self.baseline_s) / median(self.accelerated_s)

    @property
    def quality(self) -> Quality:
        """As a worker would report it."""
        return Quality(
            fmean(self.psnr), min(self.psnr), fmean(self.ssim), self.speedup, len(self.psnr),
            self.counts,
        )  # fmt: skip

    @property
    def speed(self) -> Speed:
        """As a worker would report it; the interval is that of the single videos' ratios."""
        mean = fmean(self.baseline_s)
        ratios = sorted(mean / seconds for seconds in self.accelerated_s)
        return Speed(
            self.speedup, ratios[0], ratios[-1], len(ratios), self.baseline_s, self.accelerated_s
        )


@dataclass(frozen=True)
class RecordedSpace:
    """The header, and the stacks by what they are."""

    header: Header
    stacks: Mapping[str, RecordedStack]

    def find(self, stack: Stack) -> RecordedStack | None:
        """The measurements of `stack`, or None where it was not recorded."""
        return self.stacks.get(key_of(self._members(stack)))

    def _members(self, stack: Stack) -> Members:
        spaces = {o.technique: o.space for offers in self.header.offers.values() for o in offers}
        return {
            item.technique: {name: item.config.get(name) for name in spaces[item.technique].knobs}
            if item.technique in spaces
            else dict(item.config)
            for item in stack
        }


def key_of(members: Members) -> str:
    """Two stacks with the same settings have the same key."""
    return json.dumps(members, sort_keys=True)


def header_to_json(header: Header) -> dict[str, Any]:
    """Plain data."""
    plain: dict[str, Any] = _HEADER.dump_python(header, mode="json")
    return plain


def header_from_json(data: Mapping[str, Any]) -> Header:
    """From the first line of a file."""
    return _HEADER.validate_json(json.dumps(data))


def stack_to_json(stack: RecordedStack) -> dict[str, Any]:
    """Plain data."""
    plain: dict[str, Any] = _STACK.dump_python(stack, mode="json")
    return plain


def read_space(path: Path) -> RecordedSpace:
    """The space of a file.

    Raises:
        SolError: There is none, or the file is not one, or a line of it is broken.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SolError(f"{path} cannot be read: {error.strerror}. Record a space first.") from None
    if not lines:
        raise SolError(f"{path} is empty: record the space anew.")
    try:
        header = _HEADER.validate_json(lines[0])
        stacks = _read_stacks(lines[1:])
    except ValueError as error:
        raise SolError(f"{path} is no recorded space: {error}. Record it anew.") from error
    return RecordedSpace(header, {key_of(stack.members): stack for stack in stacks})


def _read_stacks(lines: Iterable[str]) -> list[RecordedStack]:
    return [_STACK.validate_json(line) for line in lines]


_HEADER = TypeAdapter(Header)
_STACK = TypeAdapter(RecordedStack)
