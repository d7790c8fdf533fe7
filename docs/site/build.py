"""Builds the site of the documentation, strictly: a broken link or a missing page ends it with exit code 1.

    python -m docs.site.build                     into build/docs/site
    python -m docs.site.build --out FOLDER        into FOLDER/site

The pages are those that GitHub shows: README.md, CHANGELOG.md, CONTRIBUTING.md and docs/. Their links are
relative to the checkout. This script copies them into one folder, together with the files outside docs/ that
they link to, adapts the links, and runs zensical there. Then it replaces the formulas by MathML, which
browsers show without a script, and checks that the pages load nothing from another host.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.site.check import broken_links, loaded_from_elsewhere, unread_formulas

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "envs", "planners", "joule", "joule_errors", "joule_schema")
PAGES = {
    "README.md": "index.md",
    "docs/README.md": "contents.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Path in the checkout -> path in the site; a page in docs/ keeps its path below docs/."""
RAW = "benchmarks"
"""The folder of the raw files; a link to a folder in it leads to the list of all raw files."""
RAW_LIST = "files/README.md"
MARK = ".made-by-docs-site-build"
"""A file in a folder that this script filled, and may therefore empty."""
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s]+)(?P<after>\))")
FENCE = re.compile(r"^( *)(```+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^ *<!--.*?-->\n", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


DELIMITERS = {r"\bigl": "", r"\bigr": "", r"\lVert": r"\|", r"\rVert": r"\|", r"\lvert": "|", r"\rvert": "|"}
"""Delimiters and sizes that the converter does not know, and what it knows instead."""


class BrokenLink(Exception):
    """A page links to a file that does not exist."""


def site_path(path: str) -> str:
    """Where a file of the checkout is in the site."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def adapt(text: str, page: str, linked: set[str]) -> str:
    """The text of a page with the links of the site, and without the comments for the tests.

    Args:
        text: Markdown.
        page: path of the page in the checkout.
        linked: gets the files outside the pages that the page links to.

    Raises:
        BrokenLink: for a link to a file that does not exist.
    """
    here = os.path.dirname(site_path(page))

    def adapted(link: re.Match[str]) -> str:
        target, hash_sign, anchor = link["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return link[0]
        found = os.path.normpath(os.path.join(os.path.dirname(page), target))
        if found.startswith("..") or not (ROOT / found).exists():
            raise BrokenLink(f"{page}: {target} does not exist")
        if (ROOT / found).is_dir():
            if not found.startswith(RAW):
                raise BrokenLink(f"{page}: {target} is a folder; link to a file")
            there = RAW_LIST
        else:
            there = site_path(found)
            if there.startswith("files/"):
                linked.add(found)
        return f"{link['before']}{os.path.relpath(there, here or '.')}{hash_sign}{anchor}{link['after']}"

    parts, end = [], 0
    for block in FENCE.finditer(text):
        parts += [LINK.sub(adapted, COMMENT.sub("", text[end : block.start()])), block[0]]
        end = block.end()
    return "".join([*parts, LINK.sub(adapted, COMMENT.sub("", text[end:]))])


def raw_files() -> Iterator[str]:
    """The raw files of the reports, as paths in the checkout."""
    for folder in sorted((ROOT / RAW).glob("results*")):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".csv", ".json"):
                yield path.relative_to(ROOT).as_posix()


def raw_list() -> str:
    """The page that lists the raw files."""
    head = "# Raw files\n\nThe numbers of the reports are computed from these files. Each report names its own.\n"
    lines = []
    folder = ""
    for path in raw_files():
        if os.path.dirname(path) != folder:
            folder = os.path.dirname(path)
            lines.append(f"\n## `{folder}`\n")
        size = (ROOT / path).stat().st_size
        lines.append(f"- [{os.path.basename(path)}]({path}), {max(1, round(size / 1000)):,} kB")
    return "\n".join([head, *lines, ""])


def stage(folder: Path) -> None:
    """Fills a folder with mkdocs.yml, the pages, what they link to, and links to the documented packages."""
    pages = [*PAGES, *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]
    linked: set[str] = set(raw_files())
    for page in dict.fromkeys(pages):
        text = adapt((ROOT / page).read_text(encoding="utf-8"), page, linked)
        _write(folder / "docs" / site_path(page), text)
    _write(folder / "docs" / RAW_LIST, raw_list())
    for name in sorted(linked):
        _copy(ROOT / name, folder / "docs" / site_path(name))
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and path.suffix not in (".md", ".py", ".pyc"):
            _copy(path, folder / "docs" / site_path(path.relative_to(ROOT).as_posix()))
    shutil.copy(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    for package in PACKAGES:
        (folder / package).symlink_to(ROOT / package, target_is_directory=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def show_formulas(page: str) -> str:
    """The HTML of a page with MathML in place of LaTeX."""
    from latex2mathml.converter import convert

    def formula(found: re.Match[str]) -> str:
        latex = html.unescape(found[3])
        for name, sign in DELIMITERS.items():
            latex = latex.replace(name, sign)
        return convert(latex, display="block" if found[2] == "[" else "inline")

    return FORMULA.sub(formula, page)


def build(folder: Path) -> int:
    """Builds the site in `folder / "site"`. Returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    stage(folder)
    command = [
        sys.executable,
        "-m",
        "zensical",
        "build",
        "--strict",
        "--config-file",
        str(folder / "mkdocs.yml"),
    ]
    code = subprocess.run(command, cwd=folder, check=False).returncode
    if code:
        return code
    site = folder / "site"
    for path in site.rglob("*.html"):
        path.write_text(show_formulas(path.read_text(encoding="utf-8")), encoding="utf-8")
    problems = [f"broken link: {link}" for link in broken_links(site)]
    problems += [f"loaded from another host: {address}" for address in loaded_from_elsewhere(site)]
    problems += [f"formula that cannot be shown: {name}" for name in unread_formulas(site)]
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
    return int(bool(problems))


def main() -> int:
    """Parses the options and builds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", metavar="FOLDER")
    folder = parser.parse_args().out.resolve()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            print(f"{folder} has other files; choose a new folder", file=sys.stderr)
            return 2
        shutil.rmtree(folder)
    try:
        code = build(folder)
    except BrokenLink as error:
        print(error, file=sys.stderr)
        return 1
    if not code:
        print(f"{folder / 'site' / 'index.html'}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
