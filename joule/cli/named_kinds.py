"""The kinds of planner and regulariser that a command line names, whose own settings are options of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.configurator.settings import KIND_SECTIONS, Config

_NO_RUN = ("--data",)
"""Options whose value may be a run folder with settings of its own, which the command does not begin with."""


def named_kinds(arguments: Sequence[str]) -> dict[str, str]:
    """Section -> the kind of planner or regulariser: by an option, else that of the run, else the default.

    Args:
        arguments: the command line.
    """
    found = _of_options(arguments)
    if len(found) < len(KIND_SECTIONS):
        config = _config_of_run(arguments) or Config()
        found = {section: getattr(config, section).kind for section in KIND_SECTIONS} | found
    return found


def _of_options(arguments: Sequence[str]) -> dict[str, str]:
    """Those that an option gives; of several the last, as argparse takes it."""
    flags = {f"--{section}.kind": section for section in KIND_SECTIONS}
    return {flags[flag]: value for flag, value in _values(arguments) if flag in flags}


def _config_of_run(arguments: Sequence[str]) -> Config | None:
    """The settings of the run that a command line names; None without one, and where they cannot be read.

    What is wrong with a run, the command says. Nothing of the run is executed: its trust is asked for later.
    """
    for flag, value in _values(arguments):
        if flag not in _NO_RUN and not value.startswith("-"):
            from joule.storage.errors import RunError
            from joule.storage.links import RUN_FILE
            from joule.storage.run_paths import located
            from joule.storage.run_record import read_run

            try:
                folder = located(value)[0]
                if (folder / RUN_FILE).is_file():
                    return read_run(folder)[1]
            except (RunError, OSError, ValueError):
                continue
    return None


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
