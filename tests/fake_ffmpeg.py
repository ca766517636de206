"""An executable that stands in for ffmpeg and fails in a chosen way."""

from __future__ import annotations

from pathlib import Path


def fake_ffmpeg(folder: Path, script: str) -> str:
    """Writes a shell script into `folder`; its path."""
    path = folder / "fake-ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
