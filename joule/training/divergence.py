"""Decisions whose physics diverged: an agent learns nothing from them, and the user should know their number."""

from __future__ import annotations

from agent.interface import DIVERGED_DECISIONS, Trainable

LARGEST_SHARE, FEWEST_DECISIONS = 0.01, 100
"""A larger share of at least so many decisions is worth a warning."""


def diverged_decisions(agent: Trainable) -> int:
    """Decisions of training from which nothing was learned."""
    return int(agent.metrics.get(DIVERGED_DECISIONS, 0))


def in_evaluation(diverged: int, episodes: int) -> str:
    """A sentence on episodes of an evaluation whose physics diverged."""
    return (
        f"the physics diverged in {diverged:,} of {episodes:,} evaluation episodes: they ended there, and so do "
        "their returns; summary.json counts them as diverged_evaluation_episodes"
    )


def divergence_warning(agent: Trainable) -> str | None:
    """A sentence where the physics diverges often, or None."""
    diverged, decisions = diverged_decisions(agent), agent.decisions
    if decisions < FEWEST_DECISIONS or diverged <= LARGEST_SHARE * decisions:
        return None
    return (
        f"the physics diverged in {diverged:,} of {decisions:,} decisions ({diverged / decisions:.1%}), and "
        "nothing is learned from these; a smaller time step of the simulation or narrower bounds of the actions "
        "may prevent it"
    )
