"""The HTML page is self-contained, and escapes every value."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from result_files import write_run

from joule.report import page, table
from joule.report.results import gather


class Links(HTMLParser):
    """Collects the tags of a page, and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]


def test_page_is_self_contained_and_escapes_every_value(tmp_path: Path) -> None:
    runs = gather([write_run(tmp_path / "<b>x", [1.0, 2.0])])
    text = page.build(table.rows(runs), runs, title="<i>title")
    links = Links()
    links.feed(text)
    assert not {"script", "b", "i"} & set(links.tags)
    assert len(links.targets) == 2
    assert all(target.startswith("data:image/svg+xml;base64,") for target in links.targets)
    assert "python train.py --env &lt;Hopper-v5&gt;" in text


def test_settings_are_shown_where_they_differ(tmp_path: Path) -> None:
    mppi = write_run(tmp_path / "a", [1.0])
    runs = gather([mppi, write_run(tmp_path / "b", [2.0], settings={"planner": {"kind": "icem"}})])
    assert "Settings that differ" in page.build(table.rows(runs), runs)
    runs = gather([mppi])
    assert "Settings that differ" not in page.build(table.rows(runs), runs)
