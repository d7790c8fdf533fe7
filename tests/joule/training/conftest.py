"""Short runs: a trainer of a small agent, and commands that train one and are interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quiet_callback import QuietCallback

from agent.configurator.settings import Config
from joule.commands import train
from joule.environment import make_env
from joule.storage.run_folder import Run
from joule.training.evaluation import Evaluator
from joule.training.trainer import Trainer
from joule.training_envs import make_envs

AtFrame = Callable[[int | None, Callable[[], Any]], None]
BRIEF: dict[str, Any] = {
    "steps": 90,
    "eval_every_frames": 40,
    "eval_episodes": 2,
    "checkpoint_every_frames": 30,
    "learning__batch_size": 16,
    "explore__warmup_decisions": 35,
    "learning__pretrain_updates": 8,
    "learning__utd": 0.5,
    "learning__initial_utd": 0.5,
}
"""A run through all phases in 90 frames. Episodes end at 25, 50 and 75, checkpoints are at 30, 60 and the end."""

_OF_ENVS = ("env", "num_envs", "vector_mode")


@pytest.fixture
def brief_options(options: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """`brief_options(**changes)`: the options of a run through all phases in 90 frames."""
    return lambda **changes: options(**{**BRIEF, **changes})


@pytest.fixture(autouse=True)
def _no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A curve takes longer to draw than a run of these tests does."""
    monkeypatch.setattr("joule.report.curves.learning_curve", lambda *_, **__: None)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs that several tests read."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def whole(brief_options: Callable[..., list[str]], unchecked: None, runs: Path) -> Path:
    """A run through all phases in 90 frames that nothing interrupted. Read-only."""
    folder = runs / "whole"
    if not folder.exists():
        assert train.main([*brief_options(), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def at_frame(monkeypatch: pytest.MonkeyPatch) -> AtFrame:
    """`at_frame(k, f)`: f is called after the decision that reaches frame k, before anything is logged."""
    on_step = Trainer.on_step

    def arrange(frame: int | None, act: Callable[[], Any]) -> None:
        def observed(self: Trainer, agent: Any) -> bool:
            if agent.frames == frame:
                act()
            return on_step(self, agent)

        monkeypatch.setattr(Trainer, "on_step", observed)

    return arrange


@pytest.fixture
def training(make_agent: Callable[..., Any], tmp_path: Path, unchecked: None) -> Callable[..., Trainer]:
    """`training(folder, **changes)`: a trainer in a new run folder, or in `folder`."""

    def make(folder: Path | None = None, **changes: Any) -> Trainer:
        brief = {
            "steps": 90,
            "checkpoint_every_frames": 30,
            "eval_every_frames": 90,
            "eval_episodes": 1,
            "explore__warmup_decisions": 20,
            "learning__pretrain_updates": 5,
            "learning__batch_size": 16,
            "learning__utd": 0.5,
            "learning__initial_utd": 0.5,
        }
        named = {**brief, **changes}
        several = "num_envs" in changes
        env = (
            make_envs(Config(**{name: named[name] for name in _OF_ENVS if name in named}))
            if several
            else None
        )
        agent = make_agent(env, **named)
        run = Run.open(folder) if folder else Run.create(tmp_path / "run", agent.config, ["test"], {})
        return Trainer(agent, run, Evaluator(lambda: make_env(agent.config), 1), QuietCallback())

    return make
