"""The page of a comparison in Chromium: on a phone, a desktop and paper, light and dark, without its script too.

It needs the extra `browser` and Chromium (Debian: apt-get install chromium), and is skipped without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import imageio
import numpy as np
import pytest
from hostile_text import NAMES
from result_files import write_evaluations, write_forecasts, write_run

from joule.commands import compare
from joule.report.page import films

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = chromium.MARKS
MEAN = "table.scores th:nth-child(4) button"
SIZES = ((390, 844), (1280, 900))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A browser without a window, with a profile of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    profile = tmp_path_factory.mktemp("profile")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium.CHROMIUM, headless=True, args=chromium.ARGUMENTS
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of six runs of three agents, with films, one of which is too large for the page."""
    folder = tmp_path_factory.mktemp("usual")
    runs = []
    for agent, settings, level in (
        ("joule", {"planner": {"kind": "mppi"}}, 1.0),
        ("joule", {"planner": {"kind": "icem"}}, 3.0),
        ("sac", {"planner": {"kind": "mppi"}}, 2.0),
    ):
        for seed in (1, 2):
            path = folder / f"{agent}{level}-{seed}"
            returns = [level * 100 + seed, level * 1000 + seed, level * 2000 + seed]
            runs.append(write_run(path, returns, settings={**settings}, agent=agent, seed=seed))
            write_forecasts(path, [(1.0, 1.5), (2.0, 2.5), (3.0, 3.0), (4.0, 3.0)], frames=30)
    for run, size in ((runs[0], 64), (runs[2], 256)):
        (run / "videos").mkdir()
        noise = np.random.default_rng(0).integers(0, 255, (10, size, size, 3)).astype(np.uint8)
        imageio.mimsave(run / "videos" / "step-30.mp4", list(noise), fps=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "LARGEST_FILM", 100_000)
        assert compare.main([*map(str, runs), "--out", str(folder / "out")]) == 0
    return folder / "out" / "compare.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run in which another person chose every name."""
    folder = tmp_path_factory.mktemp("hostile")
    name = "".join(text for text in NAMES.values() if "\x00" not in text and "\udcff" not in text)
    run = write_run(folder / "run", [1.0], settings={name[-5000:]: name})
    other = write_run(folder / "other", [1.0, 2.0], settings={name[-5000:]: "x"}, agent="sac")
    for path in (run, other):
        write_evaluations(path / "evaluations.csv", [1.0, 2.0], env=name.replace("\n", "").replace("\r", ""))
    (run / "command.txt").write_text(name)
    assert compare.main([str(run), str(other), "--out", str(folder / "out")]) == 0
    return folder / "out" / "compare.html"


@contextmanager
def opened(
    context: BrowserContext, path: Path, size: tuple[int, int] = SIZES[1], **media: Any
) -> Iterator[Page]:
    """A page in a new tab, in which no error, no message, no dialog and no request comes up to its end."""
    tab = context.new_page()
    faults: list[str] = []

    def dismiss(dialog: Any) -> None:
        faults.append(dialog.message)
        dialog.dismiss()

    def asked(request: Any) -> None:
        if request.url.startswith(("http", "ws")):
            faults.append(request.url)

    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("dialog", dismiss)
    tab.on("request", asked)
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    tab.emulate_media(**media)
    tab.goto(path.as_uri())
    yield tab
    tab.wait_for_timeout(100)
    assert not faults
    tab.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["usual", "hostile"])
def test_the_page_fits_its_screen(
    context: BrowserContext, request: pytest.FixtureRequest, size: tuple[int, int], scheme: Any, which: str
) -> None:
    with opened(context, request.getfixturevalue(which), size, color_scheme=scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 25, 29)"}[scheme]
        font = tab.locator("figure.curve text").first.bounding_box()
        assert font is not None
        assert font["height"] > 10, "the numbers of a figure can be read"
        mean = tab.locator("table.scores tbody tr:first-child td:nth-child(4)").bounding_box()
        assert mean is not None
        assert mean["x"] + mean["width"] <= size[0], "the score is in sight"


