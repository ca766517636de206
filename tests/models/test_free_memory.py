"""Free memory of a host: the system's, and what control groups leave of it."""

from __future__ import annotations

import pytest

from sol.models.memory.free_memory import find_free_bytes, find_free_host_bytes

MIB = 1024**2
OF_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
OF_VERSION_2 = ("memory.max", "memory.current", "inactive_file")


@pytest.fixture
def system(tmp_path):
    """100 MiB are available, and the process is in the group /a/b of both versions."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {100 * 1024} kB\n")
    (proc / "self" / "cgroup").write_text("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/a/b\n")
    return tmp_path


def limit(folder, names, most, used, reclaimable=0):
    folder.mkdir(parents=True, exist_ok=True)
    limit_name, usage_name, file_name = names
    (folder / limit_name).write_text(f"{most}\n")
    (folder / usage_name).write_text(f"{used * MIB}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{file_name} {reclaimable * MIB}\n")


def free(system):
    found = find_free_host_bytes(system / "proc", system / "groups")
    return None if found is None else found / MIB


def test_without_groups_it_is_what_the_system_has(system):
    assert free(system) == 100


@pytest.mark.parametrize(
    ("root", "names"), [("groups/memory", OF_VERSION_1), ("groups", OF_VERSION_2)], ids=["1", "2"]
)
@pytest.mark.parametrize("path", ["a/b", "a", ""])
def test_an_enclosing_group_may_leave_less(system, root, names, path):
    limit(system / root / path, names, 80 * MIB, used=50, reclaimable=20)
    assert free(system) == 50


def test_a_group_that_has_used_all_leaves_nothing(system):
    limit(system / "groups" / "a", OF_VERSION_2, 80 * MIB, used=90)
    assert free(system) == 0


def test_a_group_without_a_limit_does_not_count(system):
    limit(system / "groups" / "a", OF_VERSION_2, "max", used=90)
    assert free(system) == 100


def test_another_group_does_not_count(system):
    limit(system / "groups" / "c", OF_VERSION_2, 80 * MIB, used=50)
    assert free(system) == 100


def test_where_nothing_says_so_it_is_not_known(tmp_path):
    assert free(tmp_path) is None


def test_this_machine_says_so():
    assert find_free_bytes("cpu") > 0
