"""Finding results: run folders, and the committed trees of results.

A run folder holds `evaluations.csv` beside its `config.json`; a tree of results holds
`<suite>/<agent>/<env>/seed<k>.csv`.
"""

from __future__ import annotations

import fnmatch
import os
import shlex
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from joule.report.beginnings import INIT_FROM, with_common_beginnings
from joule.report.evaluations import NoEvaluations, ResultsError, Run, read_evaluations
from joule.report.labels import CHANGED, NEITHER, labelled
from joule.storage.changes_table import changed_settings
from joule.storage.errors import RunError
from joule.storage.files import why
from joule.storage.links import CONFIG, RUN_FILE
from joule.storage.reader import COMMAND_BYTES, JSON_BYTES, read_text
from joule.storage.run_entries import CHANGES, COMMAND, FAILURE, SUITE_SETTINGS
from joule.storage.run_logs import EVALUATIONS
from joule.storage.shipped import folder_of, instead_of
from joule_errors import Advice
from joule_schema import json_text
from joule_schema.model_file import MODEL_ENV, shown_env

MOST_ENTRIES, MOST_FOR_HINT = 200_000, 20_000
"""Files and folders that are looked through at most: for results, and for a hint where they are."""

MODEL_FOLDER = MODEL_ENV.replace("/", "-")
"""The folder of results of model files that are named by a keyword argument, and not in place of an id."""
_INIT_FROM = "--init-from"
"""The option that gives `INIT_FROM`."""
_KIND_SETTINGS = ("planner.settings.", "regularizer.settings.")


def read_run(folder: Path | str) -> Run:
    """The run in a run folder, with its settings and command where it kept them.

    Raises:
        ResultsError: for a folder that is not a run, with the nearest way to name one.
    """
    folder = Path(folder)
    path = folder / EVALUATIONS
    try:
        mode = os.stat(folder).st_mode
    except (FileNotFoundError, ValueError):  # ValueError is for a NUL
        raise ResultsError(f"{folder} does not exist{instead_of(folder)}") from None
    except OSError as error:
        raise ResultsError(f"{folder} cannot be read: {why(error)}") from None
    if not stat.S_ISDIR(mode):
        raise NoEvaluations(f"{folder} is a file; give the folder of a run")
    if not os.path.lexists(path):
        raise NoEvaluations(
            f"{folder} is not a run with evaluations: it holds no {EVALUATIONS}{_hint(folder)}"
        )
    run = read_evaluations(path)
    command, settings, env_spec = "", {}, {}
    try:
        if os.path.lexists(folder / COMMAND):
            # A command may hold a path that is not UTF-8.
            command = read_text(folder / COMMAND, COMMAND_BYTES, errors="backslashreplace").strip()
        if os.path.lexists(folder / RUN_FILE):
            record = json_text.loads(read_text(folder / RUN_FILE, JSON_BYTES))
            found = record.get("env_spec") if isinstance(record, dict) else None
            env_spec = found if isinstance(found, dict) else {}
        if os.path.lexists(folder / CONFIG):
            settings = flatten(json_text.loads(read_text(folder / CONFIG, JSON_BYTES)))
            settings |= _history(folder, command)
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(
            f"{folder} has a config.json, run.json, command.txt or changes.csv that cannot be read: {why(error)}"
        ) from None
    env = shown_env(run.env, settings.get("env_kwargs"))
    failed = os.path.lexists(folder / FAILURE)
    run = replace(run, env=env, source=folder, command=command, failed=failed)
    return replace(run, settings=settings, env_spec=env_spec)


def _history(folder: Path, command: str) -> dict[str, Any]:
    """What runs of the same settings may still differ in, as settings: the agent that one began with, and changes.

    Raises:
        OSError: when a file cannot be read.
        ValueError: for a table of changes that is none.
    """
    found = {}
    words = _words(command.partition("\n")[0])
    if _INIT_FROM in words[:-1]:
        found[INIT_FROM] = words[words.index(_INIT_FROM) + 1]
    changes = [(at, name) for at, name in changed_settings(folder / CHANGES) if name not in NEITHER]
    if changes:
        found[CHANGED] = ", ".join(f"{name}@{at}" for at, name in changes)
    return found


