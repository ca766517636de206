"""The wheel holds what is in git: linked folders and data files are easily lost."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("skills", "integrator", "validator", "kernels", "recipes")


def in_git() -> set[str]:
    result = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = [name for name in result.stdout.split("\0") if name]
    return {
        f"sol/{name}" if name.split("/")[0] in LINKED else name
        for name in files
        if name.split("/")[0] in ("sol", *LINKED) and not (ROOT / name).is_symlink()
    }


def test_the_linked_folders_are_links_without_an_init():
    for name in LINKED:
        link = ROOT / "sol" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name
        assert not (ROOT / name / "__init__.py").exists()


@pytest.mark.slow
def test_the_wheel_holds_what_is_in_git(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(clone)],
        check=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    committed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=clone, check=True, capture_output=True, text=True
    )
    assert committed.stdout
    assert packed == in_git()
