"""The published settings of the model-free baselines, so that each can be checked and none is at a disadvantage.

Source: DLR-RM/rl-baselines3-zoo, hyperparams/{sac,td3,tqc,crossq,ppo}.yml, section "Mujoco Envs", commit
22e3ff2450fd92033f7f032915e1f64894a09584 (April 2026). A setting that is not listed has the library's default.
rl-zoo publishes for the v4 environments (v2 for the inverted pendulums, Reacher and HumanoidStandup). An entry
is used for the same environment in any version. An environment without an entry gets `mujoco-defaults`.

| kind   | mujoco-defaults                                                                         |
|--------|-----------------------------------------------------------------------------------------|
| sac    | learning_starts 10,000                                                                  |
| td3    | learning_starts 10,000, action noise N(0, 0.1), learning rate 1e-3, batch 256, [400, 300] |
| tqc    | learning_starts 10,000                                                                  |
| crossq | learning_starts 5,000, learning rate 1e-3, policy delay 3, critics [2048, 2048]          |
| ppo    | observations and rewards normalised (VecNormalize)                                      |

CrossQ's wide critics cost some 25 times SAC's CPU time per decision.

Two settings differ. They are published for a million steps, and runs here are shorter:
- `learning_starts` is at most a tenth of the run's decisions, and at least the library's own 100. With the
  published number, a run of 50,000 steps would spend a fifth of its budget on random actions. This favours the
  baseline; `Baseline(settings={"learning_starts": 10_000})` takes the published number.
- PPO on Swimmer is published for four environments of 1,024 steps each. There is one environment here, and PPO
  collects the same 4,096 transitions in it.

With pictures there is one configuration, whatever the environment. That of sac is Yarats et al. (2021), "Improving
sample efficiency in model-free reinforcement learning from images": denisyarats/pytorch_sac_ae, train.py, commit
38341e3d448e0753e9b2329f0fc4562f27e7fc74, as far as the library has the setting: batch 128, learning rate 1e-3,
target rate 0.005 at every update (published: 0.01 at every second one, which the library does not count
over calls), first temperature 0.1, learning_starts 1,000. The replay buffer of 100,000
is that of denisyarats/drq. The networks are the library's own, `CnnPolicy`, or `MultiInputPolicy` with a state
beside the pictures. The paper trains the encoder with a decoder or by the critic alone; the library gives actor and
critic an encoder each. td3 and tqc have their settings for the state with that batch, that replay buffer and those
learning_starts.

sac_her is SAC with hindsight (Andrychowicz et al. 2017) in an environment that observes its goal. Its settings are
those of Plappert et al. (2018), "Multi-Goal Reinforcement Learning", where SAC has the setting: openai/baselines,
baselines/her/experiment/config.py, commit 152971d6d41ea494d852ee56c5b5329f9b03f42d. They are learning rate 1e-3,
batch 256, networks [256, 256, 256], goals of the future with four of them for each real one, and a discount of
1 - 1/T for an episode of T decisions. Every other setting is the library's; learning_starts is 1,000, as in its own
example. The replay buffer has as many rows as the run has decisions, at least 10,000 and at most the published
1,000,000: the library reads a count of every row at each gradient step.

`learning.utd` sets the gradient steps per decision of the algorithms with a replay buffer; rl-zoo publishes 1 for
each of them. Every other setting stays as published.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.configurator.settings import GOAL_CONDITIONED, STATE_AND_GOAL
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.interface import EnvSpec

_MUJOCO_DEFAULTS: dict[str, dict[str, Any]] = {
    "sac": {"learning_starts": 10_000},
    "td3": {
        "learning_starts": 10_000,
        "noise_std": 0.1,
        "train_freq": 1,
        "gradient_steps": 1,
        "learning_rate": 1e-3,
        "batch_size": 256,
        "policy_kwargs": {"net_arch": [400, 300]},
    },
    "tqc": {"learning_starts": 10_000},
    "crossq": {
        "buffer_size": 1_000_000,
        "learning_rate": 1e-3,
        "learning_starts": 5_000,
        "policy_delay": 3,
        "policy_kwargs": {"net_arch": {"pi": [256, 256], "qf": [2048, 2048]}},
    },
    "ppo": {"normalize": True},
    GOAL_CONDITIONED: {
        "learning_rate": 1e-3,
        "learning_starts": 1_000,
        "batch_size": 256,
        "policy_kwargs": {"net_arch": [256, 256, 256]},
        "replay_buffer_kwargs": {"n_sampled_goal": 4, "goal_selection_strategy": "future"},
    },
}
_HINDSIGHT_ROWS = 10_000, 1_000_000
"""Rows of the replay buffer with hindsight, at least and at most."""

_WIDE = {
    "policy_kwargs": {
        "log_std_init": -2,
        "ortho_init": False,
        "activation_fn": "ReLU",
        "net_arch": {"pi": [256, 256], "vf": [256, 256]},
    }
}


_PPO = (
    "batch_size",
    "n_steps",
    "gamma",
    "learning_rate",
    "ent_coef",
    "clip_range",
    "n_epochs",
    "gae_lambda",
    "max_grad_norm",
    "vf_coef",
)


def _ppo(*values: float, **more: Any) -> dict[str, Any]:
    """One tuned entry of ppo.yml, its values in the order of `_PPO`."""
    return {**dict(zip(_PPO, values, strict=True)), **more}


_TUNED: dict[str, dict[str, dict[str, Any]]] = {
    "sac": {"Swimmer": {"gamma": 0.999}},
    "td3": {"Swimmer": {"gamma": 0.9999}},
    "tqc": {"Hopper": {"top_quantiles_to_drop_per_net": 5}, "Swimmer": {"gamma": 0.999}},
    "crossq": {"Swimmer": {"gamma": 0.999}},
    GOAL_CONDITIONED: {},
    "ppo": {
        "Swimmer": {
            "gamma": 0.9999,
            "n_steps": 4 * 1024,
            "batch_size": 256,
            "learning_rate": 6e-4,
            "gae_lambda": 0.98,
        },
        "HalfCheetah": _ppo(64, 512, 0.98, 2.0633e-05, 0.000401762, 0.1, 20, 0.92, 0.8, 0.58096, **_WIDE),
        "Hopper": _ppo(32, 512, 0.999, 9.80828e-05, 0.00229519, 0.2, 5, 0.99, 0.7, 0.835671, **_WIDE),
        "HumanoidStandup": _ppo(
            32, 512, 0.99, 2.55673e-05, 3.62109e-06, 0.3, 20, 0.9, 0.7, 0.430793, **_WIDE
        ),
        "Humanoid": _ppo(256, 512, 0.95, 3.56987e-05, 0.00238306, 0.3, 5, 0.9, 2, 0.431892, **_WIDE),
        "InvertedDoublePendulum": _ppo(512, 128, 0.98, 0.000155454, 1.05057e-06, 0.4, 10, 0.8, 0.5, 0.695929),
        "InvertedPendulum": _ppo(64, 32, 0.999, 0.000222425, 1.37976e-07, 0.4, 5, 0.9, 0.3, 0.19816),
        "Reacher": _ppo(32, 512, 0.9, 0.000104019, 7.52585e-08, 0.3, 5, 1.0, 0.9, 0.950368),
        "Walker2d": _ppo(32, 512, 0.99, 5.05041e-05, 0.000585045, 0.1, 20, 0.95, 1, 0.871923),
    },
}

_PICTURES: dict[str, dict[str, Any]] = {
    "sac": {
        "batch_size": 128,
        "buffer_size": 100_000,
        "ent_coef": "auto_0.1",
        "learning_rate": 1e-3,
        "learning_starts": 1_000,
        "tau": 0.005,
    }
}
"""Of every environment, where pictures are observed."""
_PICTURES_OF_OTHERS = {"batch_size": 128, "buffer_size": 100_000, "learning_starts": 1_000}
"""Of kinds without an entry in `_PICTURES`, beside their settings for the state."""
SMALLEST_PICTURE = 36
"""Pixels that the library's convolutions need."""

