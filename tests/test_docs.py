"""The documentation is true of the checkout: links resolve, files that it names exist, every setting is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.configurator import kinds
from agent.configurator.settings import KIND_SECTIONS, Config
from agent.configurator.validation import flatten

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TO_WRITE = ("planners/local_search.py",)
"""Files that a page tells its reader to write."""
FILE = re.compile(
    r"(?<![\w/.-])((?:agent|envs|planners|joule|benchmarks|tests|docs)/[\w/.-]*\.(?:py|md|csv|json|png|svg|gif|xml))"
)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "").lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_exist(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    if page.name != "CHANGELOG.md":  # names files of earlier versions
        named = set(FILE.findall(page.read_text(encoding="utf-8"))) - set(TO_WRITE)
        missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing, f"{page.relative_to(ROOT)}: {', '.join(sorted(missing))}"


def test_the_settings_page_has_every_setting() -> None:
    listed = set(re.findall(r"`([a-z_.]+)`", (ROOT / "docs/guide/settings.md").read_text(encoding="utf-8")))
    names = {name for name in flatten(Config()) if not name.endswith(".settings")}
    names |= {f"{section}.{name}" for section in KIND_SECTIONS for name in kinds.all_settings(section)}
    assert names <= listed, f"missing in docs/guide/settings.md: {', '.join(sorted(names - listed))}"
