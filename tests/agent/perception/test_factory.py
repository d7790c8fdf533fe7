"""The encoder follows from the parts of an observation; another kind is a class and a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agent.agent import WorldModelAgent
from agent.configurator.settings import ModelConfig
from agent.errors import ConfigError
from agent.interface import ObservationPart as AnyPart
from agent.perception import factory
from agent.perception.encoder import Encoder, SensorEncoder
from agent.perception.factory import PixelEncoding, StateEncoding, encoder_kind
from agent.perception.normalizer import Normalizer
from agent.perception.regularizers import Sensors, SimNorm
from envs.env_spec import ObservationPart

STATE, CAMERA = ObservationPart("state", (3,), "float32"), ObservationPart("camera", (8, 8, 3), "uint8")


def test_a_flat_state_is_encoded_and_anything_else_is_refused_by_name() -> None:
    assert isinstance(encoder_kind([STATE]), StateEncoding)
    with pytest.raises(ConfigError, match=r"depth \[8, 8, 3\] float32"):
        encoder_kind([STATE, ObservationPart("depth", (8, 8, 3), "float32")])


def test_sensors_are_latents_as_they_are() -> None:
    encoder = StateEncoding().encoder([STATE], ModelConfig(latent_dim=5), Sensors())
    assert isinstance(encoder, SensorEncoder)
    assert list(encoder.parameters()) == []
    rows = torch.tensor([[[1.0, -2.0, 30.0]]])
    assert encoder(rows).tolist() == [[[1.0, -2.0, 30.0, 0.0, 0.0]]]
    with pytest.raises(
        ConfigError, match=r"model\.latent_dim: 2 is less than the 3 numbers of an observation"
    ):
        StateEncoding().encoder([STATE], ModelConfig(latent_dim=2), Sensors())
    with pytest.raises(ConfigError, match=r"regularizer\.kind: sensors .* observes pictures"):
        PixelEncoding().encoder([ObservationPart("pixels", (3, 48, 48), "uint8")], ModelConfig(), Sensors())


class CameraNormalizer(nn.Module):
    """Normalises the state; a few pixels become numbers in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Normalizer(3)

    def update(self, obs: Mapping[str, Tensor]) -> None:
        assert obs["camera"].dtype == torch.uint8
        self.state.update(obs["state"])

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        pixels = obs["camera"][..., :4, 0, 0].float() / 255.0
        return torch.cat((self.state(obs["state"]), pixels), -1)


class CameraEncoding:
    """A double of an encoder for two parts."""

    def accepts(self, parts: Sequence[AnyPart]) -> bool:
        return [one.name for one in parts] == ["state", "camera"]

    def normalizer(self, parts: Sequence[AnyPart], model: ModelConfig) -> nn.Module:
        return CameraNormalizer()

    def encoder(self, parts: Any, model: ModelConfig, regularizer: Any) -> nn.Module:
        return Encoder(7, model.hidden_dim, model.latent_dim, regularizer)


class CameraEnv:
    """The tiny environment, observed through a state and a picture."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.env_spec = replace(env.env_spec, observation=(STATE, CAMERA))

    def _observe(self, obs: np.ndarray) -> dict[str, np.ndarray]:
        picture = np.zeros((8, 8, 3), np.uint8)
        picture[:4, 0, 0] = np.clip(100 + 50 * obs[0], 0, 255)
        return {"state": obs, "camera": picture}

    def reset(self, *, seed: int | None = None) -> Any:
        obs, info = self.env.reset(seed=seed)
        return self._observe(obs), info

    def step(self, action: np.ndarray) -> Any:
        obs, *rest = self.env.step(action)
        return self._observe(obs), *rest

    def readouts(self) -> np.ndarray:
        found: np.ndarray = self.env.readouts()
        return found

    def snapshot(self) -> dict[str, Any]:
        found: dict[str, Any] = self.env.snapshot()
        return found

    def restore(self, snapshot: dict[str, Any]) -> bool:
        return bool(self.env.restore(snapshot))

    def close(self) -> None:
        self.env.close()


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_an_agent_learns_from_two_parts_in_their_own_dtypes(
    make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "ENCODERS", [*factory.ENCODERS, CameraEncoding()])
    plain = make_agent(explore__warmup_decisions=40, learning__pretrain_updates=5)
    env: Any = CameraEnv(plain.env)
    agent = WorldModelAgent(env.env_spec, plain.config, env)
    agent.learn(60)
    buffer = agent.modules.replay_buffer
    assert isinstance(buffer.obs, dict)
    dtypes = {name: column.dtype.name for name, column in buffer.obs.items()}
    assert dtypes == {"state": "float32", "camera": "uint8"}
    assert agent.modules.learner.updates > 20
    obs, _ = env.reset(seed=1)
    action, _ = agent.predict(obs)
    assert action.shape == (1,)
    assert agent.imagine(obs, np.zeros((2, 1), np.float32)).shape == (3, agent.modules.readouts_size)
    arrays, meta = agent.state_dict()
    again = WorldModelAgent(env.env_spec, plain.config, env)
    for rows, own in zip(again.replay, agent.replay, strict=True):
        rows.restore(own.since(own.first), own.total)
    again.load_state_dict(arrays, meta)
    np.testing.assert_array_equal(again.predict(obs)[0], action)


class WrongEncoding(CameraEncoding):
    """Encoders that break the contract."""

    def __init__(self, make: Callable[..., nn.Module]) -> None:
        self.make = make

    def encoder(self, parts: Any, model: ModelConfig, regularizer: Any) -> nn.Module:
        return self.make(7, model.latent_dim)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda size, latent: nn.Linear(size, latent + 1),
            r"Linear gave \[2, 3, 129\] where latents are",
        ),
        (lambda size, latent: nn.Linear(size + 1, latent), "Linear raised RuntimeError for observations"),
        (lambda size, latent: nn.Flatten(0, -2), r"Flatten gave \[6, 7\]"),
        (nn.Linear, r"Linear gave latents that are not those of .* must be regularizer\.project"),
    ],
)
def test_an_encoder_that_breaks_the_contract_is_refused_before_it_learns(
    make: Callable[..., nn.Module], message: str
) -> None:
    kind = WrongEncoding(make)
    parts = [STATE, CAMERA]
    model = ModelConfig()
    built = kind.encoder(parts, model, None)
    with pytest.raises(ConfigError, match=message):
        factory.check_encoder(kind, parts, kind.normalizer(parts, model), built, model.latent_dim, SimNorm())


def test_a_class_among_the_kinds_of_encoders_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "ENCODERS", [CameraEncoding])
    with pytest.raises(
        ConfigError, match=r"CameraEncoding is a class; put an instance there, CameraEncoding\(\)"
    ):
        encoder_kind([STATE])
