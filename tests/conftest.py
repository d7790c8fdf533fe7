"""Settings of every test (one torch thread, no display), and fixtures: small agents and a trained run."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from shape_checks import shapes_unchecked

if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
# A deadline would fail properties on a busy machine. Every run tries the same examples, so that a test that
# passes here passes elsewhere; HYPOTHESIS_PROFILE=search looks for new ones.
hypothesis.settings.register_profile("joule", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "joule"))

Changes = dict[str, Any]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives the tests of a file to one process of `pytest -n`, so that the fixtures of a file are made once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    """Skips a test whose environment cannot be installed for this Python, such as those of dm_control for 3.13."""
    return (yield from _skipping_what_needs_an_older_python())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """The same for environments that the test itself makes."""
    return (yield from _skipping_what_needs_an_older_python())


def _skipping_what_needs_an_older_python() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except Exception as error:
        if "which needs Python" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture
def unchecked() -> Iterator[None]:
    """See `shapes_unchecked`."""
    with shapes_unchecked():
        yield


@pytest.fixture(scope="session")
def small() -> Changes:
    """Settings, by dotted name, with which an agent learns the tiny environment in seconds."""
    import tiny_env

    return {
        "env": tiny_env.ID,
        "steps": 400,
        "seed": 1,
        "eval_every_frames": 200,
        "eval_episodes": 3,
        "checkpoint_every_frames": 200,
        "video": False,
        "model.latent_dim": 16,
        "model.hidden_dim": 32,
        "model.head_width": 16,
        "learning.batch_size": 64,
        "explore.warmup_decisions": 150,
        "learning.pretrain_updates": 200,
        "learning.utd": 1.0,
        "learning.initial_utd": 1.0,
        "explore.plan_from_decisions": 0,
        "explore.plan_every_episodes": 2,
        "learning.precision": "float32",
        "learning.learning_rate": 2e-3,
        "learning.encoder_learning_rate": 1e-3,
        "planner.samples": 16,
        "planner.iterations": 2,
        "planner.elites": 4,
        "actor.proposals": 4,
    }


@pytest.fixture(scope="session")
def make_agent(small: Changes) -> Callable[..., Any]:
    """`make_agent(environment, **changes)`: an untrained agent; `__` stands for a dot in names of settings.

    Without an `environment`, one is made from the settings.
    """
    import envs
    from agent.configurator.dotted_names import drop_foreign_settings, replace
    from agent.configurator.settings import Config
    from agent.configurator.validation import validate
    from joule.agents import build_agent

    def make(environment: Any = None, /, **changes: Any) -> Any:
        named = {name.replace("__", "."): value for name, value in changes.items()}
        config = replace(Config(), {**small, **named})
        config, _ = drop_foreign_settings(config, named)
        validate(config)
        env = environment or envs.make(config.env)
        return build_agent(config, env.env_spec, env)

    return make


@pytest.fixture(scope="session")
def trained_run(small: Changes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the tiny environment, made by `joule train`. Read-only.

    The processes of `pytest -n` share one: the first that asks makes it, the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "trained" / "run"
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "summary.json").exists():
            folder.parent.mkdir()
            _train(small, folder)
    return folder


def _train(small: Changes, folder: Path) -> None:
    from joule.commands import train

    # The reward is positive from the first step, so curiosity is not needed; 250 decisions are too few for it
    # to fade.
    settings = {**small, "explore.curiosity": 0.0}
    with shapes_unchecked():
        assert train.main([*as_options(settings), "--out", str(folder)]) == 0


def as_options(changes: Changes) -> list[str]:
    """Settings by dotted name as options of the command line."""
    typed = []
    for name, value in changes.items():
        flag = name.replace("_", "-")
        typed += (
            [f"--{flag}" if value else f"--no-{flag}"]
            if isinstance(value, bool)
            else [f"--{flag}", str(value)]
        )
    return typed


@pytest.fixture(scope="session")
def options(small: Changes) -> Callable[..., list[str]]:
    """`options(**changes)`: the small settings with changes, as options of the command line."""
    return lambda **changes: as_options({**small, **{n.replace("__", "."): v for n, v in changes.items()}})
