"""No name is taken for markup of rich: one console, which reads none, and no other way to print."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(
    path for package in ("agent", "envs", "planners", "joule") for path in (ROOT / package).rglob("*.py")
)
CONSOLE = ROOT / "joule" / "report" / "console.py"
READS_MARKUP = {"from_markup", "render_markup", "rich.print", "rich.markup"}


def readers_of_markup(source: str) -> Iterator[str]:
    """What in a source takes a text that is no literal for markup of rich."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from {f"{node.module}.{alias.name}" for alias in node.names} & READS_MARKUP
            if node.module in READS_MARKUP:
                yield str(node.module)
        elif isinstance(node, ast.Attribute):
            if node.attr in READS_MARKUP or ast.unparse(node) in READS_MARKUP:
                yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            given = {word.arg: word.value for word in node.keywords}
            called = ast.unparse(node.func).split(".")[-1]
            if "markup" in given and ast.unparse(given["markup"]) != "False":
                yield "markup=True"
            if called == "Console" and "markup" not in given:
                yield "a console that reads markup"
            if called == "TextColumn" and "markup" not in given:
                form = node.args[0] if node.args else given["text_format"]
                if not isinstance(form, ast.Constant) or any(
                    word in str(form.value) for word in ("description", "fields")
                ):
                    yield "a TextColumn of a text without markup=False"
            if called == "Panel" and isinstance(given.get("title"), (ast.Name, ast.JoinedStr, ast.Attribute)):
                yield "a title of a Panel that is no Text"


@pytest.mark.parametrize(
    "path",
    [path for path in SHIPPED if path != CONSOLE and "rich" in path.read_text()],
    ids=lambda path: path.name,
)
def test_no_text_is_taken_for_markup(path: Path) -> None:
    assert list(readers_of_markup(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "from rich import print",
        "from rich.markup import render",
        "import rich; rich.print(name)",
        "Text.from_markup(name)",
        "Console()",
        "console.print(name, markup=True)",
        "TextColumn('{task.description}')",
        "TextColumn(name)",
        "Panel(table, title=name)",
    ],
)
def test_every_reader_of_markup_is_seen(line: str) -> None:
    assert list(readers_of_markup(line))


def test_what_is_shown_as_it_is_is_not() -> None:
    assert not list(
        readers_of_markup(
            "PipeSafeConsole().print(name); Text(name); TextColumn('{task.percentage}'); Panel(x, title='a')"
        )
    )