def _words(command: str) -> list[str]:
    """The words of a line for a shell; none of one that no shell takes, which is for people to read alone."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def read_tree(folder: Path | str) -> list[Run]:
    """Every `seed<k>.csv` under a tree, in order of path.

    Raises:
        ResultsError: where there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultsError(f"{folder} is not a folder of results")
    paths = sorted(_seeds(folder, MOST_ENTRIES), key=lambda path: (path.parent, len(path.name), path.name))
    if not paths:
        raise ResultsError(f"{folder} holds no results: no <agent>/<env>/seed<k>.csv under it")
    runs, suites = [], dict[Path, dict[str, Any]]()
    for path in paths:
        run = read_evaluations(path)
        places = path.resolve().parents
        folders = [place.name for place in places]
        # An env id may hold "/" and so take more than one folder, such as "joule/Push-v0" under "joule".
        levels = run.env.split("/")[::-1]
        depth = len(levels) if folders[: len(levels)] == levels else 1
        suite = folders[depth + 1] if folders[depth : depth + 1] == [run.agent] else ""
        # Rows of a model file have the env of all model files: the folder alone says which of them it is.
        robot = run.env == MODEL_ENV and suite and depth == 1 and folders[0] != MODEL_FOLDER
        if suite and places[depth + 1] not in suites:
            suites[places[depth + 1]] = _suite_settings(places[depth + 1])
        settings = suites[places[depth + 1]] if suite else {}
        env = f"{run.env} ({folders[0]})" if robot else run.env
        runs.append(replace(run, suite=suite, env=env, settings=settings))
    return runs


def _suite_settings(folder: Path) -> dict[str, Any]:
    """The settings that a sweep left beside the results of a suite, by dotted name; none where it left none.

    Raises:
        ResultsError: for a file of something else.
    """
    path = folder / SUITE_SETTINGS
    if not os.path.lexists(path):
        return {}
    try:
        return flatten(json_text.loads(read_text(path, JSON_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path} cannot be read: {why(error)}") from None


def gather(folders: Sequence[Path | str], trees: Sequence[Path | str] = ()) -> list[Run]:
    """All runs asked for, labelled for comparison; a folder that is given twice counts once.

    Raises:
        ResultsError: for no runs, or results that cannot be read or compared, and an address of no agent. Of
            several paths, files and folders without evaluations are left out with a warning.
    """
    runs: dict[Path, Run] = {}
    left_out: list[str] = []
    for given in folders:
        try:
            folder = folder_of(given) or Path(given)
        except RunError as error:
            raise ResultsError(str(error)) from None
        try:
            run = read_run(folder)  # a link that leads to itself is refused here
        except NoEvaluations as error:
            left_out.append(str(error))
            continue
        runs.setdefault(folder.resolve(), run)
    for tree in trees:
        for run in read_tree(tree):
            runs.setdefault(run.source.resolve(), run)
    if left_out and not runs:
        raise NoEvaluations(left_out[0])
    for why_not in left_out:  # of `runs/*`, some have only begun, and some are files of a cluster
        warnings.warn(f"left out: {why_not}", Advice, stacklevel=2)
    if not runs:
        raise ResultsError("nothing to compare: give run folders, or --results with a folder of results")
    return labelled(with_common_beginnings(list(runs.values())))


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of a config read from JSON, the names being those of the command line.

    The environment's own keyword arguments stay one value.

    Raises:
        ValueError: for JSON that is not an object.
    """
    if not isinstance(tree, dict):
        raise ValueError("not an object of settings")
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and name != "env_kwargs":
            # A planner's or regulariser's own settings are `planner.samples`, not `planner.settings.samples`.
            inner = prefix if f"{prefix}{name}." in _KIND_SETTINGS else f"{prefix}{name}."
            flat |= flatten(value, inner)
        else:
            flat[prefix + name] = value
    return flat


def _seeds(folder: Path, most: int) -> Iterator[Path]:
    """The files `seed*.csv` under a folder; links to folders are not followed.

    Raises:
        ResultsError: for a folder with more than `most` entries.
    """
    entries = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        entries += len(folders) + len(names)
        if entries > MOST_ENTRIES:
            raise ResultsError(
                f"{folder} holds more than {MOST_ENTRIES:,} files; name a smaller tree of results"
            )
        yield from (Path(place, name) for name in fnmatch.filter(names, "seed*.csv"))


def _learns_without_rewards(folder: Path) -> bool:
    """Whether a run has the setting `reward` none; not so where its settings cannot be read."""
    try:
        settings = json_text.loads(read_text(folder / CONFIG, JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and settings.get("reward") == "none"


def _hint(folder: Path) -> str:
    """What else a folder without evaluations is, as the end of a sentence; empty where it is not known."""
    try:
        if next(folder.glob(f"*/{EVALUATIONS}"), None):
            return f", but runs lie under it (give {folder}/*)"
        if next(_seeds(folder, MOST_FOR_HINT), None):
            return f", but results lie under it (give --results {folder})"
    except (OSError, ResultsError):
        return ""  # a large folder is not looked through for a hint
    if not os.path.lexists(folder / CONFIG):
        return ""
    if _learns_without_rewards(folder):
        return "; it learns without rewards, so that there is no return to compare: its coverage is in metrics.csv"
    return (
        "; its training has made no evaluation yet, and that of `joule evaluate` is no point of a learning "
        "curve: go on with --resume, or choose a smaller --eval-every-frames"
    )
