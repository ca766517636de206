"""One lease per device: a timing has it alone, other work shares it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """A running job: on which device, and whether it is a timing."""

    device_key: str
    is_timing: bool


def may_start(device_key: str, is_timing: bool, running: Iterable[Holder]) -> bool:
    """Whether a job may start now on this device.

    A timing waits until the device is idle; nothing starts beside a timing.
    """
    here = [holder for holder in running if holder.device_key == device_key]
    if is_timing:
        return not here
    return not any(holder.is_timing for holder in here)
