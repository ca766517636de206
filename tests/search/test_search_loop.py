"""The loop between agents, the integrator and workers, on a worker without a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from example_prompts import DIAGNOSIS
from fakes import SPACES, FakeWorker

from sol.integrator.composer import Composer
from sol.integrator.cost import shares_of
from sol.search.agent import SkillAgent
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.search.orchestrator import Orchestrator, SearchTime
from sol.search.pipeline import Pipeline, TrialSetting
from sol.search.records import Brief, Outcome, Proposal, Quality, QualityFloor
from sol.search.trial_storage import open_memory_store
from sol.search.worker import WorkerPlan
from sol.skills.registry import TECHNIQUES
from sol.technique import StackItem

MIN_PSNR = 28.0
FLOOR = QualityFloor(MIN_PSNR, 20.0)
MAX_TRIALS = 12
SHORT_S = 12.0


@dataclass
class NoComposer:
    """Bids nothing, and hears everything.

    Attributes:
        gain: What it bids while it has proposals.
    """

    skill: str = "integrator"
    gain: float = 0.0
    proposals: list[Proposal] = field(default_factory=list)
    settings: list[tuple[Proposal, Outcome]] = field(default_factory=list)
    stacks: list[tuple[Proposal, Outcome]] = field(default_factory=list)
    offered: dict[str, list[Proposal]] = field(default_factory=dict)

    def learn_setting(self, proposal, outcome):
        self.settings.append((proposal, outcome))

    def offer(self, skill, proposals):
        self.offered[skill] = list(proposals)

    def bid(self):
        return self.gain if self.proposals else 0.0

    def propose(self):
        return self.proposals.pop(0) if self.proposals else None

    def learn_stack(self, proposal, outcome):
        self.stacks.append((proposal, outcome))


STACK = Proposal(
    1, "integrator", "", {}, "because", 1.3, title="both",
    members=(
        StackItem("int8_dynamic", {"layers": "feed_forward"}),
        StackItem("easycache", {"threshold": 0.1}),
    ),
)  # fmt: skip


def composer_of() -> Composer:
    composer = Composer(shares_of(DIAGNOSIS), TECHNIQUES, FLOOR)
    composer.spaces.update({o.technique: o.space for offers in SPACES.values() for o in offers})
    return composer


def brief(skill: str, bound: float = 3.0, max_trials: int = MAX_TRIALS) -> Brief:
    return Brief(skill, SPACES[skill], bound, "because", FLOOR, max_trials, seed=0)


class MortalAgents(InlineExecutor):
    """Every agent dies before each question; another takes over with what is remembered."""

    past = None
    deaths = 0

    def remember(self, past):
        self.past = past

    def start_agent(self, brief):
        super().start_agent(brief)
        self.briefs = {**getattr(self, "briefs", {}), brief.skill: brief}

    def ask_agent(self, skill, method, *args):
        if self.past is not None:
            self.deaths += 1
            super().start_agent(self.briefs[skill])
            super().ask_agent(skill, "recall", *self.past(skill))
        return super().ask_agent(skill, method, *args)


def start(
    folder,
    *,
    bounds=None,
    composer=None,
    store=None,
    left_s=1e6,
    spend=None,
    n=MAX_TRIALS,
    make_executor=InlineExecutor,
):
    """An orchestrator with its agents, and the journal to close."""
    executor = make_executor(make_worker=FakeWorker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, folder))
    for skill in SPACES:
        executor.start_agent(brief(skill, (bounds or {}).get(skill, 3.0), n))
    states = tuple(executor.ask_agent(skill, "state") for skill in SPACES)
    ticks = count()

    def clock() -> float:
        return float(next(ticks))

    journal = Journal(folder / "journal.jsonl", clock)
    setting = TrialSetting((("a", 0), ("b", 1)), FLOOR, 3)
    orchestrator = Orchestrator(
        executor=executor,
        pipeline=Pipeline(Crew(executor, infos), setting, None, clock),
        composer=composer or NoComposer(),
        journal=journal,
        store=store or open_memory_store(),
        time=SearchTime(left_s, clock, spend or (lambda _: None)),
        noise=0.02,
    )
    return orchestrator, states, journal


def run(folder, **options):
    """What each agent found, and the journal."""
    orchestrator, states, journal = start(folder, **options)
    with journal:
        records = orchestrator.run(states)
    return records, lines_of(folder)


def lines_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def settings_of(trials) -> list[str]:
    return [repr(proposal.stack) for proposal, _ in trials]


def test_every_outcome_is_recorded_with_its_reason(tmp_path):
    records, _ = run(tmp_path)
    outcomes = {(p.technique, o.status) for record in records.values() for p, o in record.trials}
    assert ("easycache", "measured") in outcomes
    assert ("easycache", "over_budget") in outcomes
    assert ("text_kv", "no_effect") in outcomes
    assert ("int8_dynamic", "failed") in outcomes
    failed = [o for r in records.values() for _, o in r.trials if o.status == "failed"]
    assert all("no room for all layers" in o.reason for o in failed)


def test_the_search_finds_the_fastest_setting_within_the_quality_budget(tmp_path):
    records, _ = run(tmp_path)
    best = records["cache"].frontier[0]
    # 40 - 30 t >= 28 allows t up to 0.4; the speed-up is 1 + t.
    assert best.quality.psnr >= MIN_PSNR
    assert 1.25 <= best.speed.median <= 1.4


def test_a_setting_as_bold_as_a_failure_is_not_proposed_again(tmp_path):
    records, _ = run(tmp_path)
    failed: list[float] = []
    for proposal, outcome in records["cache"].trials:
        if proposal.technique == "easycache":
            threshold = proposal.config["threshold"]
            assert all(threshold < bad for bad in failed)
            if outcome.status == "over_budget":
                failed.append(threshold)
    assert failed


def test_no_setting_is_measured_twice(tmp_path):
    records, _ = run(tmp_path)
    for record in records.values():
        settings = [(p.technique, repr(p.config)) for p, _ in record.trials]
        assert len(settings) == len(set(settings))


def test_the_same_seed_takes_the_same_decisions(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, _ = run(tmp_path / "a")
    second, _ = run(tmp_path / "b")
    for skill in first:
        assert [p for p, _ in first[skill].trials] == [p for p, _ in second[skill].trials]


def test_an_agent_whose_bound_is_inside_the_noise_is_retired_and_told(tmp_path):
    records, lines = run(tmp_path, bounds={"quantization": 1.01})
    assert records["quantization"].trials == []
    retired = [line for line in lines if line["turn"] == "retire"]
    assert "inside the timing noise" in retired[0]["reason"]


def test_the_search_stops_when_its_time_is_up(tmp_path):
    records, lines = run(tmp_path, left_s=SHORT_S, n=1000)
    assert sum(len(r.trials) for r in records.values()) < 12
    assert any(line.get("reason") == "time is up" for line in lines)


def test_what_follows_the_search_learns_where_quality_ends_and_what_could_be_chosen(tmp_path):
    records, lines = run(tmp_path)
    (edge,) = records["cache"].edges
    assert edge.technique == "easycache"
    assert edge.held["threshold"] <= 0.4 < edge.failed["threshold"]
    assert dict(records["cache"].spaces) == {o.technique: o.space for o in SPACES["cache"]}
    posts = [line["finding"] for line in lines if line["turn"] == "post"]
    assert any("edge of quality" in text for text in posts)


def test_every_turn_of_an_agent_is_in_the_journal(tmp_path):
    records, lines = run(tmp_path)
    turns = [line["turn"] for line in lines if line["agent"] == "cache"]
    n_trials = len(records["cache"].trials)
    assert turns.count("hypothesise") == turns.count("reflect") == n_trials
    assert "post" in turns
    assert all(line["reason"] for line in lines if line["turn"] == "hypothesise")


def test_what_one_agent_posts_the_other_takes_up(tmp_path):
    _, lines = run(tmp_path)
    posted = [line["finding"] for line in lines if line["turn"] == "post"]
    known = [line["known"] for line in lines if line["turn"] == "hypothesise"]
    assert any(text.endswith(finding) for finding in posted for text in known)


@pytest.mark.parametrize(
    ("psnr", "worst", "shortfall"),
    [
        (30.0, 25.0, None),
        (28.0, 20.0, None),
        (27.9, 25.0, "27.9 dB on calibration, 28.0 dB needed"),
        (30.0, 19.9, "a video of 19.9 dB, 20.0 dB needed"),
    ],
)
def test_the_floor_holds_for_the_mean_and_for_every_video(psnr, worst, shortfall):
    quality = Quality(psnr, worst, 0.9, 1.0, 2)
    assert FLOOR.find_shortfall(quality) == shortfall
    assert (FLOOR.margin_of(quality) < 0) == (shortfall is not None)


def test_expected_gain_falls_with_every_trial_that_brought_nothing():
    agent = SkillAgent(brief("quantization"))
    before = agent.state().expected_gain
    proposal = agent.hypothesise()
    agent.reflect(proposal, Outcome("failed", "no"))
    assert 0 < agent.state().expected_gain < before


def test_an_agent_stops_at_its_number_of_trials():
    agent = SkillAgent(brief("cache", max_trials=1))
    assert agent.hypothesise() is not None
    assert agent.hypothesise() is None
    assert agent.state().exhausted


def test_an_agent_without_techniques_has_nothing_to_say():
    agent = SkillAgent(Brief("cache", (), 2.0, "", FLOOR, 5, 0))
    assert agent.hypothesise() is None
    assert agent.frontier() == ()


def test_the_integrator_hears_of_every_setting_and_what_is_worth_composing(tmp_path):
    composer = NoComposer()
    records, _ = run(tmp_path, composer=composer)
    trials = [trial for record in records.values() for trial in record.trials]
    assert sorted(map(repr, composer.settings)) == sorted(map(repr, trials))
    for skill, record in records.items():
        gaining = [p.proposal for p in record.frontier if p.speed.median > 1]
        assert composer.offered[skill] == gaining
    assert composer.offered["cache"]


def test_a_stack_is_measured_as_a_setting_is(tmp_path):
    composer = NoComposer(gain=0.1, proposals=[STACK])
    records, lines = run(tmp_path, composer=composer)
    ((proposal, outcome),) = composer.stacks
    assert proposal == STACK
    assert outcome.status == "measured"
    assert outcome.speed.median == pytest.approx(1.3)
    turns = [line for line in lines if line["agent"] == "integrator"]
    assert [line["turn"] for line in turns] == ["hypothesise", "reflect"]
    assert {line["setting"] for line in turns} == {"both"}
    assert all(p.skill != "integrator" for r in records.values() for p, _ in r.trials)


@pytest.mark.parametrize(("gain", "is_first"), [(1.0, True), (1e-6, False)])
def test_the_highest_bid_gets_the_next_measurement(tmp_path, gain, is_first):
    _, lines = run(tmp_path, composer=NoComposer(gain=gain, proposals=[STACK]))
    asking = [line["agent"] for line in lines if line["turn"] == "hypothesise"]
    assert (asking[0] == "integrator") is is_first
    assert "integrator" in asking


def test_one_stack_is_open_at_a_time(tmp_path):
    others = [replace(STACK, number=n) for n in (2, 3)]
    _, lines = run(tmp_path, composer=NoComposer(gain=9.0, proposals=[STACK, *others]))
    turns = [line["turn"] for line in lines if line["agent"] == "integrator"]
    assert turns == ["hypothesise", "reflect"] * 3


def test_the_integrator_finds_stacks_faster_than_any_setting(tmp_path):
    composer = composer_of()
    records, _ = run(tmp_path, composer=composer)
    assert {item.technique for item in composer.best.candidate.stack} == {
        "easycache",
        "int8_dynamic",
    }
    fastest = max(p.speed.median for r in records.values() for p in r.frontier)
    assert composer.best.speedup > fastest
    assert composer.best.quality.psnr >= MIN_PSNR
    assert any(stack.is_prediction for stack in composer.stacks)


def test_agents_and_integrator_together_decide_alike_with_the_same_seed(tmp_path):
    journals = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        journals.append(run(tmp_path / name, composer=composer_of())[1])
    assert journals[0] == journals[1]


@pytest.mark.parametrize(("n", "n_measured"), [(0, 0), (1, 1), (5, 2)])
def test_after_the_search_so_many_further_stacks_are_measured_at_most(tmp_path, n, n_measured):
    composer = NoComposer()
    orchestrator, states, journal = start(tmp_path, composer=composer)
    with journal:
        orchestrator.run(states)
        composer.proposals = [STACK, replace(STACK, number=2)]
        orchestrator.compose(n, 0.0)
    assert [proposal.number for proposal, _ in composer.stacks] == [1, 2][:n_measured]


def test_a_stack_that_does_not_engage_is_not_counted(tmp_path):
    idle = replace(STACK, members=(*STACK.members, StackItem("text_kv", {})))
    composer = NoComposer()
    orchestrator, states, journal = start(tmp_path, composer=composer)
    with journal:
        orchestrator.run(states)
        composer.proposals = [idle, replace(STACK, number=2), replace(STACK, number=3)]
        orchestrator.compose(1, 0.0)
    outcomes = [(proposal.number, outcome.status) for proposal, outcome in composer.stacks]
    assert outcomes == [(1, "no_effect"), (2, "measured")]


def test_the_time_that_goes_by_is_told(tmp_path):
    spent: list[float] = []
    run(tmp_path, spend=spent.append, left_s=SHORT_S)
    assert min(spent) > 0
    assert sum(spent) >= SHORT_S


def test_with_no_time_left_nothing_is_started(tmp_path):
    records, lines = run(tmp_path, left_s=-1.0)
    assert all(record.trials == [] for record in records.values())
    assert {line["reason"] for line in lines} == {"time is up"}


def test_a_search_that_is_taken_up_again_measures_nothing_twice(tmp_path):
    for name in ("first", "again", "whole"):
        (tmp_path / name).mkdir()
    store = open_memory_store()
    first, _ = run(tmp_path / "first", store=store, left_s=SHORT_S)
    assert sum(len(r.trials) for r in first.values()) > 0
    heard = NoComposer()
    again, lines = run(tmp_path / "again", store=store, composer=heard)
    whole, _ = run(tmp_path / "whole")
    measured_again = {line["setting"] for line in lines if line["turn"] == "hypothesise"}
    for skill, record in again.items():
        before = first[skill].trials
        assert record.trials[: len(before)] == before
        assert not measured_again & {proposal.label for proposal, _ in before}
        assert settings_of(record.trials) == settings_of(whole[skill].trials)
    assert len(heard.settings) == sum(len(record.trials) for record in again.values())


def test_stacks_of_a_search_that_is_taken_up_again_are_recalled(tmp_path):
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
    store, first, again = open_memory_store(), composer_of(), composer_of()
    run(tmp_path / "first", store=store, composer=first)
    _, lines = run(tmp_path / "again", store=store, composer=again)
    assert again.best.candidate.key == first.best.candidate.key
    assert {s.candidate.key for s in again.stacks} == {s.candidate.key for s in first.stacks}
    assert not [line for line in lines if line["turn"] == "hypothesise"]


def test_what_was_being_measured_when_a_run_was_killed_is_measured_again(tmp_path):
    store = open_memory_store()
    setting = SkillAgent(brief("cache")).hypothesise()
    store.begin(STACK)
    store.begin(setting)
    composer = NoComposer()
    records, _ = run(tmp_path, store=store, composer=composer)
    assert [proposal for proposal, _ in composer.stacks] == [STACK]
    assert records["cache"].trials[0][0] == setting
    assert store.interrupted("cache") == store.interrupted("integrator") == ()


def test_agents_that_die_before_every_question_find_the_same(tmp_path):
    (tmp_path / "lived").mkdir()
    (tmp_path / "died").mkdir()
    lived, _ = run(tmp_path / "lived", n=6)
    died, _ = run(tmp_path / "died", n=6, make_executor=MortalAgents)
    for skill, record in lived.items():
        assert [p.label for p, _ in died[skill].trials] == [p.label for p, _ in record.trials]
        labels = [point.proposal.label for point in record.frontier]
        assert [point.proposal.label for point in died[skill].frontier] == labels
