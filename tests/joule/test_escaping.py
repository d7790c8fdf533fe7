"""Names of other people do no harm in a terminal, a Markdown page, a spreadsheet and a figure."""

from __future__ import annotations

import re

import pytest
from hostile_text import NAMES, control_characters

from joule.escaping import LONGEST_IN_FIGURE, csv_cell, figure, markdown, terminal
from joule.report.markdown_page import BEGIN, END


@pytest.mark.parametrize("escape", [terminal, markdown, csv_cell, figure])
def test_every_text_is_one_printable_line(escape: object) -> None:
    assert callable(escape)
    for kind, name in NAMES.items():
        assert not control_characters(escape(name), kept=""), kind


def test_a_printable_name_stays_as_it_is() -> None:
    for name in (
        "HalfCheetah-v5",
        "dmc:walker-walk",
        "joule (planner.kind=icem, model.latent_dim=64)",
        "机器人 🐶",
    ):
        assert terminal(name) == markdown(name) == csv_cell(name) == figure(name) == name


def test_a_character_that_is_not_printable_is_named() -> None:
    assert terminal("a\x1b[31m\n\u202e\udcff") == r"a\x1b[31m\n\u202e\udcff"
    assert terminal(terminal("\x1b")) == r"\x1b"


def test_markdown_has_no_markup_of_a_name() -> None:
    live = re.compile(r"(?<!\\)[`*\[\]|]|<|(?<!\\)://|^[#>+-]|(?<![\\\w])_|!\[")
    for kind, name in NAMES.items():
        escaped = markdown(name)
        assert not live.search(escaped.replace(r"\\", "")), kind
        assert BEGIN not in escaped
        assert END not in escaped
    assert markdown("&#x202e;") == "&amp;#x202e;"


def test_no_cell_is_a_formula_and_numbers_stay_numbers() -> None:
    for kind, name in NAMES.items():
        assert not str(csv_cell(name)).lstrip().startswith(("=", "+", "-", "@")), kind
    assert csv_cell("\N{FULLWIDTH EQUALS SIGN}1") == "'\N{FULLWIDTH EQUALS SIGN}1"
    assert csv_cell(-5.25) == -5.25


def test_a_name_in_a_figure_is_short_and_not_hidden() -> None:
    assert len(figure("x" * 20_000)) == LONGEST_IN_FIGURE
    assert figure("_hidden") == " _hidden"
