"""The phases of one agent under one change of its environment; see `adaptation.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.configurator.dotted_names import replace
from agent.memory.columns import columns_of
from agent.memory.replay_buffer import ReplayBuffer
from agent.seeds import FIRST_SEED
from agent.world_model.home_episodes import HOME_DECISIONS, HomeEpisodes
from benchmarks.comprehension.episodes import play
from joule.environment import make_env
from joule.storage.provenance import version

ADAPTING_SEED = 20_000
"""Seed of the first episode with adaptation."""
SEEDS_PER_CHANGE = 1_000
"""Between the first episodes of two changes: the episodes before the changes are to differ."""
SETTINGS_OF = {"learns on": ("changed_episodes",), "adapts": ("changed_episodes", "change", "home_decisions"),
               "taught": ("train_on_frames",)}  # fmt: skip
"""What an agent does -> the settings that count for it, beside those of every method."""
UPDATES_FORGONE = 1_000.0
"""Gradient steps that training with an empty replay buffer forgoes, because few rows mislead."""


@dataclass(frozen=True)
class Settings:
    """How long each phase is."""

    episodes: int
    """Held-out episodes."""
    changed_episodes: int
    """Episodes of the phase `changed`."""
    decisions: int
    """Decisions of an episode, at most."""
    change: int
    """Decisions before the change."""
    train_on_frames: int
    """Frames of `Phases.train_on`."""
    home_decisions: int = HOME_DECISIONS
    """Decisions that an agent plays in the unchanged environment before it adapts; 0 for none."""

    def text(self, method: str) -> str:
        """What counts for a method, such as `joule adapts`, as the column `settings` has it."""
        of_method = SETTINGS_OF.get(method.partition(" ")[2], ())
        return " ".join(f"{name}={getattr(self, name)}" for name in ("episodes", "decisions", *of_method))


def undo(perturbation: str, onset: int) -> str:
    """The perturbation that undoes another one from the frame `onset` of an episode on."""
    factor = perturbation.partition("=")[0]
    return f"{factor}={0 if factor == 'latency' else 1}@{onset}"


class Phases:
    """Plays the phases of an agent, and collects their rows.

    Args:
        agent: the agent, which was trained in the unchanged environment, unless it is a ceiling.
        method: name of what it does.
        perturbation: the change.
        settings: how long each phase is.
        home: the agent's episodes in the unchanged environment; None where it is to adapt without them.
        number: of the change, from which the seeds follow.
    """

    def __init__(
        self,
        agent: Any,
        method: str,
        perturbation: str,
        settings: Settings,
        home: Callable[[], HomeEpisodes | None],
        number: int = 0,
    ) -> None:
        self.agent, self.method, self.perturbation = agent, method, perturbation
        self.settings, self.home = settings, home
        self.first_seed = ADAPTING_SEED + SEEDS_PER_CHANGE * number
        self.frames = agent.frames
        """Of the run: some methods learn."""
        self.rows: list[dict[str, Any]] = []
        self.changed_at, self.detected = 10**9, True
        """At which decision the environment last changed, and whether that was detected."""

    def env(self, *perturb: str) -> Any:
        """An environment with these perturbations."""
        return make_env(replace(self.agent.config, {"perturb": perturb}))

    def add(self, phase: str, total: float, decisions: int, **more: Any) -> None:
        """Adds the row of an episode with the return `total`."""
        config = self.agent.config
        self.rows.append({
            "env": config.env, "perturbation": self.perturbation, "method": self.method, "seed": config.seed,
            "run_frames": self.frames, "settings": self.settings.text(self.method),
            "phase": phase, "episode": len(self.rows),
            "return": round(total, 2), "decisions": decisions, "commit": version(), **more,
        })  # fmt: skip
        print(
            f"{config.env} {self.perturbation:13} {self.method:15} {phase:8} {total:10.1f} {more}", flush=True
        )

    def hold_out(self, phase: str, *perturb: str) -> None:
        """Held-out episodes without learning, played side by side."""
        envs = [self.env(*perturb) for _ in range(self.settings.episodes)]
        returns, counts = np.zeros(len(envs)), np.zeros(len(envs), int)
        for k, _, reward in play(self.agent.predict, envs, self.settings.decisions):
            returns[k] += reward
            counts[k] += 1
        for total, count in zip(returns, counts, strict=True):
            self.add(phase, float(total), int(count))

    def hold_out_adapted(self, phase: str, adaptive: Any, *perturb: str) -> None:
        """Held-out episodes without learning of an agent that has adapted, one after the other.

        It acts by its policy alone where its model errs, as it does while it learns.
        """
        adaptive.learns = False
        for number in range(self.settings.episodes):
            env = adaptive.observe(self.env(*perturb))
            self.add(phase, *self._episode(adaptive, env, FIRST_SEED + number))
        adaptive.learns = True

    def _episode(self, adaptive: Any, env: Any, seed: int) -> tuple[float, int]:
        """The return of an episode, and its decisions."""
        obs, _ = env.reset(seed=seed)
        state, total, decisions, over = None, 0.0, 0, False
        while not over and decisions < self.settings.decisions:
            action, state = adaptive.predict(obs, state, np.array([state is None]))
            obs, reward, terminated, truncated, _ = env.step(action)
            total, decisions, over = total + reward, decisions + 1, terminated or truncated
        adaptive.end_episode()
        return total, decisions

    # Methods

    def stay_frozen(self) -> None:
        """Without learning, in both environments."""
        self.hold_out("after", self.perturbation)
        self.hold_out("home")

    def adapt(self) -> None:
        """A world-model agent adapts."""
        adaptive = self.agent.adapt()
        if (home := self.home()) is not None:
            adaptive.calibrate_at(home)
        onset = self.settings.change * self.agent.env_spec.action_repeat  # frames
        self._adapting_episode(adaptive, "known")
        self._adapting_episode(adaptive, "change", f"{self.perturbation}@{onset}", changes=True)
        for _ in range(self.settings.changed_episodes):
            self._adapting_episode(adaptive, "changed", self.perturbation)
        self.hold_out_adapted("after", adaptive, self.perturbation)
        back = (self.perturbation, undo(self.perturbation, onset))
        self._adapting_episode(adaptive, "back", *back, changes=True)
        self.hold_out_adapted("home", adaptive)

    def _adapting_episode(self, adaptive: Any, phase: str, *perturb: str, changes: bool = False) -> None:
        """One episode with adaptation; `changes` says that the environment changes after `settings.change`."""
        env, change = adaptive.observe(self.env(*perturb)), self.settings.change
        seed = self.first_seed + len(self.rows)
        first, events, start = adaptive.decisions, len(adaptive.events), time.process_time()
        total, decisions = self._episode(adaptive, env, seed)
        if changes:
            self.changed_at, self.detected = first + min(change, decisions), False
        detected = [event.decision for event in adaptive.events[events:]]
        after = [decision - self.changed_at for decision in detected if decision > self.changed_at]
        false = {"known": len(detected), "change": len(detected) - len(after)}
        newly, self.detected = not self.detected and bool(after), self.detected or bool(after)
        cpu_ms = 1e3 * (time.process_time() - start) / decisions
        self.add(
            phase, total, decisions, episode_seed=seed, changed_at=change if changes else "",
            detected_after=after[0] if newly else "", false_alarms=false.get(phase, 0),
            model_in_use=adaptive.in_use.number, cpu_ms=round(cpu_ms, 1),
        )  # fmt: skip

    def learn_on(self) -> None:
        """A model-free agent goes on learning in the changed environment, as it learned before.

        It gets as many episodes there as an adapting agent: that of the change, and those of `changed`.
        """
        ended: list[tuple[float, int]] = []
        episodes = self.agent.episodes

        def on_step(agent: Any) -> bool:
            nonlocal episodes
            if agent.episodes > episodes:
                ended.append((agent.metrics["episode/return"], agent.decisions))
                episodes = agent.episodes
            return len(ended) < self.settings.changed_episodes + 1

        first = self.agent.decisions
        self.agent.learn(10**9, self.env(self.perturbation), on_step)
        for total, decision in ended:
            self.add("changed", total, decision - first)
            first = decision
        self.hold_out("after", self.perturbation)
        self.hold_out("home")

    def train_on(self) -> None:
        """A world-model agent is trained on in the changed environment, from an empty replay buffer."""
        agent, modules = self.agent, self.agent.modules
        modules.replay_buffer = ReplayBuffer(1, columns_of(agent.env_spec))  # `learn` reserves what it needs
        modules.normalised_rows = [0]
        agent.begin_episode()
        agent.interaction.update_credit = -UPDATES_FORGONE
        agent.learn(self.settings.train_on_frames, self.env(self.perturbation))
        self.hold_out("after", self.perturbation)
