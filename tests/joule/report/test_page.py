"""The HTML page is self-contained, escapes every value, shows films and the settings that differ."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_text import NAMES, control_characters
from result_files import write_evaluations, write_run

from joule.report import page, table
from joule.report.page import films
from joule.report.page.setting_differences import differences
from joule.report.results import gather

MP4 = b"\0\0\0\x20ftypisom"


class Elements(HTMLParser):
    """Collects the elements of a page with the names of their attributes, its texts, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.targets: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.targets += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(folder: Path, name: str, setting: str) -> str:
    """A page of two runs in which a name stands everywhere that another person can choose one."""
    paths = []
    for seed in (1, 2):
        path = write_run(folder / str(seed), [1.0, 2.0], seed=seed, settings={setting: seed})
        write_evaluations(path / "evaluations.csv", [1.0, 2.0], agent=name, env=name, seed=seed)
        (path / "command.txt").write_text(name, errors="surrogateescape")
        paths.append(path)
    runs = gather(paths)
    read = [(run, {name: 0.5, "height": 0.97}) for run in runs]
    return page.build(table.rows(runs), runs, notes=[name], title=name, read=read)


def test_no_name_changes_the_page(tmp_path: Path) -> None:
    printable = [name.replace("\x00", "") for name in NAMES.values() if name.isascii() and len(name) < 1_000]
    hostile = Elements(page_of(tmp_path / "hostile", " ".join(printable), "".join(printable)))
    harmless = Elements(page_of(tmp_path / "harmless", "Hopper-v5 (x)", "samples"))
    assert hostile.elements == harmless.elements
    assert "<script>alert(1)</script>" in "".join(hostile.texts), "shown as it is"
    odd = "".join(("a\u202egnp.exe", "\x9b31m", "a\u2028b", "a\u200bb"))
    assert not control_characters("".join(Elements(page_of(tmp_path / odd, odd, odd)).texts))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with usual names."""
    return page_of(tmp_path_factory.mktemp("page"), "Hopper-v5", "samples")


def test_the_page_loads_nothing_and_runs_one_script(text: str) -> None:
    elements = Elements(text)
    assert not elements.targets
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'" in text
    assert not [name for element in elements.elements for name in element[1:] if name.startswith("on")]


def test_curves_carry_the_values_that_they_draw(text: str) -> None:
    frames, minutes = map(json.loads, re.findall(r'<script type="application/json">(.*?)</script>', text))
    assert (frames["unit"], minutes["unit"]) == ("frames", "CPU-min")
    assert [curve["x"] for curve in frames["curves"]] == [[10.0, 20.0]] * 2
    assert [curve["mean"] for curve in minutes["curves"]] == [[1.0, 2.0]] * 2
    left, top, right, bottom = frames["box"]
    for curve in frames["curves"]:
        for x, y in zip(curve["x"], curve["mean"], strict=True):
            assert left <= frames["x"][0] * x + frames["x"][1] <= right
            assert top <= frames["y"][0] * y + frames["y"][1] <= bottom
    assert frames["y"][0] < 0, "a higher return is farther up"


def test_seeds_without_common_frames_have_no_curve(tmp_path: Path) -> None:
    for seed, every in ((1, 10), (2, 30)):
        write_evaluations(tmp_path / f"{seed}" / "seed.csv", [1.0], agent="sac", seed=seed, every=every)
    write_evaluations(tmp_path / "3" / "seed.csv", [1.0, 2.0])
    runs = gather([], [tmp_path])
    built = page.build(table.rows(runs), runs)
    for data in re.findall(r'<script type="application/json">(.*?)</script>', built):
        assert [curve["label"] for curve in json.loads(data)["curves"]] == ["joule"]


def test_readouts_are_counted_and_the_illegible_ones_named(text: str) -> None:
    (section,) = re.findall(r"<h2>Legible readouts</h2>.*?</table>", text, re.DOTALL)
    assert section.count("Hopper-v5 0.50</div>") == 2
    assert '<td data-value="1">1</td><td data-value="2">2</td>' in section
    assert "height 0.97" in section


def test_settings_are_shown_where_they_differ(tmp_path: Path) -> None:
    mppi = write_run(tmp_path / "a", [1.0], settings={"planner": {"kind": "mppi"}, "steps": 10, "seed": 1})
    icem = write_run(tmp_path / "b", [2.0], settings={"planner": {"kind": "icem"}, "steps": 10, "seed": 1})
    sac = write_run(
        tmp_path / "c", [3.0], settings={"planner": {"kind": "cem"}, "steps": 20, "seed": 2}, agent="sac"
    )
    runs = gather([mppi, icem, sac])
    found = differences(runs)
    assert found is not None
    rows = {name: [value for value, _ in values] for name, values in found.rows}
    assert rows == {"planner.kind": ["icem", "mppi", "—"], "steps": ["10", "10", "20"]}, "sac has no planner"
    assert [differs for _, differs in dict(found.rows)["steps"]] == [False, False, True]
    assert "Settings that differ" in page.build(table.rows(runs), runs)
    assert differences(gather([mppi])) is None


def write_film(run: Path, name: str = "step-20.mp4", size: int = 100) -> Path:
    """A file that begins as an MP4 does."""
    (run / "videos").mkdir(exist_ok=True)
    path = run / "videos" / name
    path.write_bytes(MP4 + b"\0" * (size - len(MP4)))
    return path


def test_the_newest_film_of_the_lowest_seed_is_in_the_page(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / str(seed), [1.0 * seed], seed=seed) for seed in (1, 2, 3)]
    for path in paths[1:]:
        write_film(path, "step-9.mp4")
        write_film(path, "step-20.mp4")
        write_film(path, "step-20-imagine.mp4")
    write_film(paths[0], "step-20-task-more-height.mp4")
    runs = gather(paths)
    (film,) = films.of_rows(table.rows(runs), runs, tmp_path)
    assert (film.seed, film.frames, film.embedded) == (2, 20, True)
    write_film(paths[0], "step-20-episodes-3-960x720.mp4")
    (film,) = films.of_rows(table.rows(runs), runs, tmp_path)
    assert film.seed == 1, "other lengths and sizes show the agent as it is, other tasks do not"
    assert base64.b64decode(film.source.removeprefix("data:video/mp4;base64,")).startswith(MP4)
    assert page.build(table.rows(runs), runs, folder=tmp_path).count("<video") == 1


def test_a_large_film_is_linked_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "LARGEST_FILM", 200)
    monkeypatch.setattr(films, "ALL_FILMS", 250)
    paths = []
    for agent, size in (("a", 300), ("b", 150), ("c", 150)):
        paths.append(write_run(tmp_path / "runs" / f"{agent} #%", [1.0], agent=agent))
        write_film(paths[-1], size=size)
    runs = gather(paths)
    found = films.of_rows(table.rows(runs), runs, tmp_path / "out")
    assert [film.embedded for film in found] == [False, True, False], "too large, fits, no space left"
    assert found[0].source == "../runs/a%20%23%25/videos/step-20.mp4"


def test_no_link_and_no_other_file_is_shown_as_a_film(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(MP4 + b"secret")
    runs = []
    for number in range(5):
        runs.append(write_run(tmp_path / str(number), [1.0 * number], seed=number))
        if number < 4:  # a folder of results without the record of a run is read, too
            (runs[-1] / "run.json").write_text("{}")
    (runs[0] / "videos").mkdir()
    (runs[0] / "videos" / "step-20.mp4").symlink_to(secret)
    for linked in (runs[1], runs[4]):
        (linked / "videos").symlink_to(tmp_path)
    (tmp_path / "step-20.mp4").write_bytes(MP4)
    write_film(runs[2]).write_bytes(b"#!/bin/sh")
    (runs[3] / "videos").mkdir()
    os.mkfifo(runs[3] / "videos" / "step-20.mp4")
    found = gather(runs)
    assert films.of_rows(table.rows(found), found, tmp_path) == []
