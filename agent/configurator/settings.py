"""CONFIGURATOR: the settings of a run, their ranges, and the presets.

LeCun's configurator primes the other modules for the task at hand (A Path Towards Autonomous Machine
Intelligence, 2022, section 3.1.2). This frozen, typed tree is the only place that holds settings: the command
line fills it, `config.json` stores it, and each module receives its own values from it. This file imports
neither torch nor mujoco, so that `--help` and every refusal are instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AgentKind = Literal["joule", "sac", "td3", "ppo", "tqc", "crossq", "sac_her", "random", "zero"]
GOAL_CONDITIONED: AgentKind = "sac_her"
"""The agent that is told the goal of each episode, and learns to reach it by hindsight."""
STATE_AND_GOAL = "state+goal"
"""The setting `obs` of an environment whose observation has the goal of the episode."""


def ranged(default: Any, low: float, high: float) -> Any:
    """A numeric field whose value must lie in [low, high]; `validate` enforces it."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the encoder, the world model and the policy, and how angles are read."""

    wrap_angles: bool = True
    """Reads observed angles of hinges without limits, which count turns, as sine and cosine. Switch it off where
    the number of turns matters."""
    latent_dim: int = ranged(128, 2, 4096)
    """Width of the latent state z."""
    hidden_dim: int = ranged(128, 4, 8192)
    """Width of the hidden layers."""
    head_width: int = ranged(64, 4, 8192)
    """Width of the layer before each dynamics head and the cost head."""
    ensemble_size: int = ranged(2, 2, 32)
    """Dynamics heads of the world model (the ensemble); their disagreement is the model's uncertainty."""


@dataclass(frozen=True)
class RegularizerConfig:
    """What keeps the representation from collapsing."""

    kind: str = "simnorm"
    """The regulariser; each kind has settings of its own."""
    weight: float = ranged(1.0, 0.0, 1e6)
    """Weight of the regulariser's loss; only vicreg, sigreg and contrast have one."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of this kind that differ from its defaults."""


@dataclass(frozen=True)
class CostConfig:
    """The energy's terms, and the critic."""

    uncertainty: float = ranged(1.0, -1e6, 1e6)
    """Weight of ensemble disagreement in the energy. With 1, the mean disagreement costs as much as the
    environment's usual cost. A plan is charged for what exceeds the disagreement along the policy's own sequence;
    a negative weight rewards all of it. Training episodes do without this term."""
    action: float = ranged(0.0, 0.0, 1e6)
    """Weight of the control cost, which is the squared action, in the energy."""
    critics: int = ranged(2, 2, 32)
    """Number of critics; the critics' targets use the most pessimistic of them."""
    bins: int = ranged(51, 3, 1001)
    """Bins into which the heads of cost and cost-to-go divide their range (two-hot encoding)."""


@dataclass(frozen=True)
class ActorConfig:
    """The policy (mode 1), and its part in planning."""

    proposals: int = ranged(16, 0, 100_000)
    """Candidate sequences that the policy proposes to the planner."""
    prior_std: float = ranged(0.3, 0.0, 10.0)
    """Standard deviation of the first candidates around the policy's action sequence; 1 is half the action
    range. With 0 the search begins at the last plan instead, with the planner's own standard deviation."""
    target_entropy: float = ranged(-0.5, -10.0, 0.6)
    """Entropy of the policy per action dimension, in nats, to which the entropy bonus is tuned. Actions between -1
    and 1 have at most 0.69, the logarithm of 2."""


@dataclass(frozen=True)
class PlannerConfig:
    """How action sequences are optimised (mode 2)."""

    kind: str = "mppi"
    """The planner; `policy` acts without planning (mode 1). Each kind has settings of its own."""
    horizon_decisions: int = ranged(3, 1, 200)
    """Planning horizon: how many decisions a plan looks ahead."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of this kind that differ from its defaults."""


