"""The kinds of planner and regulariser that a command line names, whose own settings are options of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.configurator.settings import KIND_SECTIONS, Config
from joule.storage.errors import RunError
from joule.storage.plain_settings import plain_settings

_NO_RUN = ("--data",)
"""Options whose value may be a run folder with settings of its own, which the command does not begin with."""


def named_kinds(arguments: Sequence[str]) -> dict[str, str]:
    """Section -> the kind of planner or regulariser: by an option, else that of the run, else the default.

    Args:
        arguments: the command line.
    """
    found = _of_options(arguments)
    if len(found) < len(KIND_SECTIONS):
        usual = {section: getattr(Config(), section).kind for section in KIND_SECTIONS}
        found = usual | _of_run(arguments) | found
    return found


def _of_options(arguments: Sequence[str]) -> dict[str, str]:
    """Those that an option gives; of several the last, as argparse takes it."""
    flags = {f"--{section}.kind": section for section in KIND_SECTIONS}
    return {flags[flag]: value for flag, value in _values(arguments) if flag in flags}


def _of_run(arguments: Sequence[str]) -> dict[str, str]:
    """Those of the run that a command line names; none without one, and where its settings cannot be read.

    What is wrong with a run, the command says. Nothing of the run is executed: its trust is asked for later.
    """
    for flag, value in _values(arguments):
        if flag in _NO_RUN:
            continue
        try:
            settings = plain_settings(value)
        except (RunError, OSError):
            continue
        sections = {name: settings.get(name) for name in KIND_SECTIONS}
        kinds = {name: one.get("kind") for name, one in sections.items() if isinstance(one, dict)}
        if found := {name: kind for name, kind in kinds.items() if isinstance(kind, str)}:
            return found
    return {}


def _values(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word that is no option, with the option that stands before it or in it; "" for none."""
    before = ""
    for word in arguments:
        flag, equals, value = word.partition("=")
        if not word.startswith("--"):
            yield before, word
            before = ""
        elif equals:
            yield flag, value
            before = ""
        else:
            before = word
