"""One torch thread, rendering without a display, and one trained run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest

if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
# A busy machine must not fail a property. Every run tries the same examples, so that what passed here
# passes elsewhere; HYPOTHESIS_PROFILE=search looks for new ones.
hypothesis.settings.register_profile("joule", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "joule"))

Changes = dict[str, Any]


@contextmanager
def shapes_unchecked() -> Iterator[None]:
    """Checks take longer than a small network: whole runs, checked in parts elsewhere, go without."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """See `shapes_unchecked`."""
    with shapes_unchecked():
        yield


@pytest.fixture(scope="session")
def small() -> Changes:
    """Settings, by dotted name, with which the tiny body is learned in seconds."""
    import tiny_env

    return {
        "env": tiny_env.ID,
        "steps": 400,
        "seed": 1,
        "eval_every_frames": 200,
        "eval_episodes": 3,
        "checkpoint_every_frames": 200,
        "video": False,
        "model.latent-dim": 16,
        "model.hidden_dim": 32,
        "model.head-width": 16,
        "learning.batch_size": 64,
        "explore.warmup-decisions": 150,
        "learning.pretrain-updates": 200,
        "learning.utd": 1.0,
        "learning.initial_utd": 1.0,
        "explore.plan_from_decisions": 0,
        "explore.plan-every-episodes": 2,
        "learning.precision": "float32",
        "learning.learning_rate": 2e-3,
        "learning.encoder_learning_rate": 1e-3,
        "planner.samples": 16,
        "planner.iterations": 2,
        "planner.elites": 4,
        "actor.proposals": 4,
    }


@pytest.fixture(scope="session")
def make_joule(small: Changes) -> Callable[..., Any]:
    """`make_joule(**changes)`: an untrained agent in a body of its own; dots in names are written `__`."""
    import envs
    from agent.agent import WorldModelAgent
    from agent.configurator.settings import Config
    from agent.configurator.validation import replace, validate

    def make(body: Any = None, **changes: Any) -> WorldModelAgent:
        named = {name.replace("__", "."): value for name, value in changes.items()}
        config = validate(replace(Config(), {**small, **named}))
        body = body or envs.make(config.env)
        return WorldModelAgent(body.env_spec, config, body)

    return make


@pytest.fixture(scope="session")
def trained_run(small: Changes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the tiny body, made by the door itself. Not to be written to."""
    from joule.commands import train

    # A body that pays from its first step needs no curiosity, and 250 decisions are few to be calm after.
    calm = {**small, "explore.curiosity": 0.0}
    folder = tmp_path_factory.mktemp("trained") / "run"
    with shapes_unchecked():
        assert train.main([*as_options(calm), "--out", str(folder)]) == 0
    return folder


def as_options(changes: Changes) -> list[str]:
    """Settings by dotted name as they are typed."""
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
    """`options(**changes)`: the small settings with changes, as they are typed."""
    return lambda **changes: as_options({**small, **{n.replace("__", "."): v for n, v in changes.items()}})
