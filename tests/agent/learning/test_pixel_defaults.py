"""What pictures change of the defaults of learning."""

from agent.configurator.settings import Config, ModelConfig
from agent.networks import Networks
from envs.env_spec import ObservationPart


def test_what_pictures_change_of_the_defaults_of_learning() -> None:
    picture = ObservationPart("pixels", (3, 32, 32), "uint8")
    state = ObservationPart("state", (5,), "float32")
    for parts, sees in (((picture,), True), ((picture, state), True), ((state,), False)):
        networks = Networks(parts, 2, 3, Config(model=ModelConfig(latent_dim=16, hidden_dim=32)))
        assert (networks.inverse is not None) == sees
        found = networks.inverse_weight, networks.encoder_learning_rate
        assert found == ((1.0, 1e-3) if sees else (0.0, 3e-4))
