"""Snapshots of an environment in mid-episode: everything its future depends on, as arrays and JSON values.

The environment inside all wrappers is saved and restored by its record. Around it lie the checks, the time limit
and the perturbations, each with a state of its own. Whatever a restore repeats must give the same observation and
the same rewards, to the last bit. Where it does not, the restore says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.changes.factors import parse
from envs.changes.perturbation import Perturbed, history_of
from envs.faults.checks import FaultChecks
from envs.faults.errors import described
from envs.physics import log
from envs.state.episode_record import EpisodeRecord
from envs.state.python_state import set_rng, to_json
from envs.wrappers import Flat
from joule_schema.arrays import under

SameMoment = Callable[[np.ndarray, Mapping[str, Any]], bool]
"""(the flat observation [obs] that repeated steps led to, the snapshot) -> whether it is the saved one."""


class Snapshots:
    """Saves the open episode of an environment, and goes back to it.

    Args:
        perturbed: the wrapper that perturbs.
        checks: the wrapper that checks, below it.
        flat: the wrapper that flattens, below that one.
        record: the wrapper that records the episode, the innermost one.
    """

    def __init__(self, perturbed: Perturbed, checks: FaultChecks, flat: Flat, record: EpisodeRecord) -> None:
        self._perturbed, self._checks, self._flat, self._record = perturbed, checks, flat, record
        self._limit = perturbed.env if isinstance(perturbed.env, gymnasium.wrappers.TimeLimit) else None

    def save(self) -> dict[str, Any]:
        """The moment of now, of an episode that has begun.

        Raises:
            EnvFault: where the environment cannot be saved.
        """
        try:
            record = self._record.save()
        except Exception as error:
            raise self._checks.fault(described(error)) from error
        saved: dict[str, Any] = {
            "true_observation": self._checks.observation.copy(),
            "flat_observation": self._flat.observation.copy(),
            # Gymnasium's TimeLimit has no public counter.
            "elapsed": None if self._limit is None else self._limit._elapsed_steps,
            "sensor_rng": to_json(self._perturbed.rng.bit_generator.state),
        }
        saved |= {f"perturbed/{name}": value for name, value in self._perturbed.state().items()}
        return saved | {f"record/{name}": value for name, value in record.items()}

    def check(self, saved: Mapping[str, Any]) -> None:
        """Checks the states of the perturbations and of the record, and changes nothing.

        Raises:
            SchemaError: where they are not those of this environment.
            EnvError: for a perturbation that is malformed or has nothing to act on here.
        """
        self._perturbed.check_state(under("perturbed/", saved))
        self._record.check(under("record/", saved))

    def restore(self, saved: Mapping[str, Any], same: SameMoment) -> bool:
        """Goes back to what `save` gave.

        Args:
            saved: the snapshot, checked.
            same: whether a moment is the saved one.

        Returns:
            False where it could not be restored to the last bit. Then the random generators alone are restored.
        """
        why = self._restored(saved, same)
        set_rng(self._perturbed.rng, saved["sensor_rng"])
        if why:
            log.warning("%s: the episode could not be restored: the environment %s", self._checks.name, why)
            return False
        self._checks.observation = np.array(saved["true_observation"], np.float32)
        if self._limit is not None:
            # A run that is resumed with a limit may not have had one.
            elapsed = saved["elapsed"]
            self._limit._elapsed_steps = saved["checks"]["frame"] if elapsed is None else elapsed
        return True

    def _restored(self, saved: Mapping[str, Any], same: SameMoment) -> str:
        """Tries the ways of the record. Returns why the last one failed, or an empty text; see `_tried`."""
        record, why = under("record/", saved), ""
        for by_state in self._record.ways(record):
            if not (why := self._tried(record, saved, by_state, same)):
                break
        return why

    def _tried(
        self, record: dict[str, Any], saved: Mapping[str, Any], by_state: bool, same: SameMoment
    ) -> str:
        """Tries one of the record's ways. Returns why it failed, as the end of a sentence, or an empty text."""
        perturbed = under("perturbed/", saved)
        history = history_of(perturbed)
        if by_state:  # the last step alone is repeated
            history = {0: tuple(parse(text) for text in perturbed["at_last_step"])}

        def before_step(number: int) -> None:
            if number in history:
                self._perturbed.set_active(history[number])

        self._perturbed.clear()
        try:
            first = self._record.reset_as(record)
            self._perturbed.find_model()
            last = self._record.replay(record, by_state, before_step)
            observation = self._flat.observe(first if last is None else last)
        except Exception as error:  # noqa: BLE001  the user's environment may raise anything
            return described(error)
        self._perturbed.load_state(perturbed)
        self._checks.monitor_physics()
        restored = same(observation, saved)
        return "" if restored else "gave another observation when its steps were repeated"
