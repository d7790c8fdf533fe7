"""The trials of a sweep: what each of them trains, and where its files are in the storage.

    <storage>/runs/<trial>/                                   the run folder
    <storage>/logs/<trial>.log                                what its command printed
    <storage>/results/<suite>/<agent>/<env>/seed<k>.csv       its evaluations, for `joule compare --results`
    <storage>/results/<suite>/settings.json                   the settings of the suite, for the same

The name of a trial ends with a hash of its settings. So the same command finds the same folders, and another
setting has another folder.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from agent.configurator.settings import Config
from agent.errors import ConfigError
from joule.cli.command_line import setting_words
from joule.escaping import terminal
from joule.settings import config_from
from joule.storage.files import DISK, why
from joule.storage.links import RUN_FILE
from joule.storage.trust import flags_needed
from joule.sweeping.grid import Range
from joule.sweeping.job import Job
from joule.sweeping.plan import Plan
from joule.used_settings import check_agent_uses, uses_setting
from joule_errors import Refused

RUNS, LOGS, RESULTS = "runs", "logs", "results"
_NOT_IN_NAME = ("eval_process", "checkpoint_every_frames", "video", "memory_budget_gb")
"""Settings that change no result, and that a resumed run may change."""
COUNTED_IN_CORES = ("threads", "eval_process", "actors", "num_envs", "vector_mode")
"""Settings that `cores_of` depends on."""
_LONGEST_PART = 80
"""Characters of the environment, and of the settings, in the name of a folder, which may have 255 bytes in all."""


@dataclass(frozen=True)
class StoredTrial:
    """A trial whose files are in the storage of its sweep; see `Trial`."""

    agent: str
    env: str
    seed: int
    preset: str
    settings: Mapping[str, Any]
    """Those given, by dotted name, as far as the agent uses them."""
    varied: Mapping[str, Any]
    """Those of them that differ between the trials."""
    storage: Path
    config: Config | None
    """Of the run; None where the settings cannot be used."""
    error: str = ""
    """Why they cannot be used: one sentence."""

    @property
    def steps(self) -> int:
        """Budget in environment frames."""
        return self.config.steps if self.config is not None else 0

    @property
    def title(self) -> str:
        """How a person names the trial."""
        return terminal(" ".join([self.agent, self.env, *self._shown(), f"seed {self.seed}"]))

    @cached_property
    def name(self) -> str:
        """The name of its folder: one that is there already where the same trial was called by other words."""
        said = {
            "agent": self.agent, "env": self.env, "seed": self.seed, "preset": self.preset,
            "settings": lasting(self.settings, self.varied),
        }  # fmt: skip
        parts = [self.agent, slug(self.env), *([self._slug] if self._slug else []), f"seed{self.seed}"]
        begin, of_all = f"{self.agent}-{slug(self.env)}-", digest(said, 8)
        name, end = "-".join([*parts, of_all]), f"-seed{self.seed}-{of_all}"
        return _called_before(self.storage / RUNS, name, begin, end)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.storage / RUNS / self.name

    @property
    def log(self) -> Path:
        """The output of its command."""
        return self.storage / LOGS / f"{self.name}.log"

    @cached_property
    def suite(self) -> str:
        """The folder of results that it shares with the trials of the same settings."""
        said = {"preset": self.preset, "settings": lasting(self.settings, self.varied)}
        end = f"-{digest(said, 6)}"
        return _called_before(self.storage / RESULTS, f"{self._slug or self.preset}{end}", "", end)

    @property
    def result(self) -> Path:
        """Where its evaluations are collected."""
        return (
            self.storage / RESULTS / self.suite / self.agent / env_folder(self.env) / f"seed{self.seed}.csv"
        )

    @property
    def given(self) -> Mapping[str, Any]:
        """See `Trial`."""
        return self.settings

    def job(self) -> Job:
        """See `Trial`. The command is started in the current directory, where a machine has that folder."""
        config = self.config or Config()
        given = {"agent": self.agent, "env": self.env, "seed": self.seed, **self.settings}
        words = setting_words(given)
        return Job(
            folder=str(self.folder),
            log=str(self.log),
            new=("--preset", self.preset, *words),
            # The user has named module and arguments in this command, whoever made the folder.
            resumed=(*words, *flags_needed(config)),
            threads=config.threads,
            cores=cores_of(config),
            gpus=int(config.device.startswith("cuda")),
            directory=os.getcwd(),
        )

    def _shown(self) -> list[str]:
        return [f"{name.rpartition('.')[2]}={_text(value)}" for name, value in self.varied.items()]

    @property
    def _slug(self) -> str:
        return slug("-".join(self._shown())) if self.varied else ""


def cores_of(config: Config) -> int:
    """Cores that a trial keeps busy: its threads, and one for each process that it starts."""
    envs = config.num_envs if config.vector_mode == "async" and config.num_envs > 1 else 0
    return config.threads + config.eval_process + config.actors + envs


def slug(text: str) -> str:
    """A text as a part of the name of a folder: at most _LONGEST_PART letters, digits and `._=-`."""
    return re.sub(r"[^A-Za-z0-9._=]+", "-", text)[:_LONGEST_PART].strip("-.") or "-"


def env_folder(env: str) -> str:
    """The name of an environment's folder of results; no other environment has it."""
    name = slug(env)
    readable = {env, env.replace("dmc:", "dmc-", 1), env.replace("joule/", "joule-", 1)}
    return name if name in readable else f"{name}-{digest(env, 6)}"


