"""Makes the pairs that a gate looks at, each once, and measures them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sol.search.altered import Altered
from sol.search.arms import PairFiles
from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.executors.base import Done
from sol.stages.gate_prompts import GatePair
from sol.technique import Stack
from sol.validator.kept_videos import FOLDER, KeptPair
from sol.validator.profile import Profile
from sol.validator.records import PairRecord, compare_pair
from sol.validator.verdict import Backend

_BASELINE = "baseline"


@dataclass(frozen=True)
class VideoToScore:
    """A kept video, and the prompt that it was made from."""

    path: Path
    prompt: str


class VideoScorer(Protocol):
    """Scores finished videos from their files, such as VBench does."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Versions, and digests of weights, behind the scores so far, by name."""
        ...

    def score(self, videos: Mapping[str, VideoToScore]) -> Mapping[str, Mapping[str, float]]:
        """Metrics by name, of each video by its id.

        Raises:
            SolError: Any video has no sound score; no partial answer.
        """
        ...


@dataclass(frozen=True)
class GateSetting:
    """What is fixed before a search starts.

    Attributes:
        prompts: Name of the prompt set.
        fps: Of the kept videos.
        folder: The run's.
        scorer: Where the back-end is VBench.
    """

    profile: Profile
    prompts: str
    fps: float
    folder: Path
    scorer: VideoScorer | None = None

    @property
    def backend(self) -> Backend:
        """What the verdict will rest on."""
        return "embedded" if self.scorer is None else "vbench"


@dataclass
class Evidence:
    """The records of one arm.

    Attributes:
        name: Of the arm's folder beside that of the baseline.
        engagement: What each technique counted in the last video.
    """

    crew: Crew
    setting: GateSetting
    arm: Stack | Altered
    name: str
    engagement: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    _records: dict[str, PairRecord] = field(default_factory=dict)
    _failures: dict[str, str] = field(default_factory=dict)
    _pairs: dict[str, GatePair] = field(default_factory=dict)
    _scored: set[str] = field(default_factory=set)

    def gather(self, pairs: Sequence[GatePair]) -> tuple[PairRecord, ...]:
        """Makes those that are not there; the records of all that could be made, in order."""
        missing = [pair for pair in pairs if pair.id not in self._pairs]
        jobs = [self._job(pair) for pair in missing]
        for pair, done in zip(missing, self.crew.run_all(jobs), strict=True):
            self._pairs[pair.id] = pair
            self._take(pair, done)
        return self.records(pairs)

    def records(self, pairs: Sequence[GatePair]) -> tuple[PairRecord, ...]:
        """Those that could be made."""
        return tuple(self._records[pair.id] for pair in pairs if pair.id in self._records)

    def failures(self, pairs: Sequence[GatePair]) -> tuple[str, ...]:
        """Why others could not."""
        return tuple(self._failures[pair.id] for pair in pairs if pair.id in self._failures)

    def score(self, pairs: Sequence[GatePair], scorer: VideoScorer) -> None:
        """Adds the scores of both arms' kept videos to the records, of each pair once.

        Raises:
            SolError: As the scorer says.
        """
        new = [pair for pair in pairs if pair.id not in self._scored]
        videos = {}
        for pair in new:
            files = self._files(pair)
            videos[f"{pair.id}-{_BASELINE}"] = VideoToScore(files.baseline, pair.prompt)
            videos[f"{pair.id}-{self.name}"] = VideoToScore(files.accelerated, pair.prompt)
        scores = scorer.score(videos)
        for pair in new:
            record = self._records[pair.id]
            baseline = {**record.baseline, **scores[f"{pair.id}-{_BASELINE}"]}
            accelerated = {**record.accelerated, **scores[f"{pair.id}-{self.name}"]}
            self._records[pair.id] = replace(record, baseline=baseline, accelerated=accelerated)
            self._scored.add(pair.id)

    def kept(self) -> tuple[KeptPair, ...]:
        """The pairs of which both videos are on disk."""
        made = [pair for pair in self._pairs.values() if self._files(pair).accelerated.exists()]
        return tuple(
            KeptPair(
                id=pair.id,
                prompt=pair.prompt,
                seed=pair.seed,
                stratum=pair.stratum,
                baseline=f"{_BASELINE}/{pair.id}.mp4",
                accelerated=f"{self.name}/{pair.id}.mp4",
                metrics=self._records[pair.id].paired,
            )
            for pair in made
            if pair.id in self._records
        )

    def _job(self, pair: GatePair) -> Job:
        compare = functools.partial(compare_pair, metrics=self.setting.profile.metric_names)
        args = (self.arm, pair.pair, compare, self._files(pair))
        return Job("compare", args, TRIAL_LIMIT_S)

    def _files(self, pair: GatePair) -> PairFiles:
        folder, file = (self.setting.folder / FOLDER).resolve(), f"{pair.id}.mp4"
        return PairFiles(folder / _BASELINE / file, folder / self.name / file, self.setting.fps)

    def _take(self, pair: GatePair, done: Done) -> None:
        if done.failure is not None:
            self._failures[pair.id] = done.reason
            return
        record, self.engagement = done.value
        self._records[pair.id] = replace(record, stratum=pair.stratum)
