"""Sensor-fault inference that is calibrated anew after each update of the networks."""

import numpy as np
import torch
from jaxtyping import Bool, Float

from agent.errors import ConfigError
from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.perception.sensor_belief import Belief
from agent.perception.sensor_faults import SensorFaultInference


class CalibratedSensors:
    """The sensor-fault inference of one agent."""

    def __init__(self) -> None:
        self._inference: SensorFaultInference | None = None
        self.calibrated_at = -1
        """Updates of the networks at the calibration; another number has it made anew."""

    def are_calibrated(self, updates: int) -> bool:
        """Whether there is a calibration, of the networks after so many updates."""
        return self._inference is not None and self.calibrated_at == updates

    def calibrate(self, networks: Networks, replay_buffer: ReplayBuffer, updates: int) -> None:
        """Learns from the replay buffer what the sensors usually read.

        Args:
            networks: normaliser, encoder and world model.
            replay_buffer: transitions collected with healthy sensors.
            updates: of the networks so far.

        Raises:
            ConfigError: where the replay buffer holds too little, or the sensors cannot be inferred.
        """
        try:
            self._inference = SensorFaultInference(networks, replay_buffer)
        except ValueError as error:
            raise ConfigError(f"perceive: energy {error}") from None
        self.calibrated_at = updates

    def infer(
        self,
        obs: Float[np.ndarray, "batch obs"],
        belief: Belief | None,
        action: Float[torch.Tensor, "batch act"] | None,
        starts: Bool[np.ndarray, "batch"],
    ) -> Belief:
        """The observations that the sensors should have read; they must be calibrated.

        Args:
            obs: what they read.
            belief: about the observations before; None where an episode begins.
            action: that was taken since; None likewise.
            starts: marks environments whose episode begins.
        """
        assert self._inference is not None, "infers after a calibration"
        rows = torch.from_numpy(np.array(obs, np.float32))  # a copy: the belief keeps it
        return self._inference(rows, belief, action, torch.from_numpy(starts))
