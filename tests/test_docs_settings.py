"""Defaults and ranges of settings that the documentation names are those of the code."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from plain_settings import plain_settings

from agent.configurator import kinds
from agent.configurator.dotted_names import flatten
from agent.configurator.settings import KIND_SECTIONS, Config
from joule.settings import FROM_DATA
from joule_errors.words import range_text

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def row_of(page: str, start: str) -> list[str]:
    """The cells of the first row of a table that begins so."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(start))
    return [cell.strip() for cell in row.strip("|").split("|")]


def shown(value: Any) -> str:
    """A default as a page has it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,.10g}" if isinstance(value, int | float) else f"`{value}`"


@pytest.mark.parametrize(("name", "section", "field", "default"), [*plain_settings(Config)])
def test_the_settings_page_has_the_default_and_the_range(
    name: str, section: type, field: dataclasses.Field[Any], default: Any
) -> None:
    bounds, hint = field.metadata.get("range"), get_type_hints(section)[field.name]
    _, default_cell, allowed, *_ = row_of("docs/guide/settings.md", f"| `{name}` |")
    if default not in (None, "", ()) and default != {}:
        assert default_cell == shown(default)
    if bounds is not None:
        assert allowed == range_text(*bounds)
    elif get_args(hint) and all(isinstance(one, str) for one in get_args(hint)):
        assert allowed.split() == [f"`{one}`" for one in get_args(hint)]


def settings_of_kinds() -> Iterator[tuple[str, str, kinds.Setting]]:
    for section in KIND_SECTIONS:
        for kind in kinds.table(section):
            for setting in kinds.settings_of(section, kind).values():
                yield section, kind, setting


@pytest.mark.parametrize(("section", "kind", "setting"), [*settings_of_kinds()])
def test_the_pages_have_the_settings_of_each_kind(section: str, kind: str, setting: kinds.Setting) -> None:
    row = row_of("docs/guide/settings.md", f"| `{kind}` | `{section}.{setting.name}` |")
    assert row[2] == shown(setting.default)
    page = {"planner": "docs/guide/planners.md", "regularizer": "docs/guide/regularizers.md"}[section]
    own = row_of(page, f"| `{kind}` |")[-1]
    assert f"`{setting.name}` {shown(setting.default)}" in own.split(", ")


def test_a_number_in_brackets_behind_a_setting_is_its_default() -> None:
    defaults, wrong = flatten(Config()), []
    for page in PAGES:
        for name, number in re.findall(
            r"`(?:--)?([a-z_.-]+)` \(([\d,.]+)\)", page.read_text(encoding="utf-8")
        ):
            setting = name.replace("-", "_")
            usual = {defaults.get(setting), FROM_DATA.get(setting)} - {None}
            if usual and float(number.replace(",", "")) not in usual:
                wrong.append(f"{page.relative_to(ROOT)}: {name} ({number})")
    assert not wrong
