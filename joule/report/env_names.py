"""Names of environments in a comparison: what is one environment has one name, and what is not has another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from joule.report.evaluations import Run
from joule.report.robots import of_one_robot
from joule_schema.model_file import model_in


def with_env_names(runs: Sequence[Run]) -> list[Run]:
    """The runs, where `env` is a name for people.

    An id that is given with and without its module, or with a part of its package, is one name. A robot from
    a model file has the name of the file. Files of one name that hold different robots are told apart by their
    folders.
    """
    return _of_model_files(_of_one_id(runs))


def _of_one_id(runs: Sequence[Run]) -> list[Run]:
    """The runs, where spellings of one id are one."""
    spelled: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        spelled[run.env.rpartition(":")[2]].add(run.env)
    packages = {
        name: {env.partition(":")[0].partition(".")[0] for env in found if ":" in env}
        for name, found in spelled.items()
    }
    one = {name for name, found in spelled.items() if len(found) > 1 and len(packages[name]) == 1}
    return [replace(run, env=name) if (name := run.env.rpartition(":")[2]) in one else run for run in runs]


def _of_model_files(runs: Sequence[Run]) -> list[Run]:
    """The runs, where those of a model file have its name, and no longer its path as a setting."""
    files = [_file_of(run) for run in runs]
    of_name: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for file, run in zip(files, runs, strict=True):
        of_name[PurePath(file).name][file].append(run)
    names: dict[str, str] = {}
    for name, of_file in of_name.items():
        one = of_one_robot([run for of in of_file.values() for run in of])
        names |= dict.fromkeys(of_file, name) if one else _told_apart(list(of_file))
    found = []
    for file, run in zip(files, runs, strict=True):
        if file:
            kwargs = {key: value for key, value in run.settings["env_kwargs"].items() if key != "model"}
            run = replace(run, env=names[file], settings=run.settings | {"env_kwargs": kwargs})
        found.append(run)
    return found


def _file_of(run: Run) -> str:
    """The path of the model file of a run's robot; empty for another environment."""
    return model_in(run.settings.get("env"), run.settings.get("env_kwargs"))


def _told_apart(files: Sequence[str]) -> dict[str, str]:
    """Path -> as many of its last parts as make it another one than the other paths."""
    parts = [PurePath(file).parts for file in files]
    for length in range(1, max(map(len, parts)) + 1):
        ends = [str(PurePath(*of[-length:])) for of in parts]
        if len(set(ends)) == len(ends):
            return dict(zip(files, ends, strict=True))
    return dict(zip(files, files, strict=True))
