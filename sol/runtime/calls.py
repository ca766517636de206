"""Around the calls of one pipeline: one at a time, and something before and after.

Python looks up `pipeline(...)` on the class, so wrapping the instance does not reach it. The
scheduler's methods, which the ticker wraps, are reached too late: by then a second thread has
encoded its prompt and written its guidance scale into the pipeline that a first thread is using.
So the pipeline is given a class of its own, of the same name, whose `__call__` runs the original
inside of a lock; an error, a KeyboardInterrupt too, releases it. Undoing gives the old class back.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sol.attach import Around
from sol.errors import ConflictError


class Turn:
    """Lets one thread at a time use a pipeline; the others are refused, they do not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: threading.Thread | None = None

    @contextmanager
    def take(self, what: str) -> Iterator[None]:
        """Holds the turn for the block.

        Args:
            what: Whoever wants it, as the start of a sentence.

        Raises:
            ConflictError: It is taken, by another thread or by this one.
        """
        if not self._lock.acquire(blocking=False):
            raise self._refusal(what)
        self._holder = threading.current_thread()
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()

    def refuse_others(self, what: str) -> None:
        """Raises ConflictError where another thread has the turn."""
        if self._holder not in (None, threading.current_thread()):
            raise self._refusal(what)

    def _refusal(self, what: str) -> ConflictError:
        holder = self._holder
        if holder is threading.current_thread():
            return ConflictError(
                f"{what} was asked for within a call of the same pipeline. A stack holds the "
                "state of one video: let the call end first."
            )
        name = "another thread" if holder is None else f"thread {holder.name!r}"
        return ConflictError(
            f"{what} was asked for in thread {threading.current_thread().name!r} while {name} "
            "uses the pipeline. A stack holds the state of one video: wait for that call, or give "
            "each thread a pipeline of its own with the recipe applied to it."
        )


def wrap_calls(pipeline: Any, around: Around) -> Callable[[], None]:
    """Runs `around` instead of the calls of this one pipeline, until undone."""
    plain = type(pipeline)

    @functools.wraps(plain.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A clone of this pipeline has its class.
        if self is not pipeline:
            return plain.__call__(self, *args, **kwargs)
        return around(functools.partial(plain.__call__, self), args, kwargs)

    names = ("__module__", "__qualname__", "__doc__")
    members = {name: getattr(plain, name) for name in names}
    turned = type(plain.__name__, (plain,), {**members, "__call__": call})
    object.__setattr__(pipeline, "__class__", turned)
    return lambda: object.__setattr__(pipeline, "__class__", plain)
