import platform

import pytest
import torch

from sol.errors import SolError, UnknownNameError
from sol.measure import hardware
from sol.measure.hardware import probe, versions

CPU_INFO = """processor\t: 0
model name\t: Example 9000 @ 2 GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni amx_int8 smep

processor\t: 1
model name\t: Other
flags\t\t: avx512_bf16
"""


def test_cpu_is_read_from_the_first_processor(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(CPU_INFO)
    monkeypatch.setattr(hardware, "_CPU_INFO", info)
    found = probe("cpu")
    assert found.name == "Example 9000 @ 2 GHz"
    assert found.features == ("amx_int8", "avx2", "avx512_vnni", "avx512f")


def test_cpu_without_proc_falls_back_to_the_platform(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "_CPU_INFO", tmp_path / "missing")
    found = probe("cpu")
    assert found.name in (platform.processor(), platform.machine())
    assert found.features == ()


def test_this_cpu_has_cores_and_memory_and_probes_the_same_twice():
    found = probe("cpu")
    assert found.device == "cpu"
    assert found.count >= 1
    assert found.memory_gb > 0
    assert probe("cpu") == found


def test_cuda_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SolError, match="use device 'cpu'"):
        probe("cuda")
    assert probe().device == "cpu"


def test_unknown_device_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'tpu'\. Known: cpu, cuda"):
        probe("tpu")


@pytest.mark.gpu
def test_cuda_names_its_architecture():
    found = probe("cuda")
    major, minor = torch.cuda.get_device_capability(0)
    assert found.features == (f"sm_{major}{minor}",)
    assert found.count >= 1


def test_versions_name_python_and_torch():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
