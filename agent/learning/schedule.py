"""Numbers that follow from the length and progress of a run: the discount, rows, updates and planned episodes."""

import math

from agent.configurator.settings import ExploreConfig, LearningConfig

HORIZONS = 5.0
"""Horizons an episode, 1 / (1 - discount) each: Hansen et al. 2024, appendix on hyperparameters."""


def discount_for(
    episode_decisions: int | None, learning: LearningConfig, terminates: bool, updates: int
) -> float:
    """The discount per decision that suits an episode's length.

    It gives an episode so many horizons, and lies between 0.95 and a largest one, which it also is without a limit.

    Args:
        episode_decisions: the limit of an episode's length; None without one.
        learning: the settings.
        terminates: whether an episode has ended by termination. A horizon is then, after some learning, half of the
            episode: with a shorter one, a dash of a few hundred decisions that ends in a fall is worth more than a
            steady gait.
        updates: gradient steps that were made.
    """
    horizons, largest = HORIZONS, learning.max_discount
    if terminates:
        horizons, largest = learning.horizons_terminating, learning.max_discount_terminating
        if updates < learning.horizons_terminating_from_updates:
            # The longest horizon is then shorter too, in the same ratio.
            horizons, largest = HORIZONS, max(0.0, 1.0 - (1.0 - largest) * HORIZONS / horizons)
    if episode_decisions is None:
        return largest
    share = episode_decisions / horizons
    return min(max((share - 1) / share, 0.95) if share > 1 else 0.95, largest)


def rate_share(updates: int, steps: int, at_end: float) -> float:
    """The share of the learning rates with which a run of so many gradient steps takes the next one.

    It falls from 1 to `at_end` along half a cosine (Loshchilov and Hutter 2017, without restarts).
    """
    return at_end + (1.0 - at_end) * half_cosine(min(updates / steps, 1.0))


def half_cosine(progress: float) -> float:
    """From 1 to 0 as `progress` goes from 0 to 1."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def rows_for(steps: int, streams: int = 1) -> int:
    """Rows that a budget of frames can fill at most in each stream of the replay buffer.

    One decision a frame, where every episode ends after one, and as many last rows. Rows that are not written
    take no memory.

    Args:
        steps: the budget, over all streams. The last decision, in every environment, may exceed it.
        streams: environments that are stepped side by side.
    """
    decisions = -(-steps // streams)
    return 2 * (decisions + 1) + 2


def updates_due(decisions: int, transitions: int, explore: ExploreConfig, learning: LearningConfig) -> float:
    """Gradient steps that a decision adds.

    None in warm-up, a pre-training at its end, and then the update-to-data ratio, which begins higher: early
    updates still change what is tried next.

    Args:
        decisions: taken so far, this one included.
        transitions: held in the replay buffer.
    """
    if decisions < explore.warmup_decisions or transitions == 0:
        return 0.0
    if decisions == max(explore.warmup_decisions, 1):
        return float(learning.pretrain_updates)
    fades = max(0.0, 1.0 - decisions / learning.initial_utd_decisions)
    return learning.utd + (learning.initial_utd - learning.utd) * fades


def is_broken_off(decisions: int, episode_decisions: int, explore: ExploreConfig) -> bool:
    """Whether a training episode is broken off, as if its time were up.

    Early episodes are short. In a long one a robot that has fallen over stays where it fell, and most of what it
    learns from is of there: it may learn a way to move on its back before it has tried to run.

    Args:
        decisions: taken so far.
        episode_decisions: those of the episode.
    """
    return (
        decisions < explore.short_episodes_until_decisions
        and episode_decisions >= explore.short_episode_decisions
    )


def is_planned(decisions: int, episode: int, explore: ExploreConfig) -> bool:
    """Whether a decision of training is planned.

    A young model promises too much to a planner, and the policy costs little. But planned actions must also
    be executed in training; otherwise planning exploits model errors that the data never corrects.

    Args:
        decisions: taken so far.
        episode: number of the episode, from 0.
    """
    start = explore.plan_from_decisions
    return start is not None and decisions >= start and episode % explore.plan_every_episodes == 0