def test_a_click_on_a_heading_sorts(context: BrowserContext, usual: Path) -> None:
    with opened(context, usual) as tab:

        def column(number: int) -> list[str]:
            return tab.locator(f"table.scores tbody td:nth-child({number})").all_inner_texts()

        assert column(4) == ["6,002", "4,002", "2,002"], "as the table has it"
        seen = []
        for _ in range(3):
            tab.click(MEAN)
            seen.append((column(4), tab.get_attribute("table.scores th:nth-child(4)", "aria-sort")))
        assert seen == [
            (["6,002", "4,002", "2,002"], "descending"),
            (["2,002", "4,002", "6,002"], "ascending"),
            (["6,002", "4,002", "2,002"], None),
        ]
        tab.focus("table.scores th:nth-child(2) button")
        tab.keyboard.press("Enter")
        assert [name.split()[0] for name in column(2)] == ["joule", "joule", "sac"]
        assert column(1) == ["Hopper-v5"] * 3, "every row says its environment"


@pytest.mark.parametrize("size", SIZES)
def test_a_curve_shows_its_values(context: BrowserContext, usual: Path, size: tuple[int, int]) -> None:
    with opened(context, usual, size) as tab:
        figure = tab.locator("figure.curve").first
        figure.scroll_into_view_if_needed()
        box = figure.locator("> svg").bounding_box()
        assert box is not None
        tip = figure.locator(".tip")
        assert tip.is_hidden()
        tab.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 0.3 * box["height"])
        lines = tip.inner_text().split("\n")
        assert lines[0] == "30 frames"
        assert lines[1::2] == ["joule (planner.kind=icem)", "sac", "joule (planner.kind=mppi)"], (
            "highest first"
        )
        assert lines[2] == "6,002 (6,001 to 6,002)"
        shown = tip.bounding_box()
        assert shown is not None
        assert shown["x"] >= 0
        assert shown["x"] + shown["width"] <= size[0]
        dot = figure.locator("circle").first.bounding_box()
        line = figure.locator("svg g line").first.bounding_box()
        assert dot is not None
        assert line is not None
        assert abs(dot["x"] + dot["width"] / 2 - line["x"]) < 2
        tab.mouse.move(0, 0)
        assert tip.is_hidden()
        figure.focus()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        assert tip.inner_text().startswith("20 frames")
        tab.keyboard.press("Escape")
        assert tip.is_hidden()


def test_films_play(context: BrowserContext, usual: Path) -> None:
    with opened(context, usual) as tab:
        assert tab.locator("video").count() == 2
        tab.evaluate("document.querySelectorAll('video').forEach((video) => video.play())")
        played: list[float] = []
        for _ in range(50):  # the page's policy forbids Playwright's own way to wait
            played = tab.eval_on_selector_all("video", "videos => videos.map((video) => video.currentTime)")
            if min(played) > 0.1:
                break
            tab.wait_for_timeout(100)
        assert min(played) > 0.1
        sources = tab.eval_on_selector_all(
            "video", "videos => videos.map((video) => video.getAttribute('src'))"
        )
        assert sorted(source.split(":")[0] for source in sources) == [
            "../joule3.0-1/videos/step-30.mp4",
            "blob",
        ]


def test_the_page_is_light_on_paper_and_readable_without_its_script(
    context: BrowserContext, usual: Path
) -> None:
    with opened(context, usual, color_scheme="dark", media="print") as tab:
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.locator("video").first.is_hidden()
    browser = context.browser
    assert browser is not None
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(usual.as_uri())
    assert plain.locator("table.scores tbody tr").count() == 3
    assert plain.locator(".hint").is_hidden()
    assert plain.locator("figure.curve svg").first.is_visible()
    plain.context.close()


def test_no_name_runs_anything(context: BrowserContext, hostile: Path) -> None:
    with opened(context, hostile) as tab:
        assert "<script>alert(1)</script>" in tab.inner_text("h3")
        tab.click(MEAN)
        tab.locator("figure.curve").first.focus()
        tab.keyboard.press("ArrowRight")
        assert (
            "<script>alert(1)</script>" in tab.locator(".tip").first.inner_text()
            or tab.locator(".tip").first.is_visible()
        )
        assert tab.locator("img[src^='x']").count() == 0
