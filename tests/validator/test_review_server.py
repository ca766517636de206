import json
import shutil
import threading

import pytest
from review_servers import ServedReview
from reviewed_run import RUN_ID, WHEN, make_run

from sol.recipe import load_recipe
from sol.validator.review.plan import ReviewError
from sol.validator.review.server import LARGEST_BODY, ReviewServer
from sol.validator.review.store import folder_name

TOKEN = "t0ken-of-the-test"


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), n_pairs=2)


@pytest.fixture
def run(made_run, tmp_path):
    return shutil.copytree(made_run, tmp_path / RUN_ID)


@pytest.fixture
def page(run):
    page = ServedReview(run, TOKEN)
    yield page
    page.close()


def lines_of(run):
    return (run / "review" / folder_name("Ann") / "answers.jsonl").read_text().splitlines()


def test_it_listens_on_the_loopback_alone(page):
    assert page.server.server_address[0] == "127.0.0.1"
    assert page.server.url == f"http://127.0.0.1:{page.server.port}/{TOKEN}/"


def test_a_port_that_is_taken_is_said(page):
    with pytest.raises(ReviewError, match="Choose another --port"):
        ReviewServer(page.desk, TOKEN, page.server.port)


@pytest.mark.parametrize("path", ["", "state", "review.js", "player.js", "sheet/x/left"])
@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "%74"])
def test_nothing_without_the_token(page, path, token):
    status, _, content = page.send("GET", path, token=token)
    assert status == 403
    assert set(json.loads(content)) == {"error"}


@pytest.mark.parametrize("path", ["answer", "undo", "reveal", "decision"])
def test_no_action_without_the_token(page, path):
    headers = {"Content-Type": "application/json"}
    assert page.send("POST", path, "{}", headers, token="wrong")[0] == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{port}", 200),
        ("127.0.0.1:9", 200),
        ("evil.example:{port}", 403),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("localhost.evil.example", 403),
        ("0.0.0.0:{port}", 403),
        ("", 403),
    ],
)
def test_only_its_own_host_names_are_answered(page, host, status):
    headers = {"Host": host.format(port=page.server.port)}
    assert page.send("GET", "state", headers=headers)[0] == status


def test_no_host_and_two_hosts_are_refused(page):
    line = f"GET /{TOKEN}/state HTTP/1.0\r\n".encode()
    own, evil = b"Host: 127.0.0.1\r\n", b"Host: evil.example\r\n"
    assert " 200 " in page.raw(line + own + b"\r\n")
    assert " 403 " in page.raw(line + b"\r\n")
    assert " 403 " in page.raw(line + own + evil + b"\r\n")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_other_sites_may_not_act(page, run, origin):
    trial = page.get()[1]["trial"]["id"]
    headers = {"Content-Type": "application/json", "Origin": origin}
    body = json.dumps({"trial": trial, "choice": "left"})
    assert page.send("POST", "answer", body, headers)[0] == 403
    assert lines_of(run) == []


@pytest.mark.parametrize(
    "path",
    [
        "../recipe.yaml",
        "..%2f..%2frecipe.yaml",
        "/etc/passwd",
        "sheet/../left",
        "sheet/x/up",
        "review.html",
        "__init__.py",
        "videos/index.json",
        "state/",
        "answer",
        "a" * 5000,
    ],
)
def test_there_is_nothing_but_the_page(page, path):
    assert page.send("GET", path)[0] == 404


def test_an_unknown_trial_has_no_sheet(page):
    assert page.get("sheet/0000000000000000/left")[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods_are_refused(page, method):
    status, headers, _ = page.send(method, "state")
    assert status == 501
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["", "state", "review.css", "nothing"])
def test_every_reply_is_closed_to_other_sites(page, path):
    headers = page.send("GET", path)[1]
    policy = headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "frame-ancestors 'none'", "script-src 'self'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("{", {"Content-Type": "application/json"}, 400),
        ("", {"Content-Type": "application/json"}, 400),
        (b"\xff", {"Content-Type": "application/json"}, 400),
        ("[" * 9000, {"Content-Type": "application/json"}, 400),
        ("null", {"Content-Type": "application/json"}, 400),
        ('{"trial": "x"}', {"Content-Type": "application/json"}, 400),
        ('{"trial": "x", "choice": "left"}', {"Content-Type": "application/json"}, 404),
        ("{}", {"Content-Type": "text/plain"}, 415),
        ("{}", {}, 415),
        ("x" * (LARGEST_BODY + 1), {"Content-Type": "application/json"}, 413),
        ("x" * 900_000, {"Content-Type": "application/json"}, 413),
        ("{}", {"Content-Type": "application/json", "Content-Length": "-1"}, 411),
        ("{}", {"Content-Type": "application/json", "Content-Length": "two"}, 411),
    ],
)
def test_a_bad_body_has_a_clear_status_and_loses_nothing(page, run, body, headers, status):
    trial = page.get()[1]["trial"]["id"]
    assert page.post("answer", {"trial": trial, "choice": "none"})[0] == 200
    found, _, content = page.send("POST", "answer", body, headers)
    assert found == status
    assert json.loads(content)["error"]
    assert len(lines_of(run)) == 1
    assert page.get()[1]["answered"] == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Type: application/json\r\n\r\n{}", 411),
        ("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}", 411),
        ("Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{", 400),
        ("Content-Type: application/json\r\nContent-Length: " + "9" * 5000 + "\r\n\r\n", 413),
    ],
)
def test_a_body_of_no_or_a_wrong_length(page, run, head, status):
    text = f"POST /{TOKEN}/answer HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}"
    assert f" {status} " in page.raw(text.encode())
    assert lines_of(run) == []


