"""Scores of finished videos from the ledger: their files may be gone when a run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sol.search.executors.base import Done
from sol.search.ledger import Ledger
from sol.stages.evidence import VideoScorer, VideoToScore

_METHOD = "score"
Scores = Mapping[str, float]


@dataclass
class RecallingScorer:
    """A scorer in front of another one, which scores what was never scored in this run."""

    scorer: VideoScorer
    ledger: Ledger
    _known: dict[VideoToScore, Scores] = field(default_factory=dict)
    _sources: dict[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> Mapping[str, str]:
        """Versions, and digests of weights, behind the scores so far, by name."""
        return {**self._sources, **self.scorer.sources}

    def score(self, videos: Mapping[str, VideoToScore]) -> Mapping[str, Scores]:
        """Metrics by name, of each video by its id.

        Raises:
            SolError: As the scorer says.
        """
        for video in videos.values():
            self._recall(video)
        new = {name: video for name, video in videos.items() if video not in self._known}
        if new:
            for name, scores in self.scorer.score(new).items():
                self._keep(new[name], scores)
        return {name: self._known[video] for name, video in videos.items()}

    def _recall(self, video: VideoToScore) -> None:
        if video in self._known:
            return
        answer = self.ledger.find(_METHOD, (video,))
        if answer is not None:
            self._known[video], sources = answer.value
            self._sources |= sources

    def _keep(self, video: VideoToScore, scores: Scores) -> None:
        value = (dict(scores), dict(self.scorer.sources))
        self.ledger.keep(_METHOD, (video,), Done(0, 0, value))
        self._known[video] = scores
