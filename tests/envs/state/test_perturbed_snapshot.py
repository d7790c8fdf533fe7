"""Where an episode is restored by its actions, perturbations begin and end at their frames again."""

from __future__ import annotations

from typing import Any

import control_env
import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from same_future import ALL_KINDS, assert_same_future, future, through_a_file

import envs


def cheetah_with_a_wrapper_of_its_own() -> gymnasium.Env[Any, Any]:
    """The wrapper might keep anything between the steps, so that the actions are replayed."""
    return gymnasium.wrappers.TransformReward(HalfCheetahEnv(), lambda reward: 2 * float(reward))


WRAPPED = "WrappedCheetah-v0"
gymnasium.register(WRAPPED, f"{__name__}:cheetah_with_a_wrapper_of_its_own", max_episode_steps=50)


@pytest.mark.parametrize("perturb", [["mass=1.5@5"], ALL_KINDS])
def test_changes_of_physics_in_mid_episode_are_replayed_at_their_frames(perturb: list[str]) -> None:
    assert_same_future(WRAPPED, moments=(0, 3, 5, 30), steps=30, perturb=perturb)
    assert_same_future(WRAPPED, moments=(4, 9), steps=30, perturb=perturb, action_repeat=2)


def test_changes_in_mid_episode_of_dm_control_in_an_environment_of_the_users_own() -> None:
    pytest.importorskip("dm_control")
    perturb = ["mass=1.5@5", "gravity=0.5@12", "noise=0.01@8"]
    assert_same_future(control_env.ID, moments=(3, 5, 30), steps=20, perturb=perturb)


def test_perturbations_by_hand_are_replayed_at_their_frames_and_undone_there() -> None:
    env, other = envs.make(WRAPPED), envs.make(WRAPPED)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for change in ("gravity=0.2", "mass=2", None, "dead=1"):
        future(env, 6, rng)
        if change is None:
            env.unperturb()
        else:
            env.perturb(change)
        assert other.restore(through_a_file(env.snapshot()))
        assert other.perturbations == env.perturbations
    future(env, 3, rng)
    assert other.restore(through_a_file(env.snapshot()))
    assert envs.make(WRAPPED).restore(through_a_file(other.snapshot()))
    assert future(other, 40, np.random.default_rng(1)) == future(env, 40, np.random.default_rng(1))


@pytest.mark.parametrize(("name", "exact"), [("HalfCheetah-v5", True), (WRAPPED, False)])
def test_a_snapshot_of_an_earlier_version_does_not_say_when_a_perturbation_began(
    name: str, exact: bool
) -> None:
    env = envs.make(name, perturb=["mass=1.5@5"])
    env.reset(seed=0)
    future(env, 9, np.random.default_rng(0))
    saved = through_a_file(env.snapshot())
    del saved["perturbed/history"]
    assert envs.make(name, perturb=["mass=1.5@5"]).restore(saved) is exact


def test_a_perturbation_of_the_whole_episode_needs_no_history() -> None:
    env = envs.make(WRAPPED, perturb=["mass=1.5"])
    env.reset(seed=0)
    future(env, 9, np.random.default_rng(0))
    saved = through_a_file(env.snapshot())
    assert "perturbed/history" not in saved
    assert envs.make(WRAPPED, perturb=["mass=1.5"]).restore(saved)