@dataclass(frozen=True)
class ExploreConfig:
    """How training collects experience."""

    kind: Literal["disagreement", "smooth", "random"] = "disagreement"
    """What acts where there is no reward: a policy and plans that seek the ensemble's disagreement, random actions
    that are correlated in time, or uniformly random ones."""
    warmup_decisions: int = ranged(1_000, 0, 100_000_000)
    """Decisions with uniformly random actions before learning starts."""
    short_episode_decisions: int = ranged(200, 1, 100_000_000)
    """Decisions after which a training episode is broken off at first, so that much is tried from where episodes
    begin. A robot that falls over would else learn to move where it lies."""
    short_episodes_until_decisions: int = ranged(4_000, 0, 100_000_000)
    """Decisions of training before episodes have their full length; 0 breaks none off."""
    plan_from_decisions: int | None = ranged(8_000, 0, 100_000_000)
    """Decisions of training before the first planned episode; until then the policy acts. None in Python: no
    training episode is planned."""
    plan_every_episodes: int = ranged(3, 1, 100_000_000)
    """After `plan_from_decisions`, one training episode in this many is planned; in the others the policy acts."""
    curiosity: float = ranged(0.02, 0.0, 100.0)
    """Bonus for disagreement in the critic's targets: the mean disagreement is worth this much of the
    environment's usual cost."""


@dataclass(frozen=True)
class LearningConfig:
    """How the networks learn from the replay buffer."""

    batch_size: int = ranged(64, 8, 65_536)
    """Windows per gradient step."""
    window_decisions: int = ranged(3, 1, 64)
    """Decisions that the world model predicts in one window."""
    utd: float = ranged(1.0, 0.0, 64.0)
    """Update-to-data ratio: gradient steps per decision; 0.5 is one step at every second decision. sac, td3, tqc,
    crossq and sac_her take a whole number."""
    initial_utd: float = ranged(4.0, 0.0, 64.0)
    """Update-to-data ratio at the start; it changes linearly to `utd` over `initial_utd_decisions`."""
    initial_utd_decisions: int = ranged(8_000, 1, 100_000_000)
    """Decisions over which the update-to-data ratio changes from `initial_utd` to `utd`."""
    pretrain_updates: int = ranged(1_000, 0, 100_000_000)
    """Gradient steps that are made at once at the end of warm-up."""
    max_discount: float = ranged(0.99, 0.0, 0.9999)
    """Largest discount per decision. The discount follows from the episode's length, about five horizons an
    episode, and is at least 0.95 where this allows it."""
    max_discount_terminating: float = ranged(0.998, 0.0, 0.9999)
    """The same from the first training episode on that ends by termination, such as a fall."""
    horizons_terminating: float = ranged(2.0, 1.0, 100.0)
    """Horizons an episode, in place of five, where episodes end so: a fall costs the rest of the episode."""
    horizons_terminating_from_updates: int = ranged(30_000, 0, 1_000_000_000)
    """Gradient steps from which on they hold; before, an agent may learn to stand still, so as not to fall."""
    learning_rate: float = ranged(1e-3, 1e-8, 1.0)
    """Adam step size of the world model, the critics and the policy."""
    encoder_learning_rate: float | None = ranged(None, 1e-8, 1.0)
    """Adam step size of the encoder. By default 0.001 where pictures are observed and 0.0003 elsewhere."""
    rho: float = ranged(0.5, 0.0, 1.0)
    """Discount of the losses along a window: prediction step k has weight rho**k."""
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
    """Share by which target networks move towards the trained networks at each update."""
    max_grad_norm: float = ranged(20.0, 1e-6, 1e9)
    """Maximum gradient norm; a larger gradient is scaled down to it."""
    recency: float = ranged(1e-4, 0.0, 1.0)
    """Rate per decision at which windows of the replay buffer lose weight: a window is drawn with probability
    proportional to exp(-recency * age), but at least a tenth of the newest one's. 0 draws all alike."""
    replay_capacity_transitions: int = ranged(1_000_000, 8, 100_000_000)
    """Transitions kept in the replay buffer."""
    inverse_weight: float | None = ranged(None, 0.0, 1e6)
    """Weight of inverse dynamics: the action is predicted from two successive latents, which shapes the encoder. By
    default 1 where pictures are observed and 0 elsewhere."""
    picture_shift: int = ranged(4, 0, 64)
    """Pixels by which pictures of 64 pixels are shifted at random in learning, at most, in larger ones more. 0
    shifts none: where every experience is new, the shift is one more thing that latents tell apart."""
    behaviour_cloning: float = ranged(0.0, 0.0, 1e6)
    """Weight of behaviour cloning in the policy's loss: the squared distance of its action from the stored one. A
    run with `data` has 1 by default, so that the policy keeps to actions that the data have."""
    rate_at_end: float = ranged(1.0, 0.0, 1.0)
    """Share of both learning rates that is left at the end of a run with `data`; they fall along half a cosine
    (Loshchilov and Hutter 2017). Such a run has 0.05 by default."""
    max_skipped_updates: int = ranged(10, 0, 100)
    """Updates among the last 100 that may be skipped because a loss or gradient is not finite. One more ends
    the run."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the matrix products in learning and planning. bfloat16 uses autograd: it is faster than
    `fused` only with large networks and batches, such as 512 hidden units and batches of 128."""
    fused: bool = True
    """Computes the gradients of the default networks by formulas derived by hand, and plans on plain tensors,
    in less CPU time; numbers differ by rounding alone. Other configurations use autograd."""
    compiled: bool = False
    """Compiles a gradient step that is computed by hand, which then takes less CPU time. It needs a C++ compiler,
    and a minute at the start of a run; what is compiled is kept for other runs with the same sizes."""


