"""Agents by the name of their kind."""

from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import Agent, BodyFacts, TrainingEnv


def new_agent(config: Config, env: TrainingEnv) -> Agent:
    """A new, untrained agent of the kind `config.agent`, living in `env`.

    Raises ConfigError for one that is to infer its sensors by a model that it has yet to learn.
    """
    if config.perceive == "energy":
        raise ConfigError(
            "perceive: energy is for a trained agent; learn with encoder, then evaluate.py --perceive energy"
        )
    return build_agent(config, env.facts, env)


def build_agent(config: Config, facts: BodyFacts, env: TrainingEnv | None) -> Agent:
    match config.agent:
        case "joule":
            from agent.agent import Joule

            return Joule(facts, config, env)
        case "random" | "zero":
            from joule.baselines.trivial import Floor

            return Floor(facts, config, env)
        case _:
            from joule.baselines.stable_baselines import Baseline

            return Baseline(facts, config, env)
