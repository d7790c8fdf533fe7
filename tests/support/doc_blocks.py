"""The blocks of code in the documentation, and one program a page made of them.

A comment above a block, which a browser does not show, says how the block is run in the tests:

    <!-- test: needs runs/cheetah of HalfCheetah-v5 -->    a small trained run is put there before the page is run
    <!-- test: file my_pkg.py -->                          the next block is the content of this file
    <!-- test: execute -->                                 the commands of the next block are run, not only parsed
    <!-- test: first import torch -->                      this line is run before the next block
    <!-- test: 50_000 -> 300 -->                           the next block is run with this text in place of that
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *(ROOT / "docs").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
LANGUAGES = ("python", "bash", "json", "xml", "text", "markdown")
"""Labels of blocks: programs, commands, contents of files, and what is shown (`text`, `markdown`)."""
FENCE = re.compile(r"^( *)```(\S*)$")
MARK = re.compile(r"^ *<!-- test: (.*) -->$")
NEEDS = re.compile(r"needs (\S+) of (\S+)")


@dataclass
class Block:
    """One block of a page."""

    page: Path
    line: int
    """Number of the line with its opening fence."""
    language: str
    text: str
    marks: list[str] = field(default_factory=list)
    """What the comments above it say."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it is the content of."""
        names = [mark.removeprefix("file ") for mark in self.marks if mark.startswith("file ")]
        return names[0] if names else None

    @property
    def executed(self) -> bool:
        """Whether its commands are run."""
        return "execute" in self.marks

    @property
    def before(self) -> list[str]:
        """Lines that are run before it."""
        return [mark.removeprefix("first ") for mark in self.marks if mark.startswith("first ")]

    def shortened(self) -> str:
        """Its text with the budgets of the tests. Raises ValueError where a text is not in it."""
        text = self.text
        for mark in self.marks:
            long, arrow, short = mark.partition(" -> ")
            if arrow:
                if long not in text:
                    raise ValueError(f"{self.place}: there is no {long!r} in the block")
                text = text.replace(long, short)
        return text


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    marks: list[str] = []
    block: Block | None = None
    indent = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if block is None:
            if fence:
                indent = fence[1]
                block, marks = Block(page, number, fence[2], "", marks), []
            elif mark := MARK.match(line):
                if not NEEDS.fullmatch(mark[1]):
                    marks.append(mark[1])
            elif line.strip() and marks:
                raise ValueError(
                    f"{page.relative_to(ROOT)}:{number}: a comment for a test has no block below it"
                )
        elif fence and not fence[2]:
            yield block
            block = None
        else:
            block.text += line.removeprefix(indent) + "\n"


def needed_runs(page: Path) -> dict[str, str]:
    """Folder -> environment of the trained runs that a page uses."""
    marks = [mark[1] for line in page.read_text(encoding="utf-8").splitlines() if (mark := MARK.match(line))]
    return {found[1]: found[2] for mark in marks if (found := NEEDS.fullmatch(mark))}


def program(page: Path) -> str:
    """All blocks of a page as one program, in their order: files are written, code and commands are run."""
    lines = [
        "import pathlib as _pathlib, subprocess as _subprocess",
        "def _write(name, text):",
        "    _pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)",
        "    _pathlib.Path(name).write_text(text, encoding='utf-8')",
        "def _execute(text):",
        "    print(text, flush=True)",
        "    _subprocess.run(['bash', '-euo', 'pipefail', '-c', text], check=True)",
    ]
    for block in blocks(page):
        text = block.shortened()
        if block.file is not None:
            lines.append(f"_write({block.file!r}, {text!r})")
        elif block.language == "bash" and block.executed:
            lines.append(f"_execute({text!r})")
        elif block.language == "python":
            lines += block.before
            # Compiled by itself, so that a traceback names the page and the line in the block.
            lines.append(f"exec(compile({text!r}, {block.place!r}, 'exec'), globals())")
    return "\n".join(lines) + "\n"


def runs_something(page: Path) -> bool:
    """Whether the program of a page does more than write files."""
    return any(
        (block.language == "python" and block.file is None) or (block.language == "bash" and block.executed)
        for block in blocks(page)
    )