@dataclass(frozen=True)
class Config:
    """One run: an agent in an environment for a number of steps."""

    env: str = "HalfCheetah-v5"
    """Gymnasium id, `module:Env-v0` of your own, `dmc:walker-walk`, or `joule/Push-v0`."""
    agent: AgentKind = "joule"
    """joule, a stable-baselines3 baseline, or a trivial agent (random, zero)."""
    data: str = ""
    """Recorded episodes to learn from, without interaction: a folder of .npz files, `minari:ID`, `swm:PATH`, or a
    run folder. Every count of frames, `steps` too, then counts gradient steps."""
    reward: Literal["env", "none"] = "env"
    """`none` learns perception and dynamics without rewards, which are recorded and not used; `explore.kind` says
    what acts."""
    steps: int = ranged(50_000, 1, 10_000_000_000)
    """Budget in environment steps (simulator frames at the environment's own control rate)."""
    seed: int = ranged(1, 0, 2**31 - 1)
    """Seed of everything random in training."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment, as JSON."""
    action_repeat: int | None = ranged(None, 1, 1_000)
    """Frames per decision; by default 2 for dm_control and 1 elsewhere."""
    max_episode_frames: int | None = ranged(None, 2, 1_000_000_000)
    """Frames after which an episode is truncated; by default the environment's own limit."""
    num_envs: int = ranged(1, 1, 1_024)
    """Environments that training steps side by side; their actions are computed in one batch."""
    vector_mode: Literal["sync", "async"] = "sync"
    """`sync` steps several environments in turn; `async` gives each a process, and a resume is then not exact."""
    actors: int = ranged(0, 0, 1_024)
    """Processes that act, each in an environment of its own, while this one learns; 0 acts here. They serve
    environments that are too slow for one core."""
    actor_chunk_decisions: int = ranged(32, 1, 10_000)
    """Decisions that an actor hands over at a time."""
    actors_lockstep: bool = False
    """Actors wait for each other after every chunk, so that a run can be repeated and resumed exactly."""
    obs: Literal["state", "pixels", "pixels+state", "state+goal"] = "state"
    """What the agent observes: the environment's own observation, what a camera of its model sees, or both.
    `state+goal` adds the goal of the episode and what is achieved of it; sac_her observes it by default."""
    obs_size: int = ranged(64, 16, 512)
    """Height and width of a picture, in pixels."""
    obs_camera: str = ""
    """Name of the camera, or of one of the pictures in the environment's own observation; by default the model's
    first camera, or one that has in view what the robot reaches."""
    obs_frames: int = ranged(3, 1, 16)
    """Pictures that an observation stacks, of a camera or the environment's own: those of the newest decisions."""
    perturb: tuple[str, ...] = ()
    """Perturbations, such as `gravity=0.5`; `gravity=0.5@300` acts from frame 300 of each episode on, and
    `gravity=0.7..1.3` draws a value in each episode. `none` is no perturbation."""
    task: str = ""
    """Costs that replace the environment's reward, such as `track:velocity=-2+0.1*control`."""
    constraint: tuple[str, ...] = ()
    """Hard limits, such as `speed<2`, which plans keep before they lower any cost. They act in evaluations and
    films, not in the decisions of training."""
    perceive: Literal["encoder", "energy"] = "encoder"
    """`energy` infers what dead or corrupted sensors should read, in 2 to 3 ms per decision. Only a trained
    agent can do so."""
    device: str = "cpu"
    """Where networks are computed: cpu, cuda, cuda:1, or auto."""
    threads: int = ranged(1, 1, 1_024)
    """Torch threads of the process."""
    memory_budget_gb: float | None = ranged(None, 0.001, 1_000_000.0)
    """Gigabytes that networks, replay buffer and planning may come to; by default half of the machine's memory."""
    eval_every_frames: int = ranged(10_000, 1, 10_000_000_000)
    """Frames between evaluations."""
    eval_episodes: int = ranged(10, 1, 10_000)
    """Episodes of an evaluation."""
    eval_process: bool = False
    """Evaluations in a process of their own, while training goes on; it takes a second core, and the results are
    the same. For joule without constraints."""
    checkpoint_every_frames: int = ranged(10_000, 1, 10_000_000_000)
    """Frames between checkpoints."""
    on_collapse: Literal["warn", "stop"] = "warn"
    """What the run does when the representation collapses: it prints a warning, or it ends."""
    step_timeout_seconds: float = ranged(600.0, 0.0, 1e6)
    """Seconds after which a reset or step that has not returned ends the run; 0 waits for ever."""
    video: bool = True
    """Render a video of the evaluated agent at the end."""
    model: ModelConfig = field(default_factory=ModelConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    cost: CostConfig = field(default_factory=CostConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    explore: ExploreConfig = field(default_factory=ExploreConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)

    @property
    def unit(self) -> str:
        """See `unit_of`."""
        return unit_of(self.data)

    @property
    def most_decisions(self) -> int | None:
        """Decisions of an episode at most, by these settings; None where they set no limit."""
        frames = self.max_episode_frames
        return -(-frames // (self.action_repeat or 1)) if frames else None

    @property
    def streams(self) -> int:
        """Environments whose experience the replay buffer keeps apart: one of each actor, or `num_envs`."""
        return self.actors or self.num_envs


def unit_of(data: str | None) -> str:
    """What `steps` and its like count: a run with the setting `data` makes gradient steps only."""
    return "gradient steps" if data else "frames"


LISTS = ("perturb", "constraint")
"""Settings that may be given several times."""
NO_ENV = "none"
"""What `env` is where an agent learns from recorded episodes alone, of an environment that is not at hand."""
NO_USUAL_RETURN = "an agent that learned without rewards knows no usual return; train --init-from learns it"
"""Why an agent with `reward` none does not adapt."""
NO_PERTURBATION = ("none",)
"""What a user gives as `perturb` for none, where a run has some."""
KIND_SECTIONS = ("planner", "regularizer")
"""Sections whose kinds have settings of their own; see `agent.configurator.kinds`."""

BEFORE_THEY_EXISTED: dict[str, Any] = {
    "learning.recency": 0.0,
    "explore.short_episodes_until_decisions": 0,
    "learning.max_discount_terminating": 0.99,
    "learning.horizons_terminating": 5.0,
}
"""What runs did that are older than a setting: their config.json does not have it, and a resume must not change."""

# --preset NAME overlays these values on the defaults, before the user's own options.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "strong": {
        "learning.batch_size": 256,
        "explore.plan_every_episodes": 2,
    },
    "smoke": {
        "steps": 500,
        "eval_every_frames": 500,
        "eval_episodes": 1,
        "checkpoint_every_frames": 250,
        "model.latent_dim": 32,
        "model.hidden_dim": 64,
        "model.head_width": 32,
        "learning.batch_size": 64,
        "learning.pretrain_updates": 50,
        "learning.initial_utd": 1.0,
        "explore.warmup_decisions": 150,
        "explore.plan_from_decisions": 250,
        "planner.samples": 64,
        "planner.iterations": 1,
        "planner.elites": 8,
    },
}
