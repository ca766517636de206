"""VBench as the gate's scorer of finished videos."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sol.lossless_video import read_lossless
from sol.stages.evidence import VideoToScore
from sol.validator.profile import Profile
from sol.validator.rule_kinds import VBENCH_PREFIX, VBENCH_QUALITY
from sol.validator.vbench.dimensions import DIMENSIONS, quality_total
from sol.validator.vbench.environment import VBenchEnv
from sol.validator.vbench.scoring import VideoFile, score_videos

_START_S = 600.0
_VIDEO_S = 90.0
"""For one video in one dimension; the slowest took 79 s for 33 frames of 480x272 on two cores."""


def needed_dimensions(profile: Profile) -> tuple[str, ...]:
    """The dimensions that a profile's rules look at; its aggregate takes those that are run."""
    names = {rule.metric.removeprefix(VBENCH_PREFIX) for rule in profile.vbench}
    return tuple(name for name in DIMENSIONS if name in names)


@dataclass
class VBenchScorer:
    """Scores videos by VBench; each once, however many stacks the baseline is compared with.

    Attributes:
        device: As PyTorch writes it.
        sources: Versions of VBench's packages and SHA-256 of its weights, once it has scored.
    """

    env: VBenchEnv
    dimensions: Collection[str]
    device: str = "cpu"
    sources: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def score(self, videos: Mapping[str, VideoToScore]) -> Mapping[str, Mapping[str, float]]:
        """`vbench_<dimension>` of each, and `vbench_quality` over the quality dimensions.

        Raises:
            VideoFileError: A file is not the video that was kept.
            VBenchError: No complete, believable scores, with the reason.
        """
        new = {name: video for name, video in videos.items() if name not in self._known}
        for video in new.values():
            read_lossless(video.path)
        if new:
            files = [VideoFile(name, video.path, video.prompt) for name, video in new.items()]
            limit = _START_S + _VIDEO_S * len(files) * len(self.dimensions)
            scores = score_videos(self.env, files, self.dimensions, limit, self.device)
            self.sources |= {f"vbench: {name}": text for name, text in scores.versions.items()}
            self.sources |= {f"vbench: {name}": text for name, text in scores.weights.items()}
            self._known |= {name: _named(found) for name, found in scores.by_video.items()}
        return {name: self._known[name] for name in videos}


def _named(scores: Mapping[str, float]) -> dict[str, float]:
    named = {f"{VBENCH_PREFIX}{name}": score for name, score in scores.items()}
    if any(DIMENSIONS[name].is_quality for name in scores):
        named[VBENCH_QUALITY] = quality_total(scores)
    return named
