"""The command in a process of its own: ended, killed, and begun again."""

import json
import shutil
import signal
import threading
import time
import urllib.error

import pytest
from review_servers import ReviewProcess, run_sol
from reviewed_run import RUN_ID, make_run

from sol.recipe import load_recipe


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), n_pairs=4)


@pytest.fixture
def run(made_run, tmp_path):
    return shutil.copytree(made_run, tmp_path / RUN_ID)


@pytest.fixture
def serve(run):
    processes = []

    def start(*options, **settings):
        processes.append(ReviewProcess(run, *options, **settings))
        return processes[-1]

    yield start
    for process in processes:
        if process.process.poll() is None:
            process.kill()


def answer_one(server, state, choice="left"):
    return server.post("answer", {"trial": state["trial"]["id"], "choice": choice})


def test_every_acknowledged_answer_outlives_a_kill(serve):
    server = serve()
    state, acknowledged = server.state(), []
    for _ in range(3):
        acknowledged.append(state["trial"]["id"])
        state = answer_one(server, state)
    due = state["trial"]["id"]
    server.kill()
    after = serve().state()
    assert after["answered"] == 3
    assert after["trial"]["id"] == due
    assert due not in acknowledged


def test_a_kill_amid_a_stream_of_answers_loses_none_that_was_acknowledged(serve, run):
    server = serve()
    trial = server.state()["trial"]["id"]
    acknowledged = []

    def stream():
        for number in range(100_000):
            try:
                server.post("answer", {"trial": trial, "choice": "left", "note": str(number)})
            except (OSError, urllib.error.URLError):
                return
            acknowledged.append(str(number))
            if len(acknowledged) == 30:
                reached.set()

    reached = threading.Event()
    client = threading.Thread(target=stream)
    client.start()
    assert reached.wait(60)
    server.kill()
    client.join()
    assert serve().state()["answered"] == 1
    (log,) = (run / "review").glob("*/answers.jsonl")
    notes = [json.loads(line)["answer"]["note"] for line in log.read_text().splitlines()]
    assert notes[: len(acknowledged)] == acknowledged
    assert len(notes) <= len(acknowledged) + 1


def test_a_torn_last_line_is_reported_on_the_page_and_the_terminal(serve, run):
    server = serve()
    answer_one(server, server.state())
    server.kill()
    (log,) = (run / "review").glob("*/answers.jsonl")
    log.write_bytes(log.read_bytes() + b'{"when": "2026-01-02", "answer": {"tri')
    server = serve()
    state = server.state()
    assert state["answered"] == 1
    assert "cut off after 38 bytes" in state["notice"]
    assert "cut off after 38 bytes" in server.end()[0]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_end_by_hand_is_orderly_and_says_how_to_go_on(serve, sign):
    server = serve()
    answer_one(server, server.state())
    out, err = server.end(sign)
    assert "1 of 8 answered and kept; the same command goes on." in out
    assert err == ""
    assert server.process.returncode == 0


def test_a_second_server_of_the_reviewer_is_refused_until_the_first_is_killed(serve, run):
    server = serve()
    refused = run_sol("review", run, "--no-open", "--reviewer", "Ann")
    assert refused.returncode == 2
    assert f"process {server.process.pid}" in refused.stderr
    assert "--reviewer" in refused.stderr
    assert serve(reviewer="Bob").state()["answered"] == 0
    server.kill()
    assert serve().state()["answered"] == 0


def test_a_review_that_is_done_ends_with_its_result_and_goes_into_an_approval(serve, run):
    server = serve("--json")
    state = server.state()
    while state["phase"] == "trial":
        state = answer_one(server, state, "none")
    server.post("reveal", {})
    summary = json.loads(server.end()[0])
    assert (summary["answered"], summary["total"]) == (8, 8)
    assert summary["approval"] == "unreviewed"
    assert "could not be told apart (n = 4 pairs and 4 identical ones)" in summary["result"][0]
    done = run_sol("approve", run, "--reviewer", "Ann", "--note", "seen")
    assert done.returncode == 0, done.stderr
    approval = load_recipe(run / "recipe.yaml").approval
    assert (approval.review.n_pairs, approval.review.n_no_difference) == (4, 4)
    assert approval.review.could_tell_apart is False
    refused = run_sol("reject", run, "--reviewer", "Bob", "--note", "no")
    assert refused.returncode == 2
    assert "--again" in refused.stderr
    assert run_sol("reject", run, "--reviewer", "Bob").returncode == 2


def test_a_run_without_a_recipe_can_be_looked_at(serve, run):
    (run / "recipe.yaml").unlink()
    server = serve()
    assert server.state()["phase"] == "trial"
    assert "nothing to approve" in server.end()[0]


def test_what_is_no_run_is_refused(tmp_path):
    refused = run_sol("review", tmp_path, "--no-open", "--reviewer", "Ann")
    assert refused.returncode == 2
    assert "keeps no videos" in refused.stderr


def test_the_browser_gets_the_address_through_a_file_of_the_owner_alone(serve, run, tmp_path):
    # A browser that notes what it was started with, and what it was to open.
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nstat -c %a "${{1#file://}}" > {tmp_path}/mode\n'
        f'cat "${{1#file://}}" > {tmp_path}/page\necho "$1" > {tmp_path}/argument.part\n'
        f"mv {tmp_path}/argument.part {tmp_path}/argument\n"
    )
    browser.chmod(0o755)
    server = serve(browser=str(browser))
    deadline = time.monotonic() + 60
    while not (tmp_path / "argument").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.url in (tmp_path / "page").read_text()
    assert server.url not in (tmp_path / "argument").read_text()
    assert (tmp_path / "mode").read_text() == "600\n"
    server.end()
    assert not list((run / "review").glob(".open*"))
