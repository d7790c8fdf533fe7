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

`learning.utd` sets the gradient steps per decision of the algorithms with a replay buffer; rl-zoo publishes 1 for
each of them. Every other setting stays as published.
"""

from __future__ import annotations

import re
from typing import Any

from agent.errors import ConfigError

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
}

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

KINDS = tuple(_MUJOCO_DEFAULTS)
"""The algorithms."""
WITH_REPLAY = tuple(kind for kind in KINDS if kind != "ppo")
"""Those that learn from a replay buffer, whose gradient steps per decision can be chosen."""


def published(kind: str, env: str) -> dict[str, Any]:
    """rl-zoo's settings of an algorithm for an environment; the table above states the rule.

    Args:
        kind: one of `KINDS`.
        env: the id, such as `Hopper-v5`.
    """
    name = re.fullmatch(r"([A-Za-z0-9]+)-v\d+", env)
    tuned = _TUNED[kind].get(name[1], {}) if name else {}
    return {**_MUJOCO_DEFAULTS[kind], **tuned}


def settings_for(kind: str, env: str, decisions: int, utd: float = 1.0) -> dict[str, Any]:
    """The settings of a run of `decisions`: those published, with warm-up at most a tenth of the run.

    Args:
        kind: one of `KINDS`.
        env: the id.
        decisions: length of the run.
        utd: gradient steps per decision, for a kind in `WITH_REPLAY`.

    Raises:
        ConfigError: for a fraction of a gradient step, and for none.
    """
    settings = published(kind, env)
    if "learning_starts" in settings:
        settings["learning_starts"] = min(settings["learning_starts"], max(100, decisions // 10))
    if utd != 1.0 and kind in WITH_REPLAY:
        if utd < 1.0 or utd != int(utd):
            raise ConfigError(f"learning.utd: found {utd:g}; {kind} takes a whole number from 1 on")
        settings["gradient_steps"] = int(utd)
    return settings
