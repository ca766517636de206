"""The review page in a real browser: a whole review by keyboard, interrupted in every way."""

import json
import shutil
from contextlib import contextmanager

import pytest
from browser.contrast import contrast
from playwright.sync_api import expect
from review_servers import ReviewProcess, ServedReview
from reviewed_run import FRAMES, RUN_ID, make_run

from sol.recipe import load_recipe

READABLE = 4.5
"""WCAG 2.2, 1.4.3: contrast of text."""

COLOURS = """(elements) => elements.filter((e) => e.checkVisibility()).map((element) => {
  let ground = element;
  while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)")
    ground = ground.parentElement;
  return [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
})"""


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), n_pairs=2)


@pytest.fixture
def run(made_run, tmp_path):
    return shutil.copytree(made_run, tmp_path / RUN_ID)


@pytest.fixture
def serve(run):
    served = []

    def start():
        served.append(ServedReview(run, "t0ken"))
        return served[-1]

    yield start
    for server in served:
        server.close()


@pytest.fixture
def open_page(browser):
    """Opens the page; afterwards it must have asked no other machine and complained of nothing."""

    @contextmanager
    def opened(server, may_complain=False, **options):
        settings = {"viewport": {"width": 1100, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(**settings | options)
        page = context.new_page()
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        yield page
        context.close()
        assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
        assert may_complain or complaints == []

    return opened


def answers_of(run):
    (log,) = (run / "review").glob("*/answers.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def await_trial(page, answered):
    """The next question is there, with its videos, and takes an answer."""
    expect(page.locator("#count")).to_have_text(f"{answered} of 4 answered")
    page.locator(".player.ready").wait_for()
    page.wait_for_timeout(350)


def test_a_whole_review_by_keyboard(serve, open_page, run, artifacts):
    server = serve()
    with open_page(server) as page:
        await_trial(page, 0)
        page.keyboard.press("1")
        page.keyboard.press("4")
        page.keyboard.press("1")
        page.keyboard.press("n")
        page.keyboard.type("left 0 thumb")
        page.keyboard.press("Escape")
        page.screenshot(path=artifacts / "review-trial.png", full_page=True)
        page.keyboard.press("ArrowLeft")
        for answered, key in enumerate(("ArrowRight", "ArrowDown", "0"), start=1):
            await_trial(page, answered)
            page.keyboard.press(key)
        page.locator("#reveal").wait_for()
        page.keyboard.press("Enter")
        page.locator("#approve").wait_for()
        given = [line["answer"] for line in answers_of(run) if line["event"] == "answer"]
        assert [a["choice"] for a in given] == ["left", "right", "none", "none"]
        assert (given[0]["flaws"], given[0]["note"]) == (["shape"], "left 0 thumb")
        assert all(a["seconds"] > 0 for a in given)
        text = page.locator("main").inner_text()
        assert "n = 2 pairs and 2 identical ones" in text
        assert "shape: “a bar of kind" in text
        assert "Note: left 0 thumb" in text
        page.screenshot(path=artifacts / "review-result.png", full_page=True)
        page.locator("#reason").focus()
        page.keyboard.type("as good")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator(".stamp.approved").wait_for()
    approval = load_recipe(run / "recipe.yaml").approval
    assert (approval.status, approval.reviewer, approval.note) == ("approved", "Ann", "as good")
    assert approval.review.n_pairs == 2


def test_a_page_that_is_closed_and_a_server_that_is_killed_lose_nothing(open_page, run):
    server = ReviewProcess(run)
    with open_page(server) as page:
        await_trial(page, 0)
        page.keyboard.press("ArrowLeft")
        await_trial(page, 1)
    with open_page(server, may_complain=True) as page:
        await_trial(page, 1)
        due = page.locator(".sheet").first.get_attribute("src")
        page.keyboard.press("3")
        server.kill()
        page.keyboard.press("ArrowRight")
        problem = page.locator("#problem")
        problem.wait_for()
        assert "not kept yet" in problem.inner_text()
        assert page.locator('[data-flaw="motion"]').get_attribute("aria-pressed") == "true"
    server = ReviewProcess(run)
    with open_page(server) as page:
        await_trial(page, 1)
        assert page.locator(".sheet").first.get_attribute("src") == due
    server.kill()
    assert len(answers_of(run)) == 1


def test_the_server_that_comes_back_takes_the_answer_that_was_waiting(serve, open_page, run):
    server = serve()
    with open_page(server, may_complain=True) as page:
        await_trial(page, 0)
        page.route("**/answer", lambda route: route.abort())
        page.keyboard.press("ArrowLeft")
        page.locator("#problem").wait_for()
        page.unroute("**/answer")
        page.get_by_role("button", name="Try again").click()
        await_trial(page, 1)
        assert page.locator("#problem").is_hidden()
    assert len(answers_of(run)) == 1


def test_the_last_answer_can_be_taken_back_with_what_was_entered(serve, open_page, run):
    with open_page(serve()) as page:
        await_trial(page, 0)
        assert page.locator("#undo").is_disabled()
        page.keyboard.press("2")
        page.keyboard.press("ArrowLeft")
        await_trial(page, 1)
        page.keyboard.press("u")
        await_trial(page, 0)
        assert page.locator('[data-flaw="flicker"]').get_attribute("aria-pressed") == "true"
        page.keyboard.press("ArrowRight")
        await_trial(page, 1)
    events = [(line["event"], line.get("answer", {}).get("choice")) for line in answers_of(run)]
    assert events == [("answer", "left"), ("undo", None), ("answer", "right")]


def test_one_press_answers_one_question(serve, open_page, run):
    with open_page(serve()) as page:
        await_trial(page, 0)
        page.keyboard.down("ArrowLeft")
        for _ in range(20):
            page.keyboard.down("ArrowLeft")
        page.keyboard.up("ArrowLeft")
        await_trial(page, 1)
        page.locator('[data-choice="none"]').dblclick()
        await_trial(page, 2)
    assert len(answers_of(run)) == 2


def test_two_tabs_ask_one_question_once(serve, open_page, run):
    server = serve()
    with open_page(server) as one, open_page(server) as other:
        await_trial(one, 0)
        await_trial(other, 0)
        one.keyboard.press("ArrowLeft")
        await_trial(one, 1)
        other.keyboard.press("ArrowRight")
        await_trial(other, 1)
        assert one.locator(".sheet").first.get_attribute("src") == other.locator(
            ".sheet"
        ).first.get_attribute("src")
    first, second = answers_of(run)
    assert first["answer"]["trial"] == second["answer"]["trial"]
    assert second["answer"]["choice"] == "right"


def test_a_click_marks_the_frame_and_place_of_a_flaw(serve, open_page, run):
    with open_page(serve()) as page:
        await_trial(page, 0)
        page.keyboard.press(".")
        page.keyboard.press(".")
        canvas = page.locator("canvas").nth(1)
        box = canvas.bounding_box()
        canvas.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.5})
        assert "Marked: right, frame 3" in page.locator("#where").inner_text()
        dot = page.locator(".mark").bounding_box()
        assert dot["x"] + dot["width"] / 2 == pytest.approx(box["x"] + box["width"] / 4, abs=2)
        page.keyboard.press("ArrowLeft")
        await_trial(page, 1)
    mark = answers_of(run)[0]["answer"]["mark"]
    assert (mark["side"], mark["frame"]) == ("right", 2)
    assert (mark["x"], mark["y"]) == pytest.approx((0.25, 0.5), abs=0.02)


def test_space_plays_and_the_frame_slider_keeps_its_arrows(serve, open_page, run):
    with open_page(serve()) as page:
        await_trial(page, 0)
        player = page.locator(".player")
        page.keyboard.press(" ")
        assert player.get_attribute("data-playing") == "true"
        page.keyboard.press(" ")
        assert player.get_attribute("data-playing") == "false"
        slider = page.get_by_role("slider", name="Frame")
        slider.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert player.get_attribute("data-frame") == "1"
        assert page.locator("#count").inner_text().startswith("0 of 4")


def test_blind_there_is_no_view_that_tells_the_difference(serve, open_page):
    with open_page(serve()) as page:
        await_trial(page, 0)
        page.locator(".player").focus()
        for key in ("d", "w", "f", "x"):
            page.keyboard.press(key)
        assert page.locator(".player").get_attribute("data-mode") == "side"
        assert page.locator(".modes").is_hidden()
        shown = page.content().lower()
        assert "baseline" not in shown
        assert "accelerated" not in shown


def test_both_sides_show_the_same_frame_of_their_own_video(serve, open_page):
    with open_page(serve()) as page:
        await_trial(page, 0)
        for frame in range(FRAMES):
            canvases = page.locator("canvas")
            assert canvases.count() == 2
            assert {canvases.nth(i).get_attribute("data-frame") for i in (0, 1)} == {str(frame)}
            page.keyboard.press(".")


def test_a_pause_hides_the_videos_and_takes_no_answer(serve, open_page, run):
    with open_page(serve()) as page:
        await_trial(page, 0)
        page.keyboard.press("p")
        assert page.locator("#resume").is_visible()
        assert page.locator(".player").is_hidden()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("p")
        assert page.locator(".player").is_visible()
        page.keyboard.press("ArrowDown")
        await_trial(page, 1)
    assert [line["answer"]["choice"] for line in answers_of(run)] == ["none"]


def finish(page, total=4):
    for answered in range(total):
        await_trial(page, answered)
        page.keyboard.press("ArrowDown")
    page.locator("#reveal").wait_for()


def test_the_last_answer_can_be_taken_back_before_the_result_and_not_after(serve, open_page):
    with open_page(serve()) as page:
        finish(page)
        page.keyboard.press("u")
        await_trial(page, 3)
        page.keyboard.press("ArrowDown")
        page.locator("#reveal").click()
        page.locator("#approve").wait_for()
        page.reload()
        page.locator("#approve").wait_for()
        assert page.locator("#undo").count() == 0


def test_the_end_shows_pairs_again_unblinded(serve, open_page):
    with open_page(serve()) as page:
        finish(page)
        page.locator("#reveal").click()
        page.locator(".replay").first.click()
        player = page.locator(".player.ready")
        player.wait_for()
        assert player.locator(".modes").is_visible()
        assert sorted(player.locator(".labels").all_inner_texts()) == ["Accelerated", "Baseline"]


def test_a_rejection_needs_its_reason_and_a_second_verdict_a_tick(serve, open_page, run):
    with open_page(serve(), may_complain=True) as page:
        finish(page)
        page.locator("#reveal").click()
        page.locator("#reject").click()
        assert not page.locator("#reason").evaluate("(e) => e.validity.valid")
        page.locator("#reason").fill("the bar tears")
        page.locator("#reject").click()
        page.locator(".stamp.rejected").wait_for()
        page.locator("#approve").click()
        expect(page.locator("#problem")).to_contain_text("rejected already, by Ann")
        expect(page.locator("#problem")).to_be_in_viewport()
        page.locator("#again").check()
        page.locator("#approve").click()
        page.locator(".stamp.approved").wait_for()
    assert load_recipe(run / "recipe.yaml").approval.status == "approved"


def test_a_run_without_a_recipe_has_nothing_to_approve(serve, open_page, run):
    (run / "recipe.yaml").unlink()
    with open_page(serve()) as page:
        finish(page)
        page.locator("#reveal").click()
        assert "no recipe" in page.locator("#nothing").inner_text()
        assert page.locator("#approve").count() == 0


def test_hostile_text_is_shown_and_never_run(serve, open_page, run):
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    index = run / "videos" / "index.json"
    data = json.loads(index.read_text())
    for pair in data["pairs"]:
        pair["prompt"] = hostile
    index.write_text(json.dumps(data))
    with open_page(serve()) as page:
        await_trial(page, 0)
        assert page.locator("#prompt").inner_text() == hostile
        assert page.locator("main script").count() == 0


@pytest.mark.parametrize("width", [400, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark_and_on_a_narrow_screen(
    serve, open_page, artifacts, width, scheme
):
    settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with open_page(serve(), **settings) as page:
        await_trial(page, 0)
        check_readable(page, width)
        page.screenshot(path=artifacts / f"review-{scheme}-{width}.png", full_page=True)
        finish(page)
        page.locator("#reveal").click()
        page.locator("#approve").click()
        page.locator(".stamp").wait_for()
        check_readable(page, width)
        page.screenshot(path=artifacts / f"review-end-{scheme}-{width}.png", full_page=True)


def check_readable(page, width):
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    texts = "h1, h2, h3, p, span, label, legend, li, button:enabled, textarea"
    pairs = {tuple(pair) for pair in page.locator(texts).evaluate_all(COLOURS)}
    for text, ground in pairs:
        assert contrast(text, ground) >= READABLE, (text, ground)
