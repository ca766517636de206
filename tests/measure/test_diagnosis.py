from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT, diagnosis_of
from torch import nn

from sol.measure.diagnosis import diagnose
from sol.search.worker import MeasuringWorker, WorkerPlan


@dataclass
class _Machine:
    """A clock that only work moves, by `pace` seconds a unit of it."""

    now: float = 0.0
    pace: float = 1.0

    def work(self, units: float) -> None:
        self.now += units * self.pace


class _Module(nn.Module):
    def __init__(self, machine: _Machine, units: float, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.machine, self.units, self.inner = machine, units, inner

    def forward(self) -> tuple[torch.Tensor]:
        self.machine.work(self.units)
        if self.inner is not None:
            self.inner()
        return (torch.ones(1),)


@dataclass
class _Decoder:
    machine: _Machine

    def decode(self) -> None:
        self.machine.work(1)


@dataclass
class _Video:
    """Three steps of 1 + 2 units, 1 of text and 1 of decoding; each run takes twice the last."""

    machine: _Machine = field(default_factory=_Machine)

    def __post_init__(self) -> None:
        self.linear = _Module(self.machine, 2)
        self.attention = _Module(self.machine, 1, self.linear)
        self.denoiser = _Module(self.machine, 0, self.attention)
        self.text, self.decoder = _Module(self.machine, 1), _Decoder(self.machine)

    def run(self) -> None:
        self.text()
        for _ in range(3):
            self.denoiser()
        self.decoder.decode()
        self.machine.pace *= 2

    def diagnose(self):
        parts = SimpleNamespace(
            module=self.denoiser,
            linears_by_kind={"feed_forward": ((self.linear,),)},
            self_attention=(self.attention,),
            cross_attention=(),
            prompt_projection=(),
            rotary=None,
            modulation=(),
        )
        return diagnose(
            self.run,
            SimpleNamespace(denoisers=(parts,), guidance="two_call"),
            [self.text],
            self.decoder,
            lambda: None,
            lambda: self.machine.now,
        )


def test_parts_stay_within_the_total_though_the_watched_run_is_slower():
    diagnosis = _Video().diagnose()
    assert diagnosis.total_s == 11
    assert (diagnosis.denoise_s, diagnosis.linear_s) == pytest.approx((9, 6))
    assert (diagnosis.text_s, diagnosis.decode_s) == pytest.approx((1, 1))
    assert diagnosis.beyond_first_block_s == diagnosis.denoise_s
    assert diagnosis.part_s["self_attention"] == pytest.approx(9)
    assert diagnosis.part_s["rotary_table"] == 0
    assert diagnosis.bound_if_free(diagnosis.denoise_s) == pytest.approx(11 / 2)


def test_stopwatches_leave_nothing_behind():
    video = _Video()
    video.diagnose()
    for module in (video.denoiser, video.linear, video.text):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert "decode" not in vars(video.decoder)


def test_blocks_share_the_denoisers_time():
    diagnosis = diagnosis_of((0.1,), block_change=((0.1,),) * 4)
    assert diagnosis.beyond_first_block_s == pytest.approx(0.75 * diagnosis.denoise_s)


def test_one_run_of_each_video_tells_of_steps_attention_and_tokens(tmp_path):
    worker = MeasuringWorker(WorkerPlan("pocket", "cpu", None, {"steps": 6}, tmp_path))
    diagnosis = worker.diagnose(((PROMPT, 0), (OTHER_PROMPT, 1)))
    assert diagnosis.redundancy.n_videos == 2
    assert diagnosis.attention.n_videos == 2
    assert diagnosis.attention.sizes == (5, 8, 8)
    assert len(diagnosis.attention.mass) == len(diagnosis.redundancy.block_change)
    assert diagnosis.settling.n_videos == 2
    assert len(diagnosis.settling.settled) == 6
    assert 0 < diagnosis.bare_attention_s < diagnosis.part_s["self_attention"]
