from __future__ import annotations

from collections import namedtuple
from datetime import UTC, datetime

import pytest

from sol.errors import OutputError
from sol.stages import folder as folder_module
from sol.stages.folder import make_run_folder

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_folder_is_named_after_time_and_model(tmp_path):
    assert make_run_folder(tmp_path / "runs", "pocket", NOW).name == "20260102-030405-pocket"


def test_a_model_folder_gives_its_last_part(tmp_path):
    assert make_run_folder(tmp_path, "/a/b/my-ltx", NOW).name == "20260102-030405-my-ltx"


def test_two_runs_in_one_second_do_not_share(tmp_path):
    assert make_run_folder(tmp_path, "m", NOW) != make_run_folder(tmp_path, "m", NOW)


def test_a_file_in_the_way_is_reported(tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write runs under .*--output"):
        make_run_folder(tmp_path / "runs", "m", NOW)


def test_a_full_disk_is_reported_before_anything_runs(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: usage(10, 9, 1 << 20))
    with pytest.raises(OutputError, match="Only 1 MiB are free"):
        make_run_folder(tmp_path, "m", NOW)
    assert list(tmp_path.iterdir()) == []
