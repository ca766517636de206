"""The HTTP service, started as its README says, with a real server on a free port."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

httpx = pytest.importorskip("httpx", reason="needs the examples extra")
pytest.importorskip("uvicorn", reason="needs the examples extra")
pytest.importorskip("fastapi", reason="needs the examples extra")

SERVICE = Path(__file__).parents[2] / "examples" / "service" / "service.py"
STARTS_WITHIN_S = 300.0
PROMPT = "a large red circle moves right"

pytestmark = pytest.mark.slow


def find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(recipe: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SERVICE), str(recipe), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_until_healthy(client, process) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        try:
            client.get("/health").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"no answer within {STARTS_WITHIN_S:g} s")


@pytest.fixture(scope="module")
def client(recipe):
    port = find_free_port()
    process = start(
        recipe[0], "--port", str(port), "--max-waiting", "1",
        "--allow", "hardware", "--allow", "versions",
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            wait_until_healthy(client, process)
            yield client
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def open_video(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_a_posted_prompt_comes_back_as_a_video_of_the_workload(client, recipe, ending):
    workload = recipe[1].target.workload
    answer = client.post("/videos", json={"prompt": PROMPT, "seed": 3, "format": ending})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"image/{ending}"
    video = open_video(answer.content)
    assert (video.width, video.height) == (workload.width, workload.height)
    assert video.n_frames == workload.num_frames


def test_the_seed_decides_and_decides_alone(client):
    first, again, other = (
        client.post("/videos", json={"prompt": PROMPT, "seed": seed}).content for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_health_tells_what_is_applied_and_what_it_has_done(client, recipe):
    before = client.get("/health").json()
    client.post("/videos", json={"prompt": PROMPT})
    after = client.get("/health").json()
    assert after["recipe"] == recipe[1].digest
    assert after["target"]["model"]["id"] == "pocket"
    assert after["videos"] == before["videos"] + 1
    skipped = [health["evidence"]["planned"]["calls_skipped"] for health in (before, after)]
    assert skipped[1] > skipped[0] > 0
    assert after["fallbacks"] == {}
    assert set(after["overrides"]) == {"hardware"}
    assert set(after["start_s"]) == {"load", "apply", "first_video"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"prompt": PROMPT, "steps": 9}, "steps must be 24", id="steps"),
        pytest.param({"prompt": PROMPT, "height": 128}, "height must be 64", id="height"),
        pytest.param({"prompt": ""}, "at least 1 character", id="no prompt"),
        pytest.param({"prompt": PROMPT, "seed": -1}, "greater than or equal to 0", id="seed"),
        pytest.param({"prompt": PROMPT, "format": "exe"}, "'gif', 'webp' or 'mp4'", id="format"),
        pytest.param({"prompt": PROMPT, "stesp": 24}, "Extra inputs", id="unknown key"),
    ],
)
def test_what_leaves_the_recipe_is_refused_with_the_reason(client, body, reason):
    answer = client.post("/videos", json=body)
    assert answer.status_code == 422
    assert reason in answer.text


def test_more_than_may_wait_are_told_to_come_again(client):
    with ThreadPoolExecutor(6) as crowd:
        answers = list(
            crowd.map(
                lambda n: client.post("/videos", json={"prompt": PROMPT, "seed": n}), range(6)
            )
        )
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) == {200, 429}
    assert codes.count(200) >= 2
    made = [answer.content for answer in answers if answer.status_code == 200]
    assert len(set(made)) == len(made)


def test_a_recipe_for_another_machine_ends_the_start(recipe):
    process = start(recipe[0], "--port", str(find_free_port()))
    _, errors = process.communicate(timeout=STARTS_WITHIN_S)
    assert process.returncode == 2
    assert "target.hardware" in errors
    assert "Traceback" not in errors