def test_an_answer_is_on_disk_before_it_is_acknowledged(page, run):
    trial = page.get()[1]["trial"]["id"]
    answer = {"trial": trial, "choice": "left", "flaws": ["blur"], "seconds": 2.5}
    status, state = page.post("answer", answer)
    assert status == 200
    assert state["answered"] == 1
    assert json.loads(lines_of(run)[0])["answer"]["flaws"] == ["blur"]


def test_a_double_click_and_two_tabs_leave_one_answer(page, run):
    trial = page.get()[1]["trial"]["id"]
    answer = {"trial": trial, "choice": "left"}
    threads = [threading.Thread(target=page.post, args=("answer", answer)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines_of(run)) == 1
    assert page.post("answer", answer | {"choice": "right"})[1]["answered"] == 1
    assert [json.loads(line)["answer"]["choice"] for line in lines_of(run)] == ["left", "right"]


def test_what_is_taken_back_comes_back_to_be_changed(page):
    trial = page.get()[1]["trial"]["id"]
    page.post("answer", {"trial": trial, "choice": "left", "note": "soft"})
    _, state = page.post("undo", {})
    assert state["trial"]["id"] == trial
    assert state["draft"]["note"] == "soft"
    assert page.post("undo", {})[0] == 400


def answer_all(page):
    state = page.get()[1]
    while state["phase"] == "trial":
        state = page.post("answer", {"trial": state["trial"]["id"], "choice": "none"})[1]
    return state


def test_nothing_that_is_sent_before_the_end_names_an_arm(page):
    sent = []
    state = page.get()[1]
    while state["phase"] == "trial":
        trial = state["trial"]["id"]
        for side in ("left", "right"):
            status, headers, content = page.send("GET", f"sheet/{trial}/{side}")
            assert status == 200
            assert headers["Content-Type"] == "image/png"
            sent += [str(headers).encode(), content]
        status, state = page.post("answer", {"trial": trial, "choice": "none"})
        sent.append(json.dumps(state).encode())
    sent.append(json.dumps(page.post("decision", {"status": "approved"})[1]).encode())
    everything = b"\n".join(sent).lower()
    for word in (b"baseline", b"accelerated", b"step_mask", b"stack", b".mp4"):
        assert word not in everything


def test_the_end_shows_the_result_and_the_verdict_goes_into_the_recipe(page, run):
    assert page.post("reveal", {})[0] == 409
    assert answer_all(page)["phase"] == "answered"
    assert page.post("decision", {"status": "approved"})[0] == 409
    _, state = page.post("reveal", {})
    assert state["phase"] == "result"
    assert {f["identical"] for f in state["findings"]} == {True, False}
    assert (
        page.post("answer", {"trial": state["findings"][0]["trial"], "choice": "left"})[0] == 409
    )
    assert page.post("decision", {"status": "rejected"})[0] == 409
    assert page.post("decision", {"status": "maybe"})[0] == 400
    assert load_recipe(run / "recipe.yaml").approval.status == "unreviewed"
    _, state = page.post("decision", {"status": "approved", "note": "fine"})
    assert state["recipe"]["status"] == "approved"
    approval = load_recipe(run / "recipe.yaml").approval
    assert (approval.status, approval.reviewer, approval.note) == ("approved", "Ann", "fine")
    assert (approval.when, approval.review.n_pairs) == (WHEN, 2)
    assert approval.report.startswith("sha256:")
    status, refused = page.post("decision", {"status": "rejected", "note": "no"})
    assert status == 409
    assert "approved already" in refused["error"]
    again = {"status": "rejected", "note": "no", "again": True}
    assert page.post("decision", again)[1]["recipe"]["status"] == "rejected"


def test_a_run_that_accepted_nothing_can_be_looked_at(page, run):
    (run / "recipe.yaml").unlink()
    answer_all(page)
    assert "no recipe to approve" in page.post("reveal", {})[1]["recipe"]["problem"]
    status, refused = page.post("decision", {"status": "approved"})
    assert status == 400
    assert "No recipe at" in refused["error"]


def test_a_changed_recipe_is_not_approved(page, run):
    path = run / "recipe.yaml"
    path.write_text(path.read_text().replace("3-5", "3-9"))
    answer_all(page)
    assert "digest does not match" in page.post("reveal", {})[1]["recipe"]["problem"]
    assert page.post("decision", {"status": "approved"})[0] == 400


def test_a_video_that_is_gone_is_said_without_its_path(page, run):
    state = page.get()[1]
    for path in (run / "videos").glob("*/*.mp4"):
        path.unlink()
    status, refused = page.get(f"sheet/{state['trial']['id']}/left")
    assert status == 500
    assert "baseline" not in refused["error"]
    assert "stack" not in refused["error"]


def test_a_reviewer_without_a_name_is_asked(run):
    page = ServedReview(run, TOKEN, reviewer=None)
    try:
        assert page.get()[1] == {"phase": "name", "run": RUN_ID}
        assert page.post("answer", {"trial": "x", "choice": "left"})[0] == 409
        assert page.post("reviewer", {"name": "  "})[0] == 400
        assert page.post("reviewer", {"name": 3})[0] == 400
        assert page.post("reviewer", {"name": " Ann "})[1]["reviewer"] == "Ann"
        assert page.post("reviewer", {"name": "Bob"})[1]["reviewer"] == "Ann"
    finally:
        page.close()


def test_the_page_and_its_files_ask_nothing_of_other_machines(page):
    for path in ("", "review.css", "review.js", "result.js", "player.js"):
        status, _, content = page.send("GET", path)
        assert status == 200
        assert b"http:" not in content
        assert b"https:" not in content
        assert b"//cdn" not in content
