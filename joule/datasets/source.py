"""What `--data` names, and the settings of the environment that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.configurator.kinds import NO_PLANNER
from agent.configurator.settings import NO_ENV, Config
from agent.errors import ConfigError
from envs.registry import checked_id, complete_id
from joule.datasets import minari_dataset, swm_recording
from joule.model_file import with_model_file
from joule.settings import ENV_SETTINGS, OBSERVED
from joule.storage.links import RUN_FILE
from joule.storage.run_folder import Run
from joule.storage.run_paths import located
from joule.storage.shipped import folder_of


def is_minari(source: str) -> bool:
    """Whether a source is a data set of Minari."""
    return source.startswith(minari_dataset.PREFIX)


def is_swm(source: str) -> bool:
    """Whether a source is a recording of stable-worldmodel."""
    return source.startswith(swm_recording.PREFIX)


def run_of(source: str) -> Path | None:
    """The run folder, or the checkpoint, that a source is; None for any other folder.

    Raises:
        ConfigError: for a path where there is no folder.
    """
    if folder_of(source) is not None:
        return Path(source)
    folder = located(source)[0]
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ConfigError(
            f"data: {source} {what}; give a folder of .npz files, a run folder, minari:ID for a Minari data set, "
            "or swm:PATH for a recording of stable-worldmodel"
        )
    return Path(source) if (folder / RUN_FILE).exists() else None


def with_settings_of_data(given: Mapping[str, Any], trust: Mapping[str, Any]) -> dict[str, Any]:
    """The user's settings, and those of the environment that the data are of.

    Args:
        given: values by dotted name, `data` among them.
        trust: as for `Run.open`.

    Raises:
        ConfigError: for data that are not there, and for pixels where the data have none.
        RunError: as `Run.open`, and for a run in the shared form.
    """
    source = given["data"]
    if is_swm(source):
        swm_recording.located(source)
        if given.get("env", NO_ENV) == NO_ENV:
            raise ConfigError(
                f"env: {source} does not say its environment; give it, such as --env swm/TwoRoom-v1"
            )
        return dict(given)
    if is_minari(source):
        known = (
            {} if "env" in given else minari_dataset.env_settings_of(source, minari_dataset.opened(source))
        )
    elif (folder := run_of(source)) is not None:
        run = Run.open(located(folder)[0], **trust, changes={"planner.kind": NO_PLANNER})
        if run.shared:
            raise ConfigError(f"data: {source} is a run in its shared form, without replay buffer")
        if run.config.agent != "joule":
            raise ConfigError(
                f"data: {source} is a run of {run.config.agent}; the data of a run are those of joule"
            )
        given = with_model_file(given, run.config)
        env = given.get("env", run.config.env)
        same = run.config.env in (env, env if env == NO_ENV else complete_id(checked_id(env)))
        _check_observed(source, run.config, given)
        names = ENV_SETTINGS if same else OBSERVED
        known = {"env": run.config.env} | {name: getattr(run.config, name) for name in names}
        return known | dict(given)
    else:
        known = {"env": NO_ENV}
    if given.get("obs", "state") != "state":
        raise ConfigError(f"obs: {source} holds states; pixels are learned from a run folder with pixels")
    return known | dict(given)


def _check_observed(source: str, recorded: Config, given: Mapping[str, Any]) -> None:
    """Raises ConfigError where a run is to observe otherwise than its data do."""
    for name in OBSERVED:
        has = getattr(recorded, name)
        if given.get(name, has) != has:
            raise ConfigError(
                f"{name}: found {given[name]!r:.80}, and {source} was recorded with {has!r:.80}; leave it out"
            )
