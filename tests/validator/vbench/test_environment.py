"""VBench's environment is complete, or it is said what it lacks and made anew."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sol.validator.vbench import install
from sol.validator.vbench.environment import (
    PINS,
    TORCH_PINS,
    find_vbench,
    get_vbench,
    write_mark,
)
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.install import SetUp, check_python, set_up

FAKE = """#!{python}
import json, os, sys
from pathlib import Path
log = Path({log!r})
log.write_text((log.read_text() if log.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "-c":
    print("{version}")
elif sys.argv[1:3] == ["-m", "venv"]:
    folder = Path(sys.argv[3], "bin")
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.argv[0])
elif sys.argv[1:3] == ["-m", "pip"] and {failure!r}:
    sys.exit({failure!r})
elif sys.argv[1] == "-I":
    Path(sys.argv[-1]).write_text(json.dumps({{"versions": {{"vbench": "0.1.5"}}}}))
"""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "env"


def fake_python(tmp_path, version="3 11", failure=""):
    """An interpreter that notes what it is asked and makes environments of itself."""
    path = tmp_path / "python"
    log = str(tmp_path / "log")
    path.write_text(FAKE.format(python=sys.executable, log=log, version=version, failure=failure))
    path.chmod(0o755)
    return path


def asked(tmp_path):
    return (tmp_path / "log").read_text().splitlines()


def test_every_package_is_pinned_exactly():
    lines = (TORCH_PINS.read_text() + PINS.read_text()).splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    assert {"vbench==0.1.5", "setuptools==80.10.2", "torch==2.13.0"} <= set(pins)


def test_a_finished_setup_is_found_and_not_repeated(root, tmp_path):
    how = SetUp(fake_python(tmp_path))
    done = set_up(root, how)
    assert find_vbench(root) == done
    before = asked(tmp_path)
    set_up(root, how)
    assert asked(tmp_path) == before


def test_pytorch_comes_by_pip_and_the_rest_without_what_it_says_it_needs(root, tmp_path):
    set_up(root, SetUp(fake_python(tmp_path)))
    torch, others = (line for line in asked(tmp_path) if " pip install" in line)
    assert f"-r {TORCH_PINS} -c {PINS}" in torch
    assert f"--no-deps -r {PINS}" in others


def test_uv_installs_the_rest_where_it_is(root, tmp_path):
    uv = tmp_path / "uv"
    uv.write_text(
        f"#!{sys.executable}\nimport sys\nprint(sys.argv, file=open({str(uv)!r}+'.log','w'))"
    )
    uv.chmod(0o755)
    set_up(root, SetUp(fake_python(tmp_path), uv=uv))
    assert str(PINS) in Path(f"{uv}.log").read_text()
    assert len([line for line in asked(tmp_path) if " pip install" in line]) == 1


def test_an_index_for_pytorch_is_for_pytorch_alone(root, tmp_path):
    set_up(root, SetUp(fake_python(tmp_path), torch_index="https://example.org/cpu"))
    with_index = [line for line in asked(tmp_path) if "--index-url https://example.org" in line]
    assert len(with_index) == 1
    assert str(TORCH_PINS) in with_index[0]


def test_without_a_setup_there_is_no_environment(root):
    assert find_vbench(root) is None
    with pytest.raises(VBenchError, match=r"it was not set up\. Run `sol vbench setup`"):
        get_vbench(root)


def test_a_half_made_environment_is_said_and_made_anew(root, tmp_path):
    with pytest.raises(VBenchError):
        set_up(root, SetUp(fake_python(tmp_path, failure="bang")))
    with pytest.raises(VBenchError, match="its setup was not finished"):
        get_vbench(root)
    said = []
    set_up(root, SetUp(fake_python(tmp_path)), said.append)
    assert f"{root} cannot be used: its setup was not finished. It is made anew." in said
    assert find_vbench(root)


def test_another_list_of_packages_makes_it_anew_and_keeps_the_weights(root, tmp_path, monkeypatch):
    set_up(root, SetUp(fake_python(tmp_path)))
    weights = root / "cache" / "amt_model" / "amt-s.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    changed = tmp_path / "requirements.txt"
    changed.write_text("vbench==0.1.6\n")
    monkeypatch.setattr("sol.validator.vbench.environment.PINS", changed)
    with pytest.raises(VBenchError, match="it was made for another version of Sol"):
        get_vbench(root)
    assert set_up(root, SetUp(fake_python(tmp_path))) == find_vbench(root)
    assert weights.read_bytes() == b"weights"


def test_an_environment_that_lost_its_python_is_not_complete(root):
    (root / "venv").mkdir(parents=True)
    write_mark(root, {})
    with pytest.raises(VBenchError, match="is gone"):
        get_vbench(root)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("OSError: [Errno 28] No space left on device", "No space was left.*--env"),
        ("Temporary failure in name resolution", "index cannot be reached.*network"),
        ("error sending request for url", "index cannot be reached.*network"),
        ("No matching distribution found for torch==2.13.0", "failed:\nNo matching distribution"),
    ],
    ids=("disk", "name", "uv's words", "anything else"),
)
def test_why_packages_cannot_be_installed_is_said(root, tmp_path, output, reason):
    with pytest.raises(VBenchError, match=f"(?s){reason}"):
        set_up(root, SetUp(fake_python(tmp_path, failure=output)))
    assert find_vbench(root) is None


@pytest.mark.parametrize("version", ["3 10", "3 14"])
def test_another_python_is_refused(root, tmp_path, version):
    with pytest.raises(VBenchError, match=r"need Python 3\.11 to 3\.13, .* is 3\.1[04]"):
        set_up(root, SetUp(fake_python(tmp_path, version=version)))


@pytest.mark.parametrize("content", [None, "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n"])
def test_what_is_no_python_is_refused(tmp_path, content):
    path = tmp_path / "python"
    if content:
        path.write_text(content)
        path.chmod(0o755)
    with pytest.raises(VBenchError, match=r"is no Python: .* Pass another --python"):
        check_python(path)


def test_too_little_room_is_said_before_anything_is_fetched(root, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "NEEDED_GB", 1e9)
    with pytest.raises(VBenchError, match=r"need 1e\+09 GB, .* are free"):
        set_up(root, SetUp(fake_python(tmp_path)))
    assert not (root / "venv").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VBenchError, match=r"cannot be made: .* Pass another --env"):
        set_up(tmp_path / "file" / "env", SetUp(fake_python(tmp_path)))