def grid_trials(plan: Plan, storage: Path) -> tuple[list[StoredTrial], list[str]]:
    """The trials of a plan without ranges: the first seed of everything comes first.

    A setting that an agent does not use is left out of its trials; those that become equal are trained once.

    Returns:
        The trials, and sentences that say what was left out.

    Raises:
        ConfigError: for a setting that none of the agents uses, or where no trial at all can be trained.
    """
    lists = {name: entry for name, entry in plan.grid.items() if not isinstance(entry, Range)}
    choices = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    notes = check_used(plan)
    found: dict[str, StoredTrial] = {}
    for seed, env, agent, choice in itertools.product(plan.seeds, plan.envs, plan.agents, choices):
        made = trial(plan, storage, agent, env, seed, choice)
        found.setdefault(made.name, made)
    trials = list(found.values())
    if all(made.error for made in trials):
        raise ConfigError(trials[0].error)
    return trials, notes


def check_used(plan: Plan) -> list[str]:
    """Sentences that name the settings that some of the agents do not use.

    Raises:
        ConfigError: for a setting that none of them uses.
    """
    notes = []
    for name in (*plan.settings, *plan.grid):
        without = [agent for agent in plan.agents if not uses_setting(agent, name)]
        if len(without) == len(plan.agents):
            check_agent_uses(without[0], [name])
        if without:
            notes.append(f"{name}: not used by {', '.join(without)}, whose trials go without it")
    return notes


def trial(
    plan: Plan, storage: Path, agent: str, env: str, seed: int, varied: Mapping[str, Any]
) -> StoredTrial:
    """One trial of a plan.

    Args:
        plan: the sweep.
        storage: its folder.
        agent: one of the agents.
        env: one of the environments.
        seed: one of the seeds.
        varied: values of the settings in the grid, by dotted name.
    """
    used = {name: value for name, value in varied.items() if uses_setting(agent, name)}
    shared = {name: value for name, value in plan.settings.items() if uses_setting(agent, name)}
    given = {**shared, **used}
    config, error = None, ""
    try:
        config = config_from(plan.preset, {"agent": agent, "env": env, "seed": seed, **given})
    except ConfigError as refused:
        error = str(refused)
    # What has one value alone is no part of a title.
    differing = {name: value for name, value in used.items() if len(_values(plan, name)) != 1}
    return StoredTrial(agent, env, seed, plan.preset, given, differing, storage, config, error)


def _values(plan: Plan, name: str) -> tuple[Any, ...]:
    entry = plan.grid[name]
    return entry if isinstance(entry, tuple) else ()


def lasting(settings: Mapping[str, Any], varied: Collection[str] = ()) -> dict[str, Any]:
    """What the name of a trial depends on; 1 and 1.0 are the same.

    Args:
        settings: by dotted name.
        varied: names of those in which the trials of the sweep differ: they count, whatever they change.
    """
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in settings.items()
        if name in varied or name not in _NOT_IN_NAME
    }


def _called_before(folder: Path, name: str, begin: str, end: str) -> str:
    """This name, or that of the folder that is there in its place, which begins and ends so.

    A sweep whose grid has grown names more settings than before.
    """
    if (folder / name).is_dir() or not folder.is_dir():
        return name
    there = sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name.startswith(begin) and entry.name.endswith(end) and entry.is_dir()
    )
    return there[0] if there else name


def digest(value: Any, characters: int) -> str:
    """The first characters of the SHA-256 sum of a value, written as JSON."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:characters]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def make_storage(folder: Path) -> Path:
    """Makes the folders of a sweep. Returns the absolute path.

    Raises:
        Refused: for a path that is a file or a run, or cannot be written.
    """
    path = Path(os.path.abspath(folder))
    try:
        if os.path.lexists(path) and not path.is_dir():
            raise Refused(f"--storage: {folder} is a file; give a folder")
        if os.path.lexists(path / RUN_FILE):
            raise Refused(f"--storage: {folder} is a run; give a folder of its own")
        for name in (RUNS, LOGS, RESULTS):
            DISK.make(path / name)
    except OSError as error:
        raise Refused(f"--storage: {folder} cannot be written: {why(error)}") from error
    return path
