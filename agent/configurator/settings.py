"""CONFIGURATOR: the settings of a run, their ranges, and the presets.

LeCun's configurator primes the other modules for the task at hand (A Path Towards Autonomous Machine
Intelligence, 2022, section 3.1.2). This frozen, typed tree is the only place that holds settings: the command
line fills it, `config.json` stores it, and each module receives its own values from it. This file imports
neither torch nor mujoco, so that `--help` and every refusal are instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AgentKind = Literal["joule", "sac", "td3", "ppo", "tqc", "crossq", "random", "zero"]


def ranged(default: Any, low: float, high: float) -> Any:
    """A numeric field whose value must lie in [low, high]; `validate` enforces it."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the encoder, the world model and the policy."""

    latent_dim: int = ranged(128, 2, 4096)
    """Width of the latent state z."""
    hidden_dim: int = ranged(128, 4, 8192)
    """Width of the hidden layers."""
    head_width: int = ranged(64, 4, 8192)
    """Width of the layer before each dynamics head and the cost head."""
    ensemble_size: int = ranged(2, 2, 32)
    """Dynamics heads in the ensemble; their disagreement is the model's uncertainty."""


@dataclass(frozen=True)
class RegularizerConfig:
    """What keeps the representation from collapsing."""

    kind: str = "simnorm"
    """The regulariser; each kind has settings of its own."""
    weight: float = ranged(1.0, 0.0, 1e6)
    """Weight of the regulariser's loss (vicreg, sigreg)."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of this kind that differ from its defaults."""


@dataclass(frozen=True)
class CostConfig:
    """The energy's terms, and the critic."""

    uncertainty: float = ranged(1.0, -1e6, 1e6)
    """Weight of ensemble disagreement in the energy: 1 makes the usual disagreement cost as much as the usual
    cost. Not applied while exploring."""
    action: float = ranged(0.0, 0.0, 1e6)
    """Weight of the squared action in the energy (control cost)."""
    critics: int = ranged(2, 2, 32)
    """Critics in the ensemble; targets use the most pessimistic."""
    bins: int = ranged(51, 3, 1001)
    """Bins of the two-hot heads of cost and cost-to-go."""


@dataclass(frozen=True)
class ActorConfig:
    """The policy (mode 1), and its part in planning."""

    proposals: int = ranged(16, 0, 100_000)
    """Candidate sequences that the policy proposes to the planner."""
    prior_std: float = ranged(0.3, 0.0, 10.0)
    """Width of the first sampling distribution around the policy's sequence; 1 is half the action range, 0
    begins at the last plan instead."""
    target_entropy: float = ranged(-0.5, -10.0, 1.0)
    """Entropy per action dimension that the policy's entropy bonus is tuned to keep, in nats."""


@dataclass(frozen=True)
class PlannerConfig:
    """How action sequences are optimised (mode 2)."""

    kind: str = "mppi"
    """The planner; `policy` acts without planning (mode 1). Each kind has settings of its own."""
    horizon_decisions: int = ranged(3, 1, 200)
    """Decisions looked ahead."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of this kind that differ from its defaults."""


@dataclass(frozen=True)
class ExploreConfig:
    """How training collects experience."""

    warmup_decisions: int = ranged(1_000, 0, 100_000_000)
    """Decisions with uniformly random actions before learning starts."""
    plan_from_decisions: int | None = ranged(8_000, 0, 100_000_000)
    """Decisions before planning starts, the policy exploring until then; None: it never starts."""
    plan_every_episodes: int = ranged(3, 1, 100_000_000)
    """From then on one training episode of this many is planned; the policy explores in the others."""
    curiosity: float = ranged(0.02, 0.0, 100.0)
    """Bonus of the critic for the model's usual disagreement, in units of the environment's usual cost."""


