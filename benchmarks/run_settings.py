"""The settings of a run that is there, compared with those that a benchmark asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from agent.configurator.dotted_names import differing, flatten
from agent.configurator.settings import NO_ENV, Config
from joule.cli.options import given_settings
from joule.commands.train import parser
from joule.datasets.source import with_settings_of_data
from joule.escaping import terminal
from joule.settings import FREE, config_from, config_init_from
from joule.storage.links import RUN_FILE
from joule.storage.run_paths import located
from joule.storage.run_record import read_run
from joule.sweeping.trial import Trial
from joule_errors import Refused


def config_of(words: Sequence[str]) -> Config:
    """The settings that the command `train` gives a new run.

    Args:
        words: its options.

    Raises:
        Refused: for options that it refuses.
    """
    from envs.registry import checked_id, complete_id

    options = parser(words).parse(words)
    given = given_settings(options)
    if options.init_from is not None:
        config = config_init_from(read_run(located(options.init_from)[0])[1], given)
    else:
        if given.get("data"):
            trust = {"trust_modules": options.trust_module, "trust_env_kwargs": options.trust_env_kwargs}
            given = with_settings_of_data(given, trust)
        config = config_from(options.preset or "default", given)
    return (
        config
        if config.env == NO_ENV
        else dataclasses.replace(config, env=complete_id(checked_id(config.env)))
    )


def refuse_others(trial: Trial) -> None:
    """Refuses a run that is there already, with settings other than those asked for.

    Without this, it would count as finished, or would be resumed with its own settings.

    Raises:
        Refused: the message names the differences.
    """
    if not (trial.folder / RUN_FILE).exists():
        return
    before, wanted = read_run(trial.folder)[1], config_of(trial.job().new)
    old, new = flatten(before), flatten(wanted)
    if names := sorted(name for name in differing(before, wanted) if name not in FREE):
        difference = ", ".join(f"{name} {old.get(name)!r} -> {new.get(name)!r}" for name in names)
        raise Refused(
            f"{terminal(str(trial.folder))}: the run there has other settings ({terminal(difference)}); move it away, "
            "or give the new one another name"
        )
