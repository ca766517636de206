"""The `sol` command.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 rejected, 2 a problem the user
can fix, 3 nothing accepted, 130 interrupted. Each module registers its commands; heavy imports
are inside them: `sol --help` should not wait for torch.
"""

from __future__ import annotations

import logging
import signal
from typing import Any, NoReturn

from sol.cli import about, export, review, tune, use, validate, vbench, verify
from sol.cli.app import app

__all__ = [
    "about", "app", "export", "main", "review", "tune", "use", "validate", "vbench", "verify",
]  # fmt: skip


# What libraries say on import of parts that they were built without, here of torchao's: nothing
# that a user of Sol could act on, and `sol inspect` says what does not apply.
_CHATTY = ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer")


def main() -> None:
    """Entry point of the `sol` command."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    # A scheduler ends a job with SIGTERM: the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
