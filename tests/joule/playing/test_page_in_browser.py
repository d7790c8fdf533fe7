"""The page of `joule play` in Chromium: it shows the robot and the ghost, and a click, a slider and a pull act.

It needs the extras `play` and `browser` and Chromium (Debian: apt-get install chromium), and is skipped without.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import numpy as np
import pytest
from commands import ROOT
from PIL import Image

import envs

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = chromium.MARKS
ARGUMENTS = [*chromium.ARGUMENTS, "--enable-unsafe-swiftshader"]
"""Shapes are drawn without a GPU."""
SIZE = (1000, 700)
PATIENCE_MS = 180_000
"""A page that is drawn without a GPU on a busy machine is slow."""


@pytest.fixture(scope="module")
def address(make_agent: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page for an untrained agent, served by the command; Ctrl-C ends it."""
    pytest.importorskip("viser", reason="the extra `play` is not installed")
    run = tmp_path_factory.mktemp("runs") / "cheetah"
    env = envs.make("HalfCheetah-v5")
    make_agent(env, env="HalfCheetah-v5").save(run)
    command = [sys.executable, "play.py", str(run), "--port", "0", "--speed", "0.5"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        assert line.startswith("http://localhost:"), "the first line is the address"
        yield line.split()[0]
        served.send_signal(signal.SIGINT)
        assert served.wait(60) == 130
        assert served.stdout.read() == ""


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    """The page in a browser without a window, where nothing but this machine is asked for anything."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    faults: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.CHROMIUM, headless=True, args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        tab.set_default_timeout(PATIENCE_MS)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((address, "data:", "blob:")) else faults.append(asked.url)
            ),
        )
        tab.goto(address)
        yield tab
        assert not faults
        browser.close()


def picture(page: Page, path: Path) -> np.ndarray:
    """The page as it is drawn now, int [height, width, 3]; the file is for the reader of a failed test."""
    data = page.screenshot(path=path, timeout=PATIENCE_MS)
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def share(pixels: np.ndarray, test: Callable[[Any, Any, Any], Any]) -> float:
    """Of the pixels, the share whose red, green and blue pass a test."""
    return float(test(pixels[..., 0], pixels[..., 1], pixels[..., 2]).mean())


def test_a_person_plays(page: Page, tmp_path: Path) -> None:
    page.get_by_text("changed: nothing").wait_for()
    page.get_by_text("critic", exact=True).wait_for()
    page.get_by_text("surprise", exact=True).wait_for()

    page.get_by_role("button", name="pause").click()
    page.get_by_text("paused").wait_for()
    before = picture(page, tmp_path / "paused.png")
    scene = before[:, 310:670]
    assert share(scene, lambda r, g, b: (r > g + 30) & (g > b + 15)) > 0.003, "the robot is seen"
    assert share(scene, lambda r, g, b: (r > g + 40) & (b > g + 30)) > 0.003, "the ghost is seen"
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 500

    # A drag of the third slider, which is gravity.
    thumb = page.locator(".mantine-Slider-thumb").nth(2).bounding_box()
    assert thumb is not None
    x, y = thumb["x"] + thumb["width"] / 2, thumb["y"] + thumb["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=5)
    page.mouse.up()
    page.get_by_text("changed: gravity=").wait_for()

    # A number that is typed into the box of the seventh slider, which is the latency.
    box = page.locator(".mantine-NumberInput-input").nth(6)
    box.fill("")
    box.press_sequentially("2")
    page.get_by_text("latency=2", exact=False).first.wait_for()
    box.press_sequentially(".6")  # apart: a slow page hands over "2.6" alone, and then 0 stays
    page.get_by_text("latency must be a whole number").wait_for()
    page.wait_for_function("box => box.value === '2'", arg=box.element_handle())

    # The first key of a number that is too large was within the bounds: the fifth slider is the mass.
    box = page.locator(".mantine-NumberInput-input").nth(4)
    before_typing = box.input_value()
    box.fill("")
    box.press_sequentially("3")
    page.get_by_text("mass=3", exact=False).first.wait_for()
    box.press_sequentially("0")
    page.get_by_text(f"30 is more than 4; it stays at {before_typing}").wait_for()
    page.wait_for_function("([box, value]) => box.value === value", arg=[box.element_handle(), before_typing])
    page.wait_for_function("() => !document.body.innerText.includes('mass=3')")

    # A pull on the robot: an arrow goes from where it is held to the pointer.
    rows, columns = np.nonzero(
        (scene[..., 0] > scene[..., 1] + 30) & (scene[..., 1] > scene[..., 2] + 15) & (scene[..., 0] > 120)
    )
    middle = np.argsort(columns)[len(columns) // 2]
    x, y = float(columns[middle] + 310), float(rows[middle])
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 60, steps=5)
    page.mouse.move(x, y - 120, steps=5)
    page.wait_for_timeout(2_000)
    pulled = picture(page, tmp_path / "pulled.png")[:, 310:670]
    page.mouse.up()

    def red(r: Any, g: Any, b: Any) -> Any:
        return (r > g + 80) & (r > b + 80)

    assert share(pulled, red) > share(scene, red) + 0.001, "the arrow of the pull is seen"

    shown = page.get_by_text("seed 10000:").inner_text()
    page.get_by_role("button", name="step").click()
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=shown.split(",")[0])
    page.get_by_role("button", name="reset").click()
    page.get_by_text("seed 10001: 0.00 s").wait_for()
    page.get_by_text("changed: gravity=").wait_for()