KINDS = tuple(_MUJOCO_DEFAULTS)
"""The algorithms."""
WITH_REPLAY = tuple(kind for kind in KINDS if kind != "ppo")
"""Those that learn from a replay buffer, whose gradient steps per decision can be chosen."""
WITH_PICTURES = ("sac", "td3", "tqc")
"""Those whose library has a policy for pictures, and that learn from a replay buffer."""


def published(kind: str, env: str) -> dict[str, Any]:
    """rl-zoo's settings of an algorithm for an environment; the table above states the rule.

    Args:
        kind: one of `KINDS`.
        env: the id, such as `Hopper-v5`.
    """
    name = re.fullmatch(r"(?:gymnasium(?:\.[\w.]+)?:)?([A-Za-z0-9]+)-v\d+", env)
    tuned = _TUNED[kind].get(name[1], {}) if name else {}
    return {**_MUJOCO_DEFAULTS[kind], **tuned}


def settings_for(
    kind: str,
    env: str,
    decisions: int,
    utd: float = 1.0,
    pictures: bool = False,
    episode_limit: int | None = None,
) -> dict[str, Any]:
    """The settings of a run of `decisions`: those published, with warm-up at most a tenth of the run.

    Args:
        kind: one of `KINDS`.
        env: the id.
        decisions: length of the run.
        utd: gradient steps per decision, for a kind in `WITH_REPLAY`.
        pictures: whether pictures are observed.
        episode_limit: decisions of an episode; None where nothing limits it.

    Raises:
        ConfigError: for a fraction of a gradient step, and for none.
    """
    settings = published(kind, env)
    if pictures:
        own = _PICTURES.get(kind)
        settings = dict(own) if own is not None else settings | _PICTURES_OF_OTHERS
    if kind == GOAL_CONDITIONED:
        fewest, most = _HINDSIGHT_ROWS
        settings["buffer_size"] = min(most, max(fewest, decisions))
        if episode_limit is not None and episode_limit > 1:
            settings["gamma"] = 1.0 - 1.0 / episode_limit
    if "learning_starts" in settings:
        settings["learning_starts"] = min(settings["learning_starts"], max(100, decisions // 10))
    if utd != 1.0 and kind in WITH_REPLAY:
        if utd < 1.0 or utd != int(utd):
            raise ConfigError(f"learning.utd: found {utd:g}; {kind} takes a whole number from 1 on")
        settings["gradient_steps"] = int(utd)
    return settings


def check_pictures(kind: str, spec: EnvSpec) -> None:
    """Checks that an algorithm can take the pictures of an environment, where it has any.

    Raises:
        ConfigError: for a kind that takes none, and for pictures that the library's convolutions do not.
    """
    from agent.memory.columns import is_picture  # it imports NumPy, and threads are set before that

    for part in spec.observation:
        if not is_picture(part):
            continue
        if kind not in WITH_PICTURES:
            raise ConfigError(f"agent: {kind} takes no pictures; {', '.join(('joule', *WITH_PICTURES))} do")
        channels, height, width = part.shape
        if min(height, width) < max(SMALLEST_PICTURE, channels):
            raise ConfigError(
                f"obs: found pictures of {height} x {width} with {channels} channels; {kind} takes them from "
                f"{SMALLEST_PICTURE} pixels a side on, and with no more channels than that"
            )


def check_goal(kind: str, spec: EnvSpec) -> None:
    """Checks that the goal is observed by the algorithm that is told it, and by no other.

    Raises:
        ConfigError: where it is not.
    """
    observed = any(part.name == "desired_goal" for part in spec.observation)
    if kind == GOAL_CONDITIONED and not observed:
        raise ConfigError(
            f"obs: {kind} observes {STATE_AND_GOAL}, and this environment was made without its goal; make it by "
            f"joule.make_env(id, obs={STATE_AND_GOAL!r})"
        )
    if kind != GOAL_CONDITIONED and observed:
        raise ConfigError(
            f"obs: found {STATE_AND_GOAL}, which {kind} does not learn from; {GOAL_CONDITIONED} does"
        )
