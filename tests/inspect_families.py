"""`sol inspect` on a tiny pipeline of each family, saved and loaded like any other model.

python tests/inspect_families.py build/families

In one process, which has the stand-in for Cosmos' guardrail.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tiny_models import FAMILIES, save_all

from sol.cli import app


def main(folder: Path) -> None:
    save_all(folder)
    for family in FAMILIES:
        app(["inspect", "--model", str(folder / family)], standalone_mode=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
