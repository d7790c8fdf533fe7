"""The agents whose return is compared at equal CPU time: where the rows of each are, and how its runs are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.configurator.settings import Config
from benchmarks.training import RESULTS, ROOT
from joule.settings import config_from

OTHER_RESULTS = ROOT / "benchmarks" / "results_frontier"
"""The tree of rows whose settings are not the default ones. A suite there is a contender."""
DMC = (
    "dmc:cartpole-swingup",
    "dmc:pendulum-swingup",
    "dmc:reacher-easy",
    "dmc:cheetah-run",
    "dmc:walker-walk",
    "dmc:hopper-hop",
)
GYMNASIUM = ("HalfCheetah-v5", "Hopper-v5")
ENVS = (*DMC, *GYMNASIUM)
RUN_FRAMES = 100_000
"""Budget of every run."""


@dataclass(frozen=True)
class Contender:
    """One configuration of one agent, the same for all tasks."""

    name: str
    label: str
    """Its name in figures and tables."""
    agent: str
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """By dotted name."""

    @property
    def default_settings(self) -> bool:
        """Whether its rows are among those of the default settings."""
        return self.preset == "default" and not self.settings

    def config(self, env: str) -> Config:
        """The configuration of its run in an environment."""
        return config_from(
            self.preset, {"env": env, "agent": self.agent, "steps": RUN_FRAMES, **self.settings}
        )

    def options(self) -> tuple[str, ...]:
        """What the train command is told beside agent, environment, seed and budget."""
        preset = () if self.preset == "default" else ("--preset", self.preset)
        given = [word for name, value in self.settings.items() for word in (f"--{name}", f"{value:g}")]
        return (*preset, *given)

    @property
    def tree(self) -> Path:
        """The tree of results in which its rows are."""
        return RESULTS if self.default_settings else OTHER_RESULTS

    def suite(self, env: str) -> str:
        """The folder of its rows in the tree."""
        if not self.default_settings:
            return self.name
        return "dmc" if env.startswith("dmc:") else "gymnasium"


CONTENDERS = (
    Contender("default", "Joule", "joule"),
    Contender("strong", "Joule, strong", "joule", preset="strong"),
    Contender("sac", "SAC", "sac"),
    Contender("sac-2-updates", "SAC, 2 updates", "sac", settings={"learning.utd": 2.0}),
    Contender("sac-4-updates", "SAC, 4 updates", "sac", settings={"learning.utd": 4.0}),
    Contender("sac-8-updates", "SAC, 8 updates", "sac", settings={"learning.utd": 8.0}),
    Contender("td3", "TD3", "td3"),
    Contender("tqc", "TQC", "tqc"),
    Contender("crossq", "CrossQ", "crossq"),
)
"""In the order in which their missing rows are made: CrossQ, whose run takes hours, comes last."""
BY_NAME = {contender.name: contender for contender in CONTENDERS}
