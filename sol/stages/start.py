"""Starts the workers, freezes the baseline, diagnoses the target, briefs the agents."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import starmap

from sol.models.prompts import calibration_prompts
from sol.search.agent import AgentState
from sol.search.budget import Budget
from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.executors.base import Done, Executor
from sol.search.journal import Journal
from sol.search.offering import TriedOut
from sol.search.posting import post
from sol.search.records import Brief, Finding, Offer, Speed, WorkerInfo
from sol.search.warm_start import Precedent, put_first
from sol.search.worker import Pair, WorkerPlan
from sol.skills.policies import POLICIES
from sol.stages.diagnosis_lines import write_diagnosis, write_prospects
from sol.stages.diagnosis_page import write_diagnosis_page
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate
from sol.stages.prospects import Prospects, Sensitivity, SkillProspects, bounds_of
from sol.stages.recipes import recall_precedents
from sol.stages.request import Session, TuneRequest
from sol.stages.rivals import choose_rivals
from sol.stages.sensitivity import measure_parts
from sol.stages.time_shares import share_time
from sol.target import Target
from sol.validator.report.model import NotTried, SkillBound
from sol.validator.verdict import Look

_START = "start"

_RECORDED_PAIRS = 3
"""Videos whose redundancy is recorded; DPCache finds one prompt enough, and ten no better."""


def start_session(request: TuneRequest, executor: Executor, journal: Journal) -> Session:
    """Everything that happens before the first trial."""
    plan = WorkerPlan(
        model=request.model,
        device=request.device,
        dtype=request.dtype,
        overrides=request.overrides,
        folder=(request.folder / "baseline").resolve(),
    )
    journal.write(_START, "load", model=request.model, executor=executor.name)
    journal.write(
        _START,
        "gate",
        profile=request.profile.name,
        digest=request.profile.digest,
        backend="embedded metrics" if request.scorer is None else "VBench and embedded metrics",
    )
    infos = executor.start_workers(plan)
    target = Target(infos[0].model, infos[0].hardware, infos[0].workload)
    journal.write(
        _START,
        "target",
        fingerprint=target.fingerprint,
        hardware=target.hardware.name,
        workers=len(infos),
        load_s=round(infos[0].load_s, 2),
    )
    crew = Crew(executor, infos, on_lost=functools.partial(_tell_lost, journal))
    calibration, further = _calibration_pairs(request.budget, infos[0].prompts)
    _freeze_baseline(crew, journal, calibration)
    recorded = calibration[:_RECORDED_PAIRS]
    diagnosis = crew.run(Job("diagnose", (recorded,), TRIAL_LIMIT_S, is_timing=True))
    write_diagnosis(journal, _START, diagnosis)
    self_timing = _time_self(crew, journal, calibration[0], request.budget.final_pairs)
    return Session(
        request, executor, crew, journal, infos, target, calibration,
        _make_gate(request, crew, infos[0], journal), diagnosis, self_timing, further,
    )  # fmt: skip


@dataclass(frozen=True)
class Briefing:
    """What the search starts from.

    Attributes:
        precedents: Members of recipes that were accepted for neighbouring targets.
    """

    states: tuple[AgentState, ...]
    prospects: Prospects
    precedents: tuple[Precedent, ...] = ()


def prepare_search(session: Session) -> Briefing:
    """Starts one agent a skill with the techniques that apply here, and posts what is known.

    What the diagnosis promises is shown before the first trial: as journal lines, and as a page
    in the run's folder.
    """
    request = session.request
    precedents = recall_precedents(session.target, request.folder, session.journal)
    briefed = [_brief_agent(session, skill, precedents.found) for skill in request.skills]
    prospects = Prospects(share_time(session.diagnosis), tuple(seen for _, seen in briefed))
    write_prospects(session.journal, _START, prospects)
    page = write_diagnosis_page(session, prospects)
    session.journal.write(_START, "page", path=str(page))
    for skill in request.skills:
        fact = POLICIES[skill].fact(session.diagnosis)
        if fact is not None:
            finding = Finding(skill, fact.text, fact.data)
            post(finding, request.skills, session.executor, session.journal)
    states = tuple(state for state, _ in briefed)
    return Briefing(states, prospects, precedents.found)


def _brief_agent(
    session: Session, skill: str, precedents: tuple[Precedent, ...]
) -> tuple[AgentState, SkillProspects]:
    tried = TriedOut(choose_rivals(session, skill), measure_parts(session, skill))
    offers, inapplicable = session.crew.run(
        Job("offers", (skill, session.diagnosis, tried), TRIAL_LIMIT_S)
    )
    brief = _make_brief(session, skill, tuple(put_first(offer, precedents) for offer in offers))
    session.executor.start_agent(brief)
    hopeless: Mapping[str, str] = session.executor.ask_agent(skill, "obstacles")
    left_out = {**inapplicable, **hopeless}
    session.journal.write(
        skill,
        "observe",
        techniques=[offer.technique for offer in offers if offer.technique not in hopeless],
        not_applicable=left_out,
        bound=round(brief.bound, 2),
        bound_if=brief.reason,
    )
    state: AgentState = session.executor.ask_agent(skill, "state")
    return state, SkillProspects(
        bound=SkillBound(skill, brief.bound, brief.reason),
        techniques=bounds_of(skill, brief.offers, left_out),
        not_tried=tuple(NotTried(name, reason) for name, reason in left_out.items()),
        sensitivities=tuple(starmap(Sensitivity, tried.part_errors.items())),
    )


def _make_brief(session: Session, skill: str, offers: tuple[Offer, ...]) -> Brief:
    policy = POLICIES[skill]
    return Brief(
        skill=skill,
        offers=offers,
        bound=policy.bound(session.diagnosis),
        reason=policy.argument,
        floor=session.floor,
        max_trials=session.request.budget.trials_per_agent,
        seed=session.request.seed,
        noise=session.noise,
    )


def _tell_lost(journal: Journal, job: Job, done: Done) -> None:
    journal.write(_START, "lost", job=job.method, worker=done.worker, reason=done.reason)


def _make_gate(request: TuneRequest, crew: Crew, info: WorkerInfo, journal: Journal) -> Gate:
    setting = GateSetting(
        profile=request.profile,
        prompts=info.prompts,
        fps=info.workload.frame_rate,
        folder=request.folder,
        scorer=request.scorer,
    )

    def hear(entry: Look) -> None:
        journal.write(
            "gate",
            "look",
            phase=entry.phase,
            prompts=entry.n_prompts,
            outcome=entry.outcome,
            reason=entry.reason,
        )

    return Gate(crew, setting, hear)


def _calibration_pairs(budget: Budget, prompts: str) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Those that every trial is measured on, and those for a closer look."""
    n = budget.calibration_prompts
    texts = calibration_prompts(prompts, n + budget.further_prompts)
    pairs = tuple((prompt, seed) for seed, prompt in enumerate(texts))
    return pairs[:n], pairs[n:]


def _freeze_baseline(crew: Crew, journal: Journal, pairs: tuple[Pair, ...]) -> None:
    journal.write(_START, "baseline", videos=len(pairs))
    jobs = [Job("make_baseline", ([pair],), TRIAL_LIMIT_S) for pair in pairs]
    for done in crew.run_all(jobs):
        if done.failure is not None:
            crew.run(Job("make_baseline", (list(pairs),), TRIAL_LIMIT_S))
            return


def _time_self(crew: Crew, journal: Journal, pair: Pair, n_pairs: int) -> Speed:
    """A against A: the interval of a speed-up that is 1 by construction."""
    speed: Speed = crew.run(
        Job("measure_speed", ((), pair, n_pairs), TRIAL_LIMIT_S, is_timing=True)
    )
    journal.write(
        _START, "noise", median=round(speed.median, 3), low=round(speed.low, 3),
        high=round(speed.high, 3), n=speed.n,
    )  # fmt: skip
    return speed
