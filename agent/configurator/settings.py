"""CONFIGURATOR: every setting of a run, its range, and the presets.

LeCun's configurator primes the other modules for the task at hand (A Path Towards Autonomous
Machine Intelligence, 2022, section 3.1.2). Here it is the only place that holds settings: a frozen,
typed tree that the command line fills, `config.json` stores, and each module receives its own
values from. This file imports neither torch nor mujoco, so `--help` and every refusal are instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AgentKind = Literal["joule", "sac", "td3", "ppo", "tqc", "crossq", "random", "zero"]
RegularizerKind = Literal["simnorm", "ema", "vicreg", "sigreg", "none"]
PlannerKind = Literal["mppi", "icem", "cem", "random_shooting", "gradient", "policy"]


def ranged(default: Any, low: float, high: float) -> Any:
    """A numeric field whose value must lie in [low, high]; `validate` enforces it."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the networks."""

    latent: int = ranged(128, 2, 4096)
    """Width of the latent state z."""
    hidden: int = ranged(128, 4, 8192)
    """Width of the hidden layers."""
    branch: int = ranged(64, 4, 8192)
    """Width of the layer before each dynamics head and the cost head."""
    heads: int = ranged(2, 2, 32)
    """Dynamics heads in the ensemble; their disagreement is the model's uncertainty."""
    critics: int = ranged(2, 2, 32)
    """Critics in the ensemble; targets use the most pessimistic."""
    bins: int = ranged(51, 3, 1001)
    """Bins of the two-hot heads of cost and cost-to-go."""
    group: int = ranged(8, 2, 256)
    """Group size of the simplicial normalisation (SimNorm)."""


@dataclass(frozen=True)
class LearnerConfig:
    """How the model, the costs and the policy are learned."""

    batch: int = ranged(64, 8, 65_536)
    """Windows per gradient step."""
    window: int = ranged(3, 1, 64)
    """Prediction steps per window."""
    updates_per_step: float = ranged(1.0, 0.0, 64.0)
    """Gradient steps per decision; 0.5 learns at every second decision."""
    early_boost: float = ranged(4.0, 1.0, 64.0)
    """Times as many gradient steps at the first decisions, falling to one over `early_decisions`."""
    early_decisions: int = ranged(8_000, 1, 100_000_000)
    """Decisions over which the boost of early learning falls away."""
    learning_rate: float = ranged(1e-3, 1e-8, 1.0)
    """Adam step size of heads, model and policy."""
    encoder_learning_rate: float = ranged(3e-4, 1e-8, 1.0)
    """Adam step size of the encoder."""
    rho: float = ranged(0.5, 0.0, 1.0)
    """Weight of prediction step k is rho**k."""
    prediction_weight: float = ranged(20.0, 0.0, 1e6)
    """Weight of the latent-prediction loss."""
    cost_weight: float = ranged(0.1, 0.0, 1e6)
    """Weight of the cost-head loss."""
    critic_weight: float = ranged(0.1, 0.0, 1e6)
    """Weight of the critic loss."""
    termination_weight: float = ranged(0.1, 0.0, 1e6)
    """Weight of the termination-head loss."""
    regularizer_weight: float = ranged(1.0, 0.0, 1e6)
    """Weight of the anti-collapse loss (vicreg, sigreg)."""
    n_step: int = ranged(3, 1, 32)
    """Steps of real cost before the critic's bootstrap."""
    target_rate: float = ranged(0.01, 0.0, 1.0)
    """Rate at which target networks follow."""
    target_entropy: float = ranged(-0.5, -10.0, 1.0)
    """Entropy per action dimension that the policy's entropy bonus is tuned to keep."""
    curiosity: float = ranged(0.02, 0.0, 100.0)
    """What the critic is paid for the model's usual disagreement, in sizes of the environment's own cost."""
    clip_norm: float = ranged(20.0, 1e-6, 1e9)
    """Largest gradient norm."""
    buffer: int = ranged(1_000_000, 8, 100_000_000)
    """Transitions kept in memory."""
    warmup: int = ranged(1_000, 0, 100_000_000)
    """Decisions with uniformly random actions before learning starts."""
    pretrain: int = ranged(1_000, 0, 100_000_000)
    """Gradient steps at the end of warm-up."""
    max_skips: int = ranged(10, 0, 100)
    """Of the last 100 updates, how many may be skipped for a loss or gradient that is not finite."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products, in learning and planning; bfloat16 pays from 256 hidden units on."""


