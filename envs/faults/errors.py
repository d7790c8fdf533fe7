"""The errors of environments: exceptions with one sentence for the user, and the texts that they quote."""

from __future__ import annotations

from typing import Any

from joule_errors import Refused, Stopped
from joule_errors.user_code import one_line, raised


class EnvError(Refused):
    """A request that cannot be met: an unknown id, an action space that is no Box, a bad perturbation."""


class RenderError(Refused):
    """A frame or a video that cannot be made; the sentence says what to install or to set."""


class FilmNotWritten(RenderError):
    """A video that could be made and not be written, as on a full disk."""

    exit_code = Stopped.exit_code


class Misbehaviour(Exception):
    """What an environment's own code did in place of its work; the text continues a sentence such as "step ..."."""


class EnvFailure(Stopped):
    """An environment failed while running; what was learned before is sound."""


class EnvFault(EnvFailure):
    """An environment that broke its contract while running. The run must stop; the sentence says where.

    Args:
        cause: what went wrong.
        env: the id that the user gave.
        seed: of the last seeded reset, or None.
        episode: number of the episode, from 0.
        step: simulator frames taken in the episode, this one included.
        action: what was sent to the environment, or None.
    """

    def __init__(
        self, cause: str, *, env: str, seed: int | None, episode: int, step: int, action: Any = None
    ) -> None:
        self.env, self.seed, self.episode, self.step, self.action = env, seed, episode, step, action
        self.cause = cause
        sent = "" if action is None else f", action {_short(action)}"
        super().__init__(
            f"{env} failed at episode {episode}, step {step} "
            f"(seed {'unset' if seed is None else seed}{sent}): {cause}"
        )


def _short(action: Any) -> str:
    """An action as text of at most 120 characters."""
    text = " ".join(str(action).split())
    return text if len(text) <= 120 else text[:117] + "..."


def described(error: BaseException) -> str:
    """What the call did that raised `error`, on one line: it continues a sentence such as "step ..."."""
    return one_line(error) if isinstance(error, Misbehaviour) else raised(error)
