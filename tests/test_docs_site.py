"""The site of the documentation: links of the checkout hold in it, and it loads nothing from another host."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from docs.site import build, check

HAS_ZENSICAL = importlib.util.find_spec("zensical") is not None


def test_links_lead_to_the_same_file_in_the_site() -> None:
    linked: set[str] = set()
    text = (
        "[a](docs/guide/training.md#settings-to-know) [b](LICENSE) [c](https://example.org) [d](#here)\n"
        "<!-- test: execute -->\n```bash\n[e](nothing.md)\n```\n"
    )
    assert build.adapt(text, "README.md", linked) == (
        "[a](guide/training.md#settings-to-know) [b](files/LICENSE) [c](https://example.org) [d](#here)\n"
        "```bash\n[e](nothing.md)\n```\n"
    )
    assert linked == {"LICENSE"}
    raw = build.adapt(
        "[f](../../benchmarks/results/speed.json) [g](../../benchmarks/results)",
        "docs/reports/speed.md",
        linked,
    )
    assert raw == "[f](../files/benchmarks/results/speed.json) [g](../files/README.md)"
    assert "benchmarks/results/speed.json" in linked


@pytest.mark.parametrize("link", ["docs/guide/none.md", "../outside.md", "docs/guide"])
def test_a_broken_link_is_refused(link: str) -> None:
    with pytest.raises(build.BrokenLink):
        build.adapt(f"[a]({link})", "README.md", set())


def test_what_is_loaded_from_elsewhere_and_what_is_broken_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="https://fonts.example/a.css"><script src="//cdn.example/b.js"></script>'
        '<link rel="canonical" href="https://here.example/"><a href="https://read.example">x</a>'
        '<h1 id="top"></h1><a href="#top">y</a><a href="#bottom">z</a><a href="none.html">w</a>'
        "<math><mi>\\lVert</mi></math>"
    )
    (tmp_path / "a.css").write_text(
        "@import 'https://c.example/c.css'; a { background: url(//d.example/d.png) }"
    )
    assert check.loaded_from_elsewhere(tmp_path) == [
        "a.css: https://c.example/c.css",
        "a.css: //d.example/d.png",
        "index.html: https://fonts.example/a.css",
        "index.html: //cdn.example/b.js",
    ]
    assert check.broken_links(tmp_path) == ["index.html: #bottom", "index.html: none.html"]
    assert check.unread_formulas(tmp_path) == ["index.html: \\lVert"]


@pytest.mark.slow
@pytest.mark.skipif(not HAS_ZENSICAL, reason="the site needs the extra docs")
def test_the_site_builds_strictly(tmp_path: Path) -> None:
    assert build.build(tmp_path / "docs") == 0
    site = tmp_path / "docs" / "site"
    assert "WorldModelAgent" in (site / "api" / "agent.html").read_text(encoding="utf-8")
    assert "<math" in (site / "concepts" / "method.html").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation() -> None:
    root = Path(__file__).parents[1]
    navigation = (root / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(root / "docs").as_posix() for page in (root / "docs").rglob("*.md")]
    home = {"README.md"}  # the list of pages on GitHub, in place of a navigation
    assert [page for page in pages if page not in navigation and page not in home] == []
