"""The model-free baselines: stable-baselines3's and sb3-contrib's own classes behind the agent's verbs.

Joule's numbers mean something only beside these, so they are the libraries' own code at rl-zoo's published
settings (`joule.baselines.settings` has the table and its source), driven by the libraries' own
`collect_rollouts` and `train`, one decision at a time.

A resumed run is the uninterrupted one to the last bit, on one CPU thread, for all five algorithms: weights,
targets, optimisers, counters, replay or unfinished rollout, normalisers and every random generator are in
the state. This holds because every published learning rate and clip range is constant; a schedule over the
run would also depend on the run's length.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agent import random_state as generators
from agent.clock import Clock
from agent.configurator.settings import Config
from agent.device import pick_device
from agent.errors import ConfigError
from agent.interface import Arrays, Columns, EnvSpec, ReplayRows, Services, TrainingEnv, TrainingEnvs
from agent.training_env import enter
from joule.baselines.settings import KINDS, settings_for

if TYPE_CHECKING:
    from joule.baselines.hooks import Replay


class Baseline:
    """SAC, TD3, PPO, TQC or CrossQ, whichever `config.agent` names, in one body.

    `settings` replaces single values of the published settings. Raises ValueError for another kind.
    """

    def __init__(
        self,
        env_spec: EnvSpec,
        config: Config,
        env: TrainingEnv | TrainingEnvs | None = None,
        services: Services | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if config.agent not in KINDS:
            raise ValueError(f"agent: {config.agent} is not a baseline; choose one of {', '.join(KINDS)}")
        from joule.baselines.hooks import EnvBridge

        self.kind: str = config.agent
        self.env_spec, self.config, self.services = env_spec, config, services
        self.env: TrainingEnv | TrainingEnvs | None = env
        decisions = max(1, config.steps // env_spec.action_repeat)
        self.settings = {**settings_for(self.kind, env_spec.env, decisions), **(settings or {})}
        self.bridge = EnvBridge(env_spec, config.seed)
        self.frames = self.decisions = self.episodes = 0
        self.metrics: dict[str, float] = {}
        self.clock = Clock()
        self.stop_requested = False
        with generators.preserved():
            self.model = self._make_model()
            self._generators = generators.capture()
        self._learning = False

    def _make_model(self) -> Any:
        """The library's algorithm, seeded, on a vector of one environment."""
        import sb3_contrib
        import stable_baselines3
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.noise import NormalActionNoise
        from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

        from joule.baselines.hooks import Replay, Rollout

        classes = {
            "sac": stable_baselines3.SAC,
            "td3": stable_baselines3.TD3,
            "ppo": stable_baselines3.PPO,
            "tqc": sb3_contrib.TQC,
            "crossq": sb3_contrib.CrossQ,
        }
        given = copy.deepcopy(self.settings)  # the library writes into policy_kwargs
        vector: Any = DummyVecEnv([lambda: self.bridge])
        self.normalizer = None
        if given.pop("normalize", False):
            # As in rl-zoo: rewards are scaled by the return's deviation under the algorithm's own discount.
            self.normalizer = vector = VecNormalize(vector, gamma=given.get("gamma", 0.99))
        if (std := given.pop("noise_std", None)) is not None:
            act = self.env_spec.action_size
            given["action_noise"] = NormalActionNoise(np.zeros(act), np.full(act, std))
        if "activation_fn" in given.get("policy_kwargs", {}):
            activation = getattr(torch.nn, given["policy_kwargs"]["activation_fn"])
            given["policy_kwargs"] = {**given["policy_kwargs"], "activation_fn": activation}
        if self.kind == "ppo":
            given["rollout_buffer_class"] = Rollout
        else:
            given["replay_buffer_class"] = Replay
        device = pick_device(self.config.device)
        model = classes[self.kind]("MlpPolicy", vector, seed=self.config.seed, device=device, **given)
        # The library's own would leave an empty folder in the temporary directory at every call of `learn`.
        model.set_logger(Logger(None, []))
        return model

    # Living and learning

    def learn(
        self,
        steps: int,
        env: TrainingEnv | TrainingEnvs | None = None,
        on_step: Callable[[Any], bool] | None = None,
    ) -> Baseline:
        """Lives and learns for `steps` more environment frames.

        `on_step` is called after every decision, its transition stored and its gradient steps done;
        learning ends early when it returns False. The process's random generators are left as they were.
        Without an environment, given here or before, the one of the agent's configuration is made. In another
        body than before an episode begins. Raises FloatingPointError when a loss is no longer finite.
        """
        self.env = enter(self, env)
        self.bridge.body = self.env
        until = self.frames + steps
        with self.clock.running(), generators.preserved():
            generators.restore(*self._generators)
            self._learning = True
            try:
                # Resets the body if no episode is under way.
                _, callback = self.model._setup_learn(self.config.steps, reset_num_timesteps=False)
                while self.frames < until:
                    self._step(callback)
                    if on_step is not None and not on_step(self):
                        break
            finally:
                self._learning = False
                self._generators = generators.capture()
        return self

    def _step(self, callback: Any) -> None:
        """One decision and the learning that it is due."""
        model, bridge = self.model, self.bridge
        if self.kind == "ppo":
            model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=1)
            learned = model.rollout_buffer.full
            if learned:
                self._train()
        else:
            model.collect_rollouts(
                model.env,
                callback,
                train_freq=model.train_freq,
                replay_buffer=model.replay_buffer,
                action_noise=model.action_noise,
                learning_starts=model.learning_starts,
            )
            learned = model.num_timesteps > model.learning_starts and model.replay_buffer.size() > 0
            if learned:
                self._train(gradient_steps=model.gradient_steps, batch_size=model.batch_size)
        if bridge.episodes > self.episodes:
            self.metrics |= bridge.ended
        self.frames, self.decisions, self.episodes = bridge.frames, int(model.num_timesteps), bridge.episodes
        if learned:
            self._measure()

    def _train(self, **settings: Any) -> None:
        """The library's own learning; weights that broke in it show as a bad argument of a distribution."""
        try:
            self.model.train(**settings)
        except ValueError as error:
            if all(bool(value.isfinite().all()) for value in self.model.policy.state_dict().values()):
                raise
            where = f"decision {self.model.num_timesteps} in {self.env_spec.env}"
            raise FloatingPointError(f"{self.kind}: the weights are no longer finite at {where}") from error

    def _measure(self) -> None:
        """Takes over what the library logged of its last gradient steps."""
        for name, value in self.model.logger.name_to_value.items():
            if math.isfinite(value):
                self.metrics[name] = float(value)
            elif "loss" in name:  # other figures, such as an explained variance of nothing, may be undefined
                where = f"decision {self.decisions} in {self.env_spec.env}"
                raise FloatingPointError(f"{self.kind}: {name} became {float(value)} at {where}")

    def begin_episode(self) -> None:
        """Forgets the episode under way: the next decision begins a new one, with `seeds.reset_seed`."""
        self.model._last_obs = None
        self.bridge.begun = False
        self.bridge.episode_return, self.bridge.episode_length = 0.0, 0

    # Acting

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation [obs] or a batch [batch, obs]; `state` passes through unused."""
        rows: Any = np.asarray(observation, np.float32)
        if self.normalizer is not None:
            rows = self.normalizer.normalize_obs(rows)
        action, _ = self.model.predict(rows, deterministic=deterministic)
        return action, state

    # What a resume needs

    def save(self, path: str | Path) -> None:
        """Writes a run folder at `path`. Raises as `joule.storage.saving.save_as_run`."""
        if self.services is None:
            raise ConfigError("save: this agent was made without a way to save; make it by joule.make")
        self.services.save_run(self, Path(path))

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything but the replay and the body itself, after any decision."""
        model, bridge = self.model, self.bridge
        arrays = {f"policy/{name}": _numpy(value) for name, value in model.policy.state_dict().items()}
        optimizers, variables = self._parts()
        for name, optimizer in optimizers.items():
            for index, entries in optimizer.state_dict()["state"].items():
                arrays |= {f"optimizer/{name}/{index}/{key}": _numpy(v) for key, v in entries.items()}
        arrays |= {f"variable/{name}": _numpy(value) for name, value in variables.items()}
        if model._last_obs is not None:
            arrays["now/obs"] = model._last_obs.copy()
            arrays["now/episode_start"] = model._last_episode_starts.copy()
        if self.kind == "ppo":
            arrays |= {f"rollout/{name}": rows for name, rows in model.rollout_buffer.state().items()}
        if self.normalizer is not None:
            for name, running in self._statistics().items():
                arrays[f"normalizer/{name}/mean"] = np.array(running.mean, np.float64)
                arrays[f"normalizer/{name}/var"] = np.array(running.var, np.float64)
                arrays[f"normalizer/{name}/count"] = np.array(running.count, np.float64)
            arrays["normalizer/returns"] = self.normalizer.returns.copy()
        rng_arrays, rng_meta = generators.capture() if self._learning else self._generators
        arrays |= {f"rng/{name}": value for name, value in rng_arrays.items()}
        meta = {
            "decisions": self.decisions,
            "updates": int(model._n_updates),
            "library_episodes": int(model._episode_num),
            "learning_starts": getattr(model, "learning_starts", 0),
            "frames": self.frames,
            "episodes": self.episodes,
            "begun": bridge.begun,
            "episode_return": bridge.episode_return,
            "episode_length": bridge.episode_length,
            "metrics": dict(self.metrics),
            "rng": rng_meta,
            "action_space": model.action_space.np_random.bit_generator.state,
        }
        return arrays, meta

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Goes back to a state; the body is put back by its owner.

        Raises ValueError when the networks are not of this agent's sizes.
        """
        model, bridge = self.model, self.bridge
        try:
            model.policy.load_state_dict(
                {name: torch.from_numpy(value) for name, value in _under(arrays, "policy/").items()}
            )
        except RuntimeError as error:
            raise ValueError(
                f"the checkpoint holds other networks than {self.kind} has in {self.env_spec.env}"
            ) from error
        optimizers, variables = self._parts()
        for name, optimizer in optimizers.items():
            entries: dict[int, dict[str, torch.Tensor]] = {}
            for path, value in _under(arrays, f"optimizer/{name}/").items():
                index, key = path.split("/")
                entries.setdefault(int(index), {})[key] = torch.from_numpy(value.copy())
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": entries, "param_groups": groups})
        with torch.no_grad():
            for name, variable in variables.items():
                variable.copy_(torch.from_numpy(arrays[f"variable/{name}"]))
        model._last_obs = None
        if "now/obs" in arrays:
            model._last_obs = arrays["now/obs"].copy()
            model._last_episode_starts = arrays["now/episode_start"].copy()
        if self.kind == "ppo":
            model.rollout_buffer.load_state(_under(arrays, "rollout/"))
        if self.normalizer is not None:
            for name, running in self._statistics().items():
                running.mean = arrays[f"normalizer/{name}/mean"].copy()
                running.var = arrays[f"normalizer/{name}/var"].copy()
                running.count = float(arrays[f"normalizer/{name}/count"])
            self.normalizer.returns = arrays["normalizer/returns"].copy()
        self._generators = ({n: v.copy() for n, v in _under(arrays, "rng/").items()}, dict(meta["rng"]))
        model.action_space.np_random.bit_generator.state = meta["action_space"]
        model.num_timesteps, model._n_updates = meta["decisions"], meta["updates"]
        model._episode_num = meta["library_episodes"]
        if self.kind != "ppo":
            # A run that is made longer keeps the warm-up it had.
            model.learning_starts = meta["learning_starts"]
        bridge.frames, bridge.episodes, bridge.begun = meta["frames"], meta["episodes"], meta["begun"]
        bridge.episode_return, bridge.episode_length = meta["episode_return"], meta["episode_length"]
        self.frames, self.decisions, self.episodes = meta["frames"], meta["decisions"], meta["episodes"]
        self.metrics = dict(meta["metrics"])

    def _parts(self) -> tuple[dict[str, torch.optim.Optimizer], dict[str, torch.Tensor]]:
        """The optimisers and the loose tensors that the library itself would save, by name."""
        states, variables = self.model._get_torch_save_params()
        found: dict[str, Any] = {}
        for path in (*states, *variables):
            target = self.model
            for part in path.split("."):
                target = getattr(target, part)
            found[path] = target
        return {n: found[n] for n in states if n != "policy"}, {n: found[n] for n in variables}

    def _statistics(self) -> dict[str, Any]:
        """The running means and variances of the normaliser."""
        normalizer = self.normalizer
        return {} if normalizer is None else {"obs": normalizer.obs_rms, "return": normalizer.ret_rms}

    @property
    def replay(self) -> list[ReplayRows]:
        """The rows of the library's replay buffer; none for PPO, which keeps none."""
        return [] if self.kind == "ppo" else [LibraryRows(self.model.replay_buffer)]


class LibraryRows:
    """The rows of a library's replay buffer; see `agent.interface.ReplayRows`."""

    def __init__(self, buffer: Replay) -> None:
        self.buffer = buffer

    def columns(self) -> Columns:
        """Name -> (shape of one row, numpy dtype name)."""
        return {name: (column.shape[1:], column.dtype.name) for name, column in self.buffer.columns().items()}

    @property
    def total(self) -> int:
        """Transitions ever written."""
        return self.buffer.total

    @property
    def first(self) -> int:
        """Number of the oldest transition that is still held."""
        return max(0, self.buffer.total - self.buffer.buffer_size)

    @property
    def capacity(self) -> int:
        """Transitions that a resume needs."""
        return int(self.buffer.buffer_size)

    def since(self, first: int) -> Arrays:
        """Transitions from number `first` on, oldest first."""
        return self.buffer.rows_since(first)

    def restore(self, rows: Arrays, total: int) -> None:
        """Puts back the newest of `total` transitions ever written, oldest first."""
        self.buffer.restore_rows(rows, total)


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().copy()


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    """The entries whose name begins with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
