"""The options that a user may have meant by one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

OTHER_NAMES = {
    "algo": "agent",
    "buffer-size": "learning.replay-capacity-transitions",
    "env-id": "env",
    "eval-freq": "eval-every-frames",
    "lr": "learning.learning-rate",
    "n-envs": "num-envs",
    "num-steps": "steps",
    "num-timesteps": "steps",
    "out": "storage",
    "timesteps": "steps",
    "total-steps": "steps",
    "total-timesteps": "steps",
}
"""What stable-baselines3, CleanRL and others, or another command, call an option -> what this one calls it."""
_ALIKE = 0.7
"""Similarity, from 0 to 1, from which on an option is suggested."""
_TYPO = 0.85
"""Similarity from which on one name is the other, with a letter wrong."""
_SHORTEST = 3
"""Letters of a name that may be the beginning of another one, such as `--out` of `--output`."""
_MOST = 3
"""Suggestions for a name that several options have, such as `kind`."""


def nearest_options(name: str, known: Iterable[str]) -> list[str]:
    """The options that `name` may stand for, best first; empty where none is like it.

    Args:
        name: as the user typed it, such as `--batch_size`.
        known: the options of the command, such as `--learning.batch-size`.
    """
    typed = name.lstrip("-").replace("_", "-").lower()
    section, _, leaf = typed.rpartition(".")
    options = {option.lstrip("-"): option for option in known if option.startswith("--")}
    if not typed.startswith("no-"):
        options = {key: option for key, option in options.items() if not key.startswith("no-")}
    meant = OTHER_NAMES.get(leaf, "")
    if meant in options:
        return [options[meant]]
    if any(key.startswith(f"{section}.") for key in options):
        options = {key: option for key, option in options.items() if key.startswith(f"{section}.")}
    elif section:
        return _most_alike(typed, options)
    leaves = {option: key.rpartition(".")[2] for key, option in options.items()}
    of_leaf = {of: option for option, of in leaves.items()}
    related = (
        [option for option, of in leaves.items() if of == leaf],
        _most_alike(leaf, of_leaf, _TYPO),
        [option for option, of in leaves.items() if of.startswith(f"{leaf}-") and len(leaf) >= _SHORTEST],
        [option for option, of in leaves.items() if leaf.startswith(of) and len(of) >= _SHORTEST],
        _most_alike(leaf, of_leaf),
        [] if section else _most_alike(typed, options),
    )
    return next((found[:_MOST] for found in related if found), [])


def _most_alike(typed: str, options: Mapping[str, str], alike: float = _ALIKE) -> list[str]:
    """The option of the name most like `typed`, if it is so much like it."""
    likeness = {key: difflib.SequenceMatcher(None, typed, key).ratio() for key in options}
    best = max(likeness, key=likeness.__getitem__, default="")
    return [options[best]] if likeness.get(best, 0.0) >= alike else []
