"""What a run may do on this machine: whether this user made it, or says that it is trusted.

A run folder is data, and may come from another person. Three of its settings are more than that: a module that
its environment, its planner or its regulariser imports and the program has not yet, the keyword arguments of its
environment (they may name any file, or open a window), and a memory budget. They hold where this user made the run
here: a list in the home folder has its id with each of them. Otherwise the first two need an option, and the third
does not hold.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config, PlannerConfig
from agent.errors import ConfigError
from joule.arguments import texts_in
from joule.model_file import model_of, other_kwargs, own_kwargs_used
from joule.storage.errors import RunError
from joule.storage.files import open_append, why
from joule.storage.reader import read_plain
from joule_errors import Advice
from joule_schema.env_id import module_of
from joule_schema.own_modules import names_class

MODULE_FLAG, ENV_KWARGS_FLAG, MODEL_FLAG = "--trust-module", "--trust-env-kwargs", "--env"
_LONGEST_KWARGS = 200
"""Characters of keyword arguments in a message."""


def modules_named(config: Config) -> dict[str, str]:
    """The modules that settings import, each with what names it: `my_pkg` for the environment `my_pkg:Arm-v0`."""
    module = module_of(config.env)
    of_env = {} if module is None else {module: f"environment {config.env}"}
    return of_env | {one: of_env.get(one, what) for one, what in modules_of_classes(config).items()}


def modules_of_classes(config: Config) -> dict[str, str]:
    """Those of the planner and the regulariser, as far as `module:Class` names them."""
    found: dict[str, str] = {}
    for what, kind in (("planner", config.planner.kind), ("regulariser", config.regularizer.kind)):
        if names_class(kind):
            found.setdefault(kind.partition(":")[0], f"{what} {kind}")
    return found


def trusted_modules(given: object) -> tuple[str, ...]:
    """The names of modules that a user trusts; one text is one name, and not a text to look for names in.

    Raises:
        ConfigError: for what is neither a name nor a list of names.
    """
    if (names := texts_in(given)) is None:
        raise ConfigError(f'trust_modules: found {given!r:.80}; give a list of names, such as ["my_pkg"]')
    return names


def flags_needed(config: Config) -> list[str]:
    """The options that a command needs to show an agent of another user, which has these settings.

    The path of a robot's model file may be given in place of the trust in it.
    """
    flags = [word for module in modules_named(config) for word in (MODULE_FLAG, module)]
    robot = model_of(config)
    flags += [MODEL_FLAG, robot] if robot else []
    return flags + ([ENV_KWARGS_FLAG] if other_kwargs(config) else [])


def register(identifier: str, config: Config, before: Config | None = None) -> None:
    """Adds a run to this user's list of runs, with what its settings need. A run that needs nothing has no entry.

    Warns when the list cannot be written.

    Args:
        identifier: the run's id.
        config: the run's settings.
        before: those that it had until now: what they need is left as it is.
    """
    needed = _entries(identifier, config)
    if before is not None:
        needed = [entry for entry in needed if entry not in _entries(identifier, before)]
    path = _registry()
    if not needed:
        return
    try:
        if path is None:
            raise OSError("there is no home folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_append(path), "a", encoding="utf-8") as file:
            file.write("".join(entry + "\n" for entry in needed))
    except OSError as error:
        flags = flags_needed(config)
        flags += (
            [] if config.memory_budget_gb is None else [f"--memory-budget-gb {config.memory_budget_gb:g}"]
        )
        warnings.warn(
            f"this run is not on your list of runs ({why(error)}): opening it again will need {' '.join(flags)}",
            Advice,
            stacklevel=3,
        )


def trusted(
    folder: Path,
    config: Config,
    identifier: str,
    trust_modules: Sequence[str],
    trust_env_kwargs: bool,
    changes: Mapping[str, Any],
) -> Config:
    """The settings of a run as they hold for this user.

    Args:
        folder: the run folder.
        config: the settings in it.
        identifier: the run's id.
        trust_modules: modules that the user trusts for this run.
        trust_env_kwargs: whether the user trusts the keyword arguments of its environment.
        changes: settings of the user's own by dotted name. Another planner, or other keyword arguments, take the
            place of those that the run has.

    Returns:
        The settings; without their memory budget where it is another user's.

    Raises:
        RunError: for a module or keyword arguments that are neither trusted nor on this user's list for this
            run; the message prints the options.
        ConfigError: as `trusted_modules`.
    """
    known, named = _known(), trusted_modules(trust_modules)
    does, flags = dict[str, list[str]](), []
    other = changes.get("planner.kind") not in (None, config.planner.kind)
    used = dataclasses.replace(config, planner=PlannerConfig()) if other else config
    kwargs = own_kwargs_used(config, changes)
    # What such a name calls may be anything in a module, also in one that every program has imported, such as `os`.
    called = modules_of_classes(used)
    for module, what in modules_named(used).items():
        # The message contains an option to copy: the name must not hide a second word or a terminal code.
        if not all(part.isidentifier() for part in module.split(".")):
            raise RunError(f"{folder}: env {config.env!r} names no module that could be imported")
        # A module that the user's own program has imported registers environments; to trust it changes nothing.
        imported = module in sys.modules and module not in called
        if not imported and module not in named and _module_entry(identifier, module) not in known:
            verb = "use" if module in called else "import"
            does.setdefault(what, []).append(f"would {verb} the module {module}")
            flags.append(f"{MODULE_FLAG} {module}")
    if kwargs and not trust_env_kwargs and _kwargs_entry(identifier, config) not in known:
        made = f"would be made with the keyword arguments {_shown(kwargs)}"
        does.setdefault(f"environment {config.env}", []).append(made)
        flags.append(ENV_KWARGS_FLAG)
    if does:
        one = "them" if flags == [ENV_KWARGS_FLAG] else "it"
        them = {1: one, 2: "both"}.get(len(flags), "all of them")
        said = ", and ".join(f"its {what} {' and '.join(verbs)}" for what, verbs in does.items())
        robot = (
            f"; or name its model file: {MODEL_FLAG} FILE" if "model" in kwargs and model_of(config) else ""
        )
        raise RunError(f"{folder}: {said}; if you trust {them}, add {' '.join(flags)}{robot}")
    own_budget = config.memory_budget_gb is None or _budget_entry(identifier, config) in known
    return config if own_budget else replace(config, {"memory_budget_gb": None})


def _entries(identifier: str, config: Config) -> list[str]:
    """The lines of the list that these settings need."""
    entries = [_module_entry(identifier, module) for module in modules_named(config)]
    if config.env_kwargs:
        entries.append(_kwargs_entry(identifier, config))
    if config.memory_budget_gb is not None:
        entries.append(_budget_entry(identifier, config))
    return entries


def _module_entry(identifier: str, module: str) -> str:
    return json.dumps([identifier, module])


def _kwargs_entry(identifier: str, config: Config) -> str:
    text = json.dumps(config.env_kwargs, sort_keys=True)
    return json.dumps([identifier, "env_kwargs", hashlib.sha256(text.encode()).hexdigest()])


def _budget_entry(identifier: str, config: Config) -> str:
    budget = config.memory_budget_gb
    # Python code may give 8, which is 8.0 once it comes from config.json.
    return json.dumps([identifier, "memory_budget_gb", None if budget is None else float(budget)])


def _shown(kwargs: dict[str, Any]) -> str:
    text = json.dumps(kwargs)
    return text if len(text) <= _LONGEST_KWARGS else f"{text[:_LONGEST_KWARGS]}..."


def _known() -> frozenset[str]:
    """The lines of this user's list of runs."""
    path = _registry()
    if path is None:
        return frozenset()
    try:
        return frozenset(read_plain(path, 64 << 20).decode("utf-8", "replace").splitlines())
    except OSError:
        return frozenset()  # without the list, only what the user names is trusted


def _registry() -> Path | None:
    """The file with this user's list of runs; None where the user has no home folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state) / "joule" / "runs"
    try:
        return Path.home() / ".local" / "state" / "joule" / "runs"
    except RuntimeError:
        return None