@dataclass(frozen=True)
class PlannerConfig:
    """How actions are searched for. Fields left at None take the planner's own default."""

    kind: PlannerKind = "mppi"
    """Planner; `policy` acts without planning (mode 1)."""
    horizon: int = ranged(3, 1, 200)
    """Decisions looked ahead."""
    starts: int | None = ranged(8_000, 0, 100_000_000)
    """Decisions in training before planning begins, the policy exploring until then; None: it never does."""
    every: int = ranged(3, 1, 100_000_000)
    """From then on one training episode of so many is planned, the policy exploring in the others."""
    samples: int | None = ranged(None, 1, 1_000_000)
    """Candidate action sequences per iteration."""
    iterations: int | None = ranged(None, 1, 1_000)
    """Rounds of refinement."""
    elites: int | None = ranged(None, 1, 1_000_000)
    """Candidates that shape the next round."""
    temperature: float | None = ranged(None, 1e-9, 1e9)
    """MPPI's inverse temperature."""
    policy_trajectories: int = ranged(16, 0, 100_000)
    """Candidates proposed by the policy."""
    reach: float = ranged(0.3, 0.0, 10.0)
    """How far from the policy's course a search begins, 1 being half the action range; 0: anywhere."""
    unsure: float = ranged(1.0, -1e6, 1e6)
    """What the heads' usual disagreement costs a plan that does not explore, in sizes of the usual cost."""
    effort: float = ranged(0.0, 0.0, 1e6)
    """Weight of the squared action in the energy."""


PLANNER_SETTINGS = ("samples", "iterations", "elites", "temperature")
"""Those of a planner's settings that not every kind has."""


@dataclass(frozen=True)
class Config:
    """One run: an agent in an environment for a number of steps."""

    env: str = "HalfCheetah-v5"
    """Gymnasium id, `module:Env-v0` of your own, `dmc:walker-walk`, or `joule/Push-v0`."""
    agent: AgentKind = "joule"
    """joule, a stable-baselines3 baseline, or a floor (random, zero)."""
    steps: int = ranged(50_000, 1, 10_000_000_000)
    """Environment steps (simulator frames at the env's own control rate)."""
    seed: int = ranged(1, 0, 2**31 - 1)
    """Seed of everything random in training."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment, as JSON."""
    action_repeat: int | None = ranged(None, 1, 1_000)
    """Frames per decision; by default 2 for dm_control and 1 elsewhere."""
    max_episode_steps: int | None = ranged(None, 2, 1_000_000_000)
    """Frames per episode; by default the env's own limit."""
    perturb: tuple[str, ...] = ()
    """Changes of the world, such as `gravity=0.5`, or `gravity=0.5@300` from frame 300 of an episode on."""
    task: str = ""
    """What to do in place of the environment's reward, as in `track:velocity=-2+0.1*spend`; see tasks.md."""
    guard: tuple[str, ...] = ()
    """Limits that no learned cost outweighs while planning, such as `speed<2`; see tasks.md."""
    perceive: Literal["encoder", "energy"] = "encoder"
    """`energy` infers what dead or corrupted sensors should read, for 2 to 3 ms a decision, once trained."""
    regularizer: RegularizerKind = "simnorm"
    """What keeps the representation from collapsing."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, or auto."""
    threads: int = ranged(1, 1, 1_024)
    """Torch threads of the training process."""
    eval_every: int = ranged(10_000, 1, 10_000_000_000)
    """Frames between evaluations."""
    eval_episodes: int = ranged(10, 1, 10_000)
    """Episodes of an evaluation."""
    checkpoint_every: int = ranged(10_000, 1, 10_000_000_000)
    """Frames between checkpoints."""
    on_collapse: Literal["warn", "stop"] = "warn"
    """What a collapsed representation leads to: a warning, or the end of the run."""
    step_timeout: float = ranged(600.0, 0.0, 1e6)
    """Seconds after which a reset or a step of the environment counts as hung; 0 waits for ever."""
    video: bool = True
    """Render a video of the evaluated agent at the end."""
    model: ModelConfig = field(default_factory=ModelConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)


# --preset NAME overlays these values on the defaults, before the user's own options.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "smoke": {
        "steps": 1_000,
        "eval_every": 500,
        "eval_episodes": 2,
        "checkpoint_every": 500,
        "model.latent": 32,
        "model.hidden": 64,
        "model.branch": 32,
        "learner.batch": 64,
        "learner.warmup": 200,
        "learner.pretrain": 100,
        "learner.early_boost": 1.0,
        "planner.starts": 500,
        "planner.samples": 64,
        "planner.iterations": 2,
        "planner.elites": 8,
    },
}