@dataclass(frozen=True)
class LearningConfig:
    """How the networks learn from the replay buffer."""

    batch_size: int = ranged(64, 8, 65_536)
    """Windows per gradient step."""
    window_decisions: int = ranged(3, 1, 64)
    """Prediction steps per window."""
    utd: float = ranged(1.0, 0.0, 64.0)
    """Update-to-data ratio: gradient steps per decision; 0.5 learns at every second decision."""
    initial_utd: float = ranged(4.0, 0.0, 64.0)
    """Update-to-data ratio at the first decisions; it goes linearly to `utd` over `initial_utd_decisions`."""
    initial_utd_decisions: int = ranged(8_000, 1, 100_000_000)
    """Decisions over which the initial ratio goes to `utd`."""
    pretrain_updates: int = ranged(1_000, 0, 100_000_000)
    """Gradient steps at the end of warm-up."""
    learning_rate: float = ranged(1e-3, 1e-8, 1.0)
    """Adam step size of the world model, the critics and the policy."""
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
    n_step: int = ranged(3, 1, 32)
    """Decisions of observed cost before the critic's bootstrap (n-step returns)."""
    tau: float = ranged(0.01, 0.0, 1.0)
    """Rate at which target networks follow."""
    max_grad_norm: float = ranged(20.0, 1e-6, 1e9)
    """Largest gradient norm; a larger gradient is scaled down to it."""
    replay_capacity_transitions: int = ranged(1_000_000, 8, 100_000_000)
    """Transitions kept in the replay buffer."""
    max_skipped_updates: int = ranged(10, 0, 100)
    """Of the last 100 updates, how many may be skipped for a loss or gradient that is not finite."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products, in learning and planning; bfloat16 pays from 256 hidden units on."""


@dataclass(frozen=True)
class Config:
    """One run: an agent in an environment for a number of steps."""

    env: str = "HalfCheetah-v5"
    """Gymnasium id, `module:Env-v0` of your own, `dmc:walker-walk`, or `joule/Push-v0`."""
    agent: AgentKind = "joule"
    """joule, a stable-baselines3 baseline, or a trivial agent (random, zero)."""
    steps: int = ranged(50_000, 1, 10_000_000_000)
    """Budget in environment steps (simulator frames at the environment's own control rate)."""
    seed: int = ranged(1, 0, 2**31 - 1)
    """Seed of everything random in training."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment, as JSON."""
    action_repeat: int | None = ranged(None, 1, 1_000)
    """Frames per decision; by default 2 for dm_control and 1 elsewhere."""
    max_episode_frames: int | None = ranged(None, 2, 1_000_000_000)
    """Frames per episode; by default the environment's own limit."""
    num_envs: int = ranged(1, 1, 1_024)
    """Environments of training that are stepped side by side, their decisions made as one batch."""
    vector_mode: Literal["sync", "async"] = "sync"
    """How several environments are stepped: in turn, or in a process each (a resume is then not exact)."""
    perturb: tuple[str, ...] = ()
    """Perturbations, such as `gravity=0.5`, or `gravity=0.5@300` from frame 300 of an episode on."""
    task: str = ""
    """Costs in place of the environment's reward, as in `track:velocity=-2+0.1*control`."""
    constraint: tuple[str, ...] = ()
    """Hard limits while planning, such as `speed<2`; no other cost outweighs them."""
    perceive: Literal["encoder", "energy"] = "encoder"
    """`energy` infers what dead or corrupted sensors should read, once trained, for 2 to 3 ms a decision."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, or auto."""
    threads: int = ranged(1, 1, 1_024)
    """Torch threads of the process."""
    eval_every_frames: int = ranged(10_000, 1, 10_000_000_000)
    """Frames between evaluations."""
    eval_episodes: int = ranged(10, 1, 10_000)
    """Episodes of an evaluation."""
    checkpoint_every_frames: int = ranged(10_000, 1, 10_000_000_000)
    """Frames between checkpoints."""
    on_collapse: Literal["warn", "stop"] = "warn"
    """What a collapsed representation leads to: a warning, or the end of the run."""
    step_timeout_seconds: float = ranged(600.0, 0.0, 1e6)
    """Seconds after which a reset or a step of the environment counts as hung; 0 waits for ever."""
    video: bool = True
    """Render a video of the evaluated agent at the end."""
    model: ModelConfig = field(default_factory=ModelConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    cost: CostConfig = field(default_factory=CostConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    explore: ExploreConfig = field(default_factory=ExploreConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)


LISTS = ("perturb", "constraint")
"""Settings that may be given several times."""
KIND_SECTIONS = ("planner", "regularizer")
"""Sections whose kinds have settings of their own; see `agent.configurator.kinds`."""

# --preset NAME overlays these values on the defaults, before the user's own options.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "smoke": {
        "steps": 1_000,
        "eval_every_frames": 500,
        "eval_episodes": 2,
        "checkpoint_every_frames": 500,
        "model.latent_dim": 32,
        "model.hidden_dim": 64,
        "model.head_width": 32,
        "learning.batch_size": 64,
        "learning.pretrain_updates": 100,
        "learning.initial_utd": 1.0,
        "explore.warmup_decisions": 200,
        "explore.plan_from_decisions": 500,
        "planner.samples": 64,
        "planner.iterations": 2,
        "planner.elites": 8,
    },
}
