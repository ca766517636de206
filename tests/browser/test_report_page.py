"""The report in a real browser: players, keys, contrast, paper, small screens, no script."""

from contextlib import contextmanager

import numpy as np
import pytest
from browser.contrast import blend, contrast
from report_examples import make_example_sheets, make_report, moving_square

from sol.validator.report.page import render_html

READABLE = 4.5
"""WCAG 2.2, 1.4.3: contrast of text."""
DRAWN = 3.0
"""WCAG 2.2, 1.4.11: contrast of what a drawing is read by."""

PIXELS = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""
COLOURS = """(elements) => elements.filter((e) => e.checkVisibility()).map((element) => {
  let ground = element;
  while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)")
    ground = ground.parentElement;
  return [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
})"""

PAINT = """(element, paint) => {
  const style = getComputedStyle(element);
  return [style[paint], style[`${paint}Opacity`]];
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_html(make_report(), make_example_sheets()), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser, file):
    """Opens the report; afterwards it must have asked for nothing and complained of nothing."""

    @contextmanager
    def opened(**options):
        settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(**settings | options)
        page = context.new_page()
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        yield page
        remote = [url for url in asked if not url.startswith(("data:", file.as_uri()))]
        context.close()
        assert (remote, complaints) == ([], [])

    return opened


def find_player(page, index=0):
    player = page.locator(".player").nth(index)
    player.scroll_into_view_if_needed()
    page.wait_for_function(
        "i => document.querySelectorAll('.player')[i].classList.contains('ready')", arg=index
    )
    return player


def pixels(player, index=0):
    canvas = player.locator("canvas").nth(index)
    shown = np.array(canvas.evaluate(PIXELS), np.uint8)
    return shown.reshape(canvas.evaluate("c => [c.height, c.width, 4]"))[..., :3]


def colours(page, selector):
    """Of the text and of what is behind it, for each visible element."""
    found = page.locator(selector).evaluate_all(COLOURS)
    assert found
    return found


def focus(player, *keys):
    player.focus()
    for key in keys:
        player.page.keyboard.press(key)


def test_the_wipe_is_moved_by_keys_and_changes_the_picture(open_page):
    with open_page() as page:
        player = find_player(page)
        focus(player, "w")
        handle = player.get_by_role("slider", name="Wipe position")
        handle.focus()
        shown = {}
        for key in ("Home", "End"):
            page.keyboard.press(key)
            shown[key] = pixels(player)
        assert handle.get_attribute("aria-valuenow") == "100"
        focus(player, "s")
        assert np.array_equal(shown["End"], pixels(player, 0))
        assert np.array_equal(shown["Home"], pixels(player, 1))
        assert not np.array_equal(shown["Home"], shown["End"])


def test_the_wipe_follows_the_pointer(open_page):
    with open_page() as page:
        player = find_player(page)
        focus(player, "w")
        box = player.locator(".stage").first.bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
        page.mouse.up()
        page.mouse.move(box["x"], middle)
        handle = player.get_by_role("slider", name="Wipe position")
        assert abs(int(handle.get_attribute("aria-valuenow")) - 25) <= 1


def test_the_difference_is_black_for_equal_arms_and_only_for_them(open_page):
    with open_page() as page:
        differs, equal = find_player(page, 0), find_player(page, 1)
        focus(equal, "d")
        assert not pixels(equal).any()
        assert "largest 0 of 255" in equal.inner_text()
        focus(differs, "d")
        assert pixels(differs).any()


def test_the_difference_is_exact_and_amplified_as_it_says(open_page):
    with open_page() as page:
        player = find_player(page)
        apart = np.abs(pixels(player, 0).astype(int) - pixels(player, 1))
        focus(player, "d")
        for gain in (1, 4, 16):
            player.get_by_role("button", name=f"\N{MULTIPLICATION SIGN}{gain}", exact=True).click()
            assert np.array_equal(pixels(player), np.minimum(gain * apart, 255))


def test_flipping_shows_one_arm_and_then_the_other(open_page):
    with open_page() as page:
        player = find_player(page)
        both = [pixels(player, 0), pixels(player, 1)]
        focus(player, "f")
        assert np.array_equal(pixels(player), both[0])
        focus(player, "x")
        assert np.array_equal(pixels(player), both[1])
        assert "Accelerated" in player.locator(".views .labels").first.inner_text()


def test_playing_moves_both_arms_to_the_same_frame(open_page):
    with open_page() as page:
        player = find_player(page)
        start = player.get_attribute("data-frame")
        focus(player, "]", "]", "k")
        page.wait_for_function(
            "start => document.querySelector('.player').dataset.frame !== start", arg=start
        )
        focus(player, "k")
        frames = player.locator("canvas").evaluate_all("all => all.map((c) => c.dataset.frame)")
        assert frames[0] == frames[1] == player.get_attribute("data-frame")
        assert player.get_attribute("data-playing") == "false"


def test_steps_go_frame_by_frame_and_around(open_page):
    with open_page() as page:
        player = find_player(page)
        frames = []
        for key in ("Home", ",", ".", "ArrowRight", "End", "ArrowLeft"):
            focus(player, key)
            frames.append(player.get_attribute("data-frame"))
        assert frames == ["0", "16", "0", "1", "16", "15"]


def test_every_frame_is_cut_from_its_place_in_the_sheet(open_page):
    with open_page() as page:
        player = find_player(page)
        frames = moving_square()
        focus(player, "Home", ".", ".", ".")
        for t in (3, 4, 5):
            assert np.array_equal(pixels(player, 0), frames[t])
            focus(player, ".")
        focus(player, "End")
        assert np.array_equal(pixels(player, 0), frames[16])


def test_nothing_moves_by_itself_for_a_reader_who_wants_no_motion(open_page):
    with open_page() as page:
        player = find_player(page)
        assert player.get_attribute("data-playing") is None


def test_the_worst_pair_starts_by_itself_when_it_is_seen_and_one_plays_at_a_time(open_page):
    with open_page(reduced_motion="no-preference") as page:
        first, second = find_player(page, 0), find_player(page, 1)
        first.scroll_into_view_if_needed()
        page.wait_for_selector(".player[data-playing=true]")
        assert first.get_attribute("data-playing") == "true"
        focus(second, " ")
        assert first.get_attribute("data-playing") == "false"
        assert second.get_attribute("data-playing") == "true"


def test_tab_reaches_every_control(open_page):
    with open_page() as page:
        for index in range(2):
            focus(find_player(page, index), "w")
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        controls = page.locator("a, summary, .scroll, .player, button, input, select, .handle")
        expected = controls.evaluate_all(
            "all => all.filter((e) => e.checkVisibility()).map((e, i) => (e.id ||= `c${i}`))"
        )
        reached = []
        for _ in [*expected, "out of the page", "into it again"]:
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        assert set(expected) <= set(reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(open_page, scheme):
    with open_page(color_scheme=scheme) as page:
        find_player(page, 1)
        places = ("h1", "section p", ".quiet", "td", "th", ".detail", ".badge", "a", "button")
        least = {place: min(contrast(*c) for c in colours(page, place)) for place in places}
        assert {place: ratio for place, ratio in least.items() if ratio < READABLE} == {}


def test_the_schemes_differ(open_page):
    grounds = []
    for scheme in ("light", "dark"):
        with open_page(color_scheme=scheme) as page:
            grounds.append(colours(page, "body")[0][1])
    assert contrast(*grounds) > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_in_dark_on_white_with_stills(open_page, scheme):
    with open_page(color_scheme=scheme) as page:
        find_player(page)
        assert page.pdf().startswith(b"%PDF-")
        page.emulate_media(media="print")
        text, ground = colours(page, "h1")[0]
        assert contrast(ground, "rgb(255, 255, 255)") < 1.2
        assert contrast(text, ground) > 10
        assert page.locator(".stills img").first.is_visible()
        assert not page.locator("canvas").first.is_visible()
        assert page.locator("#others table").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("selector", "paint"),
    [
        (".guess circle", "fill"),
        (".guess line", "stroke"),
        (".pareto-line", "stroke"),
        ("#time .gain", "fill"),
    ],
)
def test_what_is_drawn_stands_out(open_page, scheme, selector, paint):
    with open_page(color_scheme=scheme) as page:
        drawn = page.locator(selector).first
        colour, opacity = drawn.evaluate(PAINT, paint)
        card = page.locator("section").first
        ground = card.evaluate("(e) => getComputedStyle(e).backgroundColor")
        assert contrast(blend(colour, ground, float(opacity)), ground) >= DRAWN


def test_the_plots_of_predictions_stand_beside_one_another_where_there_is_room(open_page):
    places = {}
    for width in (1280, 400):
        with open_page(viewport={"width": width, "height": 800}) as page:
            boxes = [plot.bounding_box() for plot in page.locator(".plots .scroll").all()]
            places[width] = [(box["x"], box["y"]) for box in boxes]
    (left, right), (above, below) = places[1280], places[400]
    assert left[1] == right[1]
    assert left[0] < right[0]
    assert above[0] == below[0]
    assert above[1] < below[1]


@pytest.mark.parametrize("width", [320, 400, 768])
def test_a_narrow_page_does_not_scroll_sideways(open_page, width):
    with open_page(viewport={"width": width, "height": 800}) as page:
        player = find_player(page)
        for mode in "swdf":
            focus(player, mode)
            assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_a_script_there_are_still_the_verdict_and_the_frames(open_page):
    with open_page(java_script_enabled=False) as page:
        assert "Accepted" in page.locator("h1").inner_text()
        stills = page.locator(".stills img")
        assert stills.count() == 4
        for still in stills.all():
            still.scroll_into_view_if_needed()
            assert still.bounding_box()["width"] > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_of_it_is_kept(open_page, artifacts, scheme):
    with open_page(color_scheme=scheme) as page:
        for index in range(2):
            find_player(page, index)
        focus(page.locator(".player").nth(0), "d")
        path = artifacts / f"report-{scheme}.png"
        page.screenshot(path=path, full_page=True)
        assert path.stat().st_size > 10_000
