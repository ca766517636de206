"""The pairs that the gate judged, for the report: every one as numbers, the worst to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sol.errors import SolError
from sol.lossless_video import VideoFileError, VideoShape, read_lossless
from sol.stages.judge import Judged, find_winner
from sol.stages.request import Session
from sol.validator.clips import Sheet, make_sheets
from sol.validator.kept_videos import FOLDER, KeptPair, KeptVideos, load_kept
from sol.validator.report.model import Clip, PairPoint
from sol.validator.report.player import describe_storage
from sol.validator.report.worst_pairs import WorstPair, choose_worst_pairs

_Kept = Mapping[tuple[str, int], KeptPair]


@dataclass(frozen=True)
class JudgedPairs:
    """Every pair as a point, and those worth a look with their frames by the id of the clip."""

    points: tuple[PairPoint, ...] = ()
    clips: tuple[Clip, ...] = ()
    sheets: Mapping[str, tuple[Sheet, Sheet]] = field(default_factory=dict)


NO_PAIRS = JudgedPairs()


def gather_pairs(session: Session, judged: Sequence[Judged]) -> JudgedPairs:
    """Of the winner, else of the last stack at the gate; frames from the run's kept videos."""
    if not judged:
        return NO_PAIRS
    chosen = find_winner(judged) or judged[-1]
    pairs = chosen.gate.pairs
    videos = _find_kept(session, chosen.measured.candidate.label)
    kept = {(pair.prompt, pair.seed): pair for pair in videos.pairs} if videos else {}
    points = tuple(PairPoint(p.prompt, p.seed, p.stratum, dict(p.paired)) for p in pairs)
    if videos is None:
        return JudgedPairs(points)
    verdict = chosen.gate.verdict
    rules = [(r.metric, r.kind) for r in session.request.profile.rules(verdict.backend)]
    there = [record for record in pairs if (record.prompt, record.seed) in kept]
    worst = choose_worst_pairs(rules, verdict.checks, there)
    return _show_worst(session, worst, videos, kept, points)


def _find_kept(session: Session, stack: str) -> KeptVideos | None:
    """None where the run kept no videos of this stack."""
    try:
        videos = load_kept(session.request.folder)
    except SolError:
        return None
    return videos if videos.stack == stack else None


def _show_worst(
    session: Session,
    worst: Sequence[WorstPair],
    videos: KeptVideos,
    kept: _Kept,
    points: tuple[PairPoint, ...],
) -> JudgedPairs:
    clips: list[Clip] = []
    sheets: dict[str, tuple[Sheet, Sheet]] = {}
    for item in worst:
        pair = kept[(item.record.prompt, item.record.seed)]
        try:
            sheets[pair.id] = _read_sheets(session, videos, pair)
            storage = describe_storage(sheets[pair.id][0])
        except VideoFileError as error:
            storage = str(error)
        clips.append(_clip(item, pair, videos.fps, storage))
    return JudgedPairs(points, tuple(clips), sheets)


def _read_sheets(session: Session, videos: KeptVideos, pair: KeptPair) -> tuple[Sheet, Sheet]:
    folder = session.request.folder / FOLDER
    shape = VideoShape(videos.num_frames, videos.height, videos.width, videos.fps)
    arms = [read_lossless(folder / name, shape) for name in (pair.baseline, pair.accelerated)]
    baseline, accelerated = make_sheets(arms)
    return baseline, accelerated


def _clip(item: WorstPair, pair: KeptPair, fps: float, storage: str) -> Clip:
    return Clip(
        id=pair.id,
        prompt=pair.prompt,
        seed=pair.seed,
        stratum=pair.stratum,
        reasons=item.reasons,
        metrics=dict(item.record.paired),
        fps=fps,
        storage=storage,
    )
