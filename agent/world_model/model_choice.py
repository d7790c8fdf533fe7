"""Which model of the bank is in use: tests of every step for a change, a late action, or a known model that fits.

What a step brings is compared with what was predicted. The tests are calibrated on what is usual without a
change (`agent.world_model.change_detection`).
"""

from __future__ import annotations

import logging
import math

import numpy as np

from agent.world_model.change_detection import (
    FEWEST_DECISIONS,
    LARGEST_STEP,
    ChangeDetectionError,
    ChangeDetector,
    ErrorCalibration,
    calibrate,
)
from agent.world_model.delay import Delay
from agent.world_model.home_episodes import HomeEpisodes
from agent.world_model.known_model import CALIBRATED_AFTER_DECISIONS
from agent.world_model.model_bank import ModelBank
from agent.world_model.signals import Alarm, Signals

log = logging.getLogger(__name__)

MEAN_RATE = 0.05
"""Rate at which the mean standardised error follows: some twenty decisions."""


class ModelChoice:
    """Tests every step. Where another model of the bank predicts better it is used, and on an alarm a new one.

    Args:
        bank: the models. The first one is calibrated.
        delay: by how many decisions actions are late, in the world of the first model.
        decisions_per_alarm: the wanted rate of false alarms.
    """

    def __init__(self, bank: ModelBank, delay: Delay, decisions_per_alarm: float) -> None:
        self.bank, self.delay, self.decisions_per_alarm = bank, delay, decisions_per_alarm
        self.signals: Signals | None = None
        """What watches for a change of the known world; None before `calibrate_at`: then only errors do."""
        self.change_detector: ChangeDetector | None = ChangeDetector(self.usual_errors.threshold)
        """Of the errors of the model in use; None while its usual errors are not known."""
        self.standardised_error = 0.0
        """Of the newest step, by the model in use; 0 while its usual errors are not known."""
        self.mean_error = 0.0
        """Its mean over the last decisions; by the first model's calibration where no other is known."""

    @property
    def usual_errors(self) -> ErrorCalibration:
        """What is usual for the model of training."""
        calibration = self.bank.first.calibration
        assert calibration is not None
        return calibration

    @property
    def in_first_world(self) -> bool:
        """Whether the model of training is in use."""
        return self.bank.in_use is self.bank.first

    def calibrate_at(self, home: HomeEpisodes) -> None:
        """Lets all signals watch, calibrated on episodes in the known world.

        Raises:
            ChangeDetectionError: for episodes that do not tell what is usual.
        """
        self.signals = Signals(home, self.decisions_per_alarm)
        self.bank.usual_return = home.usual_return

    def step(
        self, errors: list[tuple[float, float]], late: list[tuple[float, float]], alarm: Alarm | None
    ) -> bool:
        """Tests the newest step, and learns what is usual in a new world.

        Args:
            errors: error and disagreement of the step, by every model of the bank.
            late: those of the model of training for each of `Delay.others`.
            alarm: of the signals.

        Returns:
            Whether another model, or another delay, is in use from now on.
        """
        changed = self.detect_delay(errors, late) or self.detect(errors, alarm)
        known = self.bank.in_use
        enough = len(known.recent) >= CALIBRATED_AFTER_DECISIONS
        if not self.in_first_world and enough and len(known.rows) % FEWEST_DECISIONS == 0:
            self.calibrate_in_use()
        return changed

    def detect_delay(self, errors: list[tuple[float, float]], late: list[tuple[float, float]]) -> bool:
        """Whether actions take effect earlier or later from now on. Arguments as `step`."""
        delay = self.delay.better(errors[self.bank.position][0], late, self.usual_errors)
        if delay is None:
            return False
        self.bank.delayed(delay, self.delay.use(delay))
        self.watch_anew()
        return True

    def detect(self, errors: list[tuple[float, float]], alarm: Alarm | None = None) -> bool:
        """Switches to another model where it predicts better, or begins a new one on an alarm.

        Args:
            errors: as `step`.
            alarm: of the signals, which watch while the first model is in use.

        Returns:
            Whether another model is in use from now on.
        """
        position = self.bank.position
        standardised = [
            0.0 if known.calibration is None else float(known.calibration.standardise(*pair))
            for known, pair in zip(self.bank.models, errors, strict=True)
        ]
        self.standardised_error = standardised[position]
        self.follow(errors[position])
        # The model of a changed world is calibrated on steps in which its own networks act.
        acts_kept = self.bank.weights.acts_kept
        ignored = acts_kept or (self.signals is not None and self.in_first_world)
        detector = self.change_detector
        if detector is not None and not ignored and detector.update(self.standardised_error):
            alarm = Alarm("errors", max(1, detector.since))
        if (known := self.bank.better(errors, standardised)) is not None:
            self.bank.switch_to(known)
        elif alarm is not None:
            self.bank.follow(alarm)
        else:
            return False
        self.delay.use(0)
        self.watch_anew()
        return True

    def follow(self, newest: tuple[float, float]) -> None:
        """Averages the errors of the model in use; `newest` is that of one step, and the disagreement there."""
        calibration = self.bank.in_use.calibration or self.usual_errors
        error = float(calibration.standardise(*newest))
        if math.isfinite(error):
            error = min(max(error, -LARGEST_STEP), LARGEST_STEP)
            self.mean_error += MEAN_RATE * (error - self.mean_error)

    def calibrate_in_use(self) -> None:
        """Calibrates the model in use on its newest steps."""
        known = self.bank.in_use
        _, errors, disagreements = np.array(known.recent).T
        try:
            known.calibration = calibrate(errors, disagreements, self.decisions_per_alarm)
        except ChangeDetectionError as why:
            log.warning("no further change is detected from model %d: %s", known.number, why)
            return
        before, self.change_detector = self.change_detector, ChangeDetector(known.calibration.threshold)
        if before is not None:  # a change that has begun is not forgotten
            self.change_detector.level, self.change_detector.since = before.level, before.since

    def watch_anew(self) -> None:
        """Another model is in use: what was noticed before was of the one before it."""
        if self.signals is not None:
            self.signals.watch_anew()
        calibration = self.bank.in_use.calibration
        self.change_detector = None if calibration is None else ChangeDetector(calibration.threshold)
        self.delay.watch_anew()
        if not self.bank.events[-1].new:  # the model of one that was known is known to hold
            self.mean_error = 0.0
