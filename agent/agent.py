"""The agent: six modules behind four verbs, learn / predict / save / load.

One step of acting: observation -> perception -> z -> actor (planner minimises the energy of imagined
futures) -> action -> environment -> memory. One step of learning: windows of memory -> learner.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import planners
from agent import random_state as generators
from agent import state as resume
from agent.actor.actor import ActingState, Actor, Guarded
from agent.actor.planning_networks import Searched
from agent.clock import Clock
from agent.configurator.settings import PLANNER_SETTINGS, Config
from agent.configurator.validation import check_horizon, validate
from agent.cost.constraint import Guard, lived_with, parse_guard
from agent.cost.constraint_cost import Barrier
from agent.cost.energy import Energy, EnergyWeights
from agent.cost.readouts import Readouts, TaskError
from agent.cost.task import IN_PYTHON, Task
from agent.cost.task_cost import Judge
from agent.device import pick_device
from agent.errors import ConfigError
from agent.forecast import Forecast
from agent.interface import Arrays, BodyFacts, TrainingEnv
from agent.learning.learner import Learner
from agent.learning.task_learning import learn_task
from agent.memory.replay_buffer import Memory
from agent.networks import Modules
from agent.perception.belief import Belief
from agent.perception.sensor_faults import Inference
from agent.perception.surprise import Surprise
from agent.seeds import reset_seed
from agent.world_model.adaptation import Adaptive
from joule.environment import entered, make_env
from joule.storage.saving import save_as_run

PLANNED_AHEAD = 15
"""Decisions looked ahead for costs without a critic."""


def discount_for(episode_decisions: int | None) -> float:
    """Discount from the episode's length: about five horizons an episode (Hansen et al. 2024, appendix on
    hyperparameters), between 0.95 and 0.99; 0.99 without a limit."""
    if episode_decisions is None:
        return 0.99
    share = episode_decisions / 5
    return min(max((share - 1) / share, 0.95), 0.99) if share > 1 else 0.95


Witness = Callable[[Tensor, Tensor], None]
"""Told of candidates [batch, samples, horizon, act] and their energies [batch, samples]."""


def watched(energy: planners.EnergyFn, witness: Witness) -> planners.EnergyFn:
    """The same energy, with a witness of every evaluation."""

    def seen(actions: Tensor) -> Tensor:
        values = energy(actions)
        witness(actions.detach(), values.detach())
        return values

    return seen


def rows_for(steps: int) -> int:
    """Rows of memory that a budget of frames can fill at most: a decision a frame, where episodes end within
    one, and as many last rows. Room that is not written takes no memory."""
    return 2 * (steps + 1) + 2


class Joule:
    """A world-model agent for one body. See `agent.load` for a trained one."""

    kind = "joule"

    def __init__(self, facts: BodyFacts, config: Config, env: TrainingEnv | None = None):
        with generators.preserved():
            torch.manual_seed(config.seed)
            self._make(facts, config, env)

    def _make(self, facts: BodyFacts, config: Config, env: TrainingEnv | None) -> None:
        """The parts of an agent that has lived nothing, drawn from torch's generators."""
        if config.planner.kind != "policy":
            check_horizon(config.planner.horizon, facts.episode_limit, facts.env)
        self.facts, self.config, self.env = facts, config, env
        self.device = pick_device(config.device)
        readouts = sum(facts.readout_sizes.values())
        self.modules = Modules(
            facts.observation_size, facts.action_size, readouts, config.model, config.regularizer
        ).to(self.device)
        self.searched = Searched(self.modules, getattr(torch, config.learner.precision))
        self.discount = discount_for(facts.episode_limit)
        self.learner = Learner(self.modules, config.learner, self.discount)
        capacity = min(config.learner.buffer, rows_for(config.steps))
        self.memory = Memory(capacity, facts.observation_size, facts.action_size, readouts)
        self.surprise = Surprise()
        self.novice = Actor(self.modules.policy, None, config.planner.horizon, 0)
        self.actor = self.make_actor(config)
        self.barrier: Barrier | None = None
        """Limits that are kept in planning; see `guard`."""
        self._room: Tensor | None = None
        self.room_by = -1
        """How many updates the networks had when the room was measured; see `room`."""
        if config.guard:
            self.guard(*(parse_guard(text) for text in config.guard))
        self.judge: Judge | None = None
        """Costs that are planned for in place of the learned ones; see `pursue`."""
        self.inference: Inference | None = None
        self.inferred_by = -1
        """How many updates the networks had when the inference was calibrated; see `believe`."""
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        self.streams = generators.streams(self.device)
        """Where torch's own generators are when this agent goes on learning; other agents have other ones."""
        self.learning = False
        self.frames = self.decisions = self.episodes = 0
        self.terminations = 0
        self.normalised_rows = 0
        self.update_credit = 0.0
        self.episode_return = 0.0
        self.obs: np.ndarray | None = None
        self.seeded = False
        """Whether the body has been reset with a seed, and goes on from there by itself."""
        self.acting: ActingState | None = None
        self.metrics: dict[str, float] = {}
        self.clock = Clock()
        self.hurried = False

    def make_actor(self, config: Config) -> Actor:
        """The actor that the configuration asks for; a planner may be swapped on a trained agent."""
        choice = config.planner
        if choice.kind == "policy":
            return self.novice
        given = {
            name: getattr(choice, name) for name in PLANNER_SETTINGS if getattr(choice, name) is not None
        }
        ones = torch.ones(self.facts.action_size, device=self.device)

        def make_planner(batch: int) -> planners.Planner:
            return planners.make(
                choice.kind, horizon=choice.horizon, low=-ones, high=ones, batch=batch, **given
            )

        make_planner(1)  # a setting that this kind refuses is refused now, not at the first plan
        return Actor(
            self.modules.policy, make_planner, choice.horizon, choice.policy_trajectories, choice.reach
        )

    # Acting

    def perceive(self, obs: np.ndarray) -> Float[Tensor, "batch latent"]:
        """Perception: observations [batch, obs] to latents."""
        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(obs, np.float32)).to(self.device)
            return self.modules.encoder(self.modules.normalizer(rows))

    def believe(self, obs: np.ndarray, state: ActingState | None, starts: np.ndarray) -> Belief:
        """Perception by energy: what the sensors should have read, by observations [batch, obs] and by what
        was expected. Raises ConfigError for a memory too short to know the sensors by."""
        if self.inference is None or self.inferred_by != self.learner.updates:
            self.know_sensors()
        assert self.inference is not None
        belief, action = (None, None) if state is None else (state.belief, state.action)
        rows = torch.from_numpy(np.array(obs, np.float32))  # of its own: the belief keeps it
        return self.inference(rows, belief, action, torch.from_numpy(starts))

    def know_sensors(self) -> None:
        """Learns from memory what its sensors read as a rule. Raises as `believe`."""
        try:
            self.inference = Inference(self.modules, self.memory)
        except ValueError as error:
            raise ConfigError(f"perceive: energy {error}") from None
        self.inferred_by = self.learner.updates

    def believed(self, obs: np.ndarray, state: ActingState) -> np.ndarray:
        """What was believed of observations [batch, obs] at a decision; the same by the encoder."""
        if state.belief is None:
            return obs
        return self.modules.normalizer.inverse(state.belief.mean.to(self.device)).cpu().numpy()

    def energy(self, z: Float[Tensor, "batch latent"], explore: bool = False) -> Energy:
        """The energy of action sequences from `z`, by the current costs.

        What the model is unsure of costs something, but for who explores, and for a task that is planned for
        without having been learned: both go where little was lived.
        """
        m, choice = self.searched.renewed(), self.config.planner
        heeds = not explore and self.judge is None
        unsure = self.modules.price_of_disagreement(choice.unsure) if heeds else 0.0
        weights = EnergyWeights(unsure, choice.effort)
        ends = self.terminations > 0
        known = (m.world_model, m.critic, m.policy, self.discount, weights, ends)
        barrier = self.barrier if self.barrier is None or explore else partial(self.barrier, room=self.room())
        return Energy(z, *known, self.judge, barrier)

    @property
    def astray(self) -> bool:
        """Whether the policy knows nothing of what is asked of it: another task, or a guard that is news."""
        news = self.barrier is not None and not lived_with(self.config.guard, self.config.task)
        return self.judge is not None or news

    def room(self) -> Float[Tensor, "horizon guards"]:
        """What is kept from each guard's limit, in its unit: more, the farther ahead. See `Barrier.room`.

        It is learned from memory, and 0 without one and before the first update.
        """
        assert self.barrier is not None, "room is kept from guards"
        horizon = self.actor.horizon
        if self.learner.updates == 0:  # what errs is a beginner's guess, not what was learned
            return next(self.modules.parameters()).new_zeros(horizon, len(self.barrier.guards))
        if self._room is None or self.room_by != self.learner.updates or len(self._room) < horizon:
            self._room = self.barrier.room(self.memory, self.perceive, horizon)
            self.room_by = self.learner.updates
        return self._room

    # Other tasks

    def guard(self, *guards: Guard) -> "Joule":
        """Plans within these limits from now on, whatever the costs say; with none, within none.

        Returns itself. A guard that is text is saved with the agent; one that is a function cannot be, and
        what was saved loads with an explicit `overrides={"guard": ()}` alone. Raises TaskError for a guard
        that the body's readouts do not serve, and ConfigError for an agent that does not plan.
        """
        if guards and self.config.planner.kind == "policy":
            raise ConfigError("guard: planner.kind policy does not look ahead, and can keep no guard")
        made = Barrier(guards, self.layout(), self.modules, self.facts.action_size) if guards else None
        self.barrier, self._room = made, None
        said = tuple(IN_PYTHON + guard.name if guard.text is None else guard.text for guard in guards)
        self.config = replace(self.config, guard=said)
        return self

    def layout(self) -> Readouts:
        """The names of this body's readouts."""
        views = self.facts.readout_views
        if views is None:  # a run made before views were: the body is asked
            views = make_env(replace(self.config, task="")).facts.readout_views
        return Readouts(self.facts.readout_sizes, views)

    def judged(self, task: Task) -> Judge:
        """The task on this body's readouts.

        Raises TaskError when it does not fit them, and when it asks for the environment's own cost of an
        agent that knows another task's alone.
        """
        judge = Judge(task, self.layout(), self.modules, self.facts.action_size)
        if judge.asks_own and self.config.task not in ("", "own"):
            raise TaskError(
                f"task: {task.name!r} asks for the environment's own cost, and this agent knows that of its "
                f"task {self.config.task!r} alone; begin with an agent that learned by the environment's"
            )
        return judge

    def pursue(self, task: Task, horizon: int | None = None) -> "Joule":
        """Plans for other costs from now on, without learning: further ahead, and without the critic.

        `horizon` decisions ahead, by default 15, or to the end of the longest episode where that is nearer.
        Returns itself. Raises TaskError for a task that the body's readouts do not serve, and ConfigError
        for an agent that does not plan. What is learned and saved stays as it was.
        """
        if self.config.planner.kind == "policy":
            raise ConfigError(
                "planner.kind: policy cannot plan for another task; choose a planner, or retask"
            )
        limit = self.facts.episode_limit
        if horizon is None:
            horizon = PLANNED_AHEAD if limit is None else min(PLANNED_AHEAD, limit)
        check_horizon(horizon, limit, self.facts.env)
        planner = replace(self.config.planner, horizon=horizon)
        config = validate(replace(self.config, planner=planner))
        self.judge, self.actor = self.judged(task), self.make_actor(config)
        self.begin_episode()
        return self

    def retask(self, task: Task, updates: int = 4_000) -> "Joule":
        """Learns a critic, a policy and a cost head for other costs, from memory and imagination alone.

        The world model stays as it is, and no step is taken in the body. Memory's costs become the task's;
        the agent plans, learns and is saved by them from now on. Returns itself. Raises TaskError as
        `pursue`, and ConfigError for a memory without a transition.
        """
        learn_task(self, task, self.judged(task), updates)
        self.judge, self.env, self.actor = None, None, self.make_actor(self.config)
        self._room = None  # a guard may be on the cost
        self.begin_episode()
        return self

    def adapt(self) -> Adaptive:
        """This agent as one that notices when its world changes, and learns the new one while acting.

        It acts in a body that it attends: `body = adaptive.attend(body)`. Raises ConfigError as `Adaptive`.
        """
        return Adaptive(self)

    def decide(
        self,
        obs: np.ndarray,
        state: ActingState | None,
        starts: np.ndarray,
        explore: bool,
        actor: Actor | None = None,
        witness: Witness | None = None,
    ) -> tuple[np.ndarray, ActingState]:
        """Actions [batch, act] for observations [batch, obs], by `actor` or the configured one.

        `starts` [batch] marks environments whose episode begins: their warm start is dropped. `witness` is
        shown every batch of candidates that the search considers, with their energies.
        """
        actor = actor or self.actor
        if state is not None and len(state.z) != len(obs):
            state = None
        belief = None
        if self.config.perceive == "energy" and not self.learning:
            belief = self.believe(obs, state, starts)
            with torch.inference_mode():
                z = self.modules.encoder(belief.mean.to(self.device))
        else:
            z = self.perceive(obs)
        if state is None:
            generator = torch.Generator(self.device).manual_seed(self.config.seed + 10_000)
            state, starts = None, np.ones(len(obs), bool)
        else:
            generator = state.generator
        surprise = np.full(len(obs), np.nan)
        warm = None
        with torch.inference_mode():
            if state is not None:
                errors = (state.expected - z).square().mean(-1).cpu().numpy()
                surprise[~starts] = self.surprise.relative(errors)[~starts]
                # A plan of another horizon, of the task before, starts no search for this one.
                if state.plan is not None and state.plan.actions.shape[1] == actor.horizon:
                    warm = state.plan.shifted(torch.from_numpy(starts).to(z.device))
        if starts.all():
            warm = None
        astray = self.astray
        energy: planners.EnergyFn | None = None
        guarded = None
        if actor.planner is not None:
            energy = imagined = self.energy(z, explore)
            if self.barrier is not None and not astray and not explore:
                guarded = Guarded(imagined.terms)
            if witness is not None:
                energy = watched(energy, witness)
        action, plan = actor.act(
            energy, z, self.modules.world_model, warm, generator, explore, astray, guarded
        )
        with torch.inference_mode():
            expected = self.modules.world_model.expect(z, action)
        done = action.float().cpu()
        return done.numpy(), ActingState(generator, plan, z, expected, surprise, done, belief)

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
        actor: Actor | None = None,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation [obs] or a batch [batch, obs], as in stable-baselines3.

        Pass the returned state back for the next decision: it holds the plan to go on from. `actor` acts in
        place of the configured one; one that does not plan keeps no guard.
        """
        single = np.ndim(observation) == 1
        rows = np.atleast_2d(np.asarray(observation, np.float32))
        starts = np.zeros(len(rows), bool)
        if episode_start is not None:
            starts = np.atleast_1d(np.asarray(episode_start, bool))
        action, state = self.decide(rows, state, starts, not deterministic, actor)
        return (action[0] if single else action), state

    def explain(self, state: ActingState) -> dict[str, np.ndarray]:
        """The energy terms [batch] of the plan behind a decision; empty in mode 1."""
        if state.plan is None:
            return {}
        with torch.inference_mode():
            terms = self.energy(state.z).terms(state.plan.actions.unsqueeze(1))
        return {name: term[:, 0].cpu().numpy() for name, term in terms.items()}

    def forecast(self, state: ActingState) -> Forecast | None:
        """What a decision expects of the task, by its plan; None in mode 1, which foresees nothing, and for
        a task that is planned for without a critic, which foresees no return."""
        if state.plan is None or self.judge is not None:
            return None
        terms, model = self.explain(state), self.modules.world_model
        with torch.inference_mode():
            cost = model.expected_cost(model.predict(state.z, state.plan.actions[:, 0]))
        return Forecast(-(terms["task"] + terms["critic"]), cost.cpu().numpy(), self.discount)

    def imagine(self, obs: np.ndarray, actions: np.ndarray) -> Float[np.ndarray, "steps readouts"]:
        """Readouts that the agent foresees from `obs` [obs] under `actions` [horizon, act].

        The first row reads the present; each further row one step of imagination.
        """
        with torch.inference_mode():
            z = self.perceive(obs[None])
            plan = torch.from_numpy(np.asarray(actions, np.float32)).to(self.device)[None]
            latents = [z, *(step.z for step in self.modules.world_model.rollout(z, plan))]
            read = self.modules.readout(torch.cat(latents))
            return self.modules.readout_normalizer.inverse(read).cpu().numpy()

    # Living and learning

    def learn(
        self,
        steps: int,
        env: TrainingEnv | None = None,
        on_step: Callable[["Joule"], bool] | None = None,
    ) -> "Joule":
        """Lives and learns for `steps` more environment frames.

        `on_step` is called after every decision; learning ends early when it returns False.
        Gradient steps that a hurried decision left over are taken first. Without an environment, given
        here or before, the one of the agent's configuration is made. Torch's own
        generator is left where it was. In another body than before an episode begins. Raises StopRun when
        learning is no longer finite.
        """
        self.env = entered(self, env)
        self.memory.reserve(min(self.config.learner.buffer, self.memory.rows + rows_for(steps)))
        until = self.frames + steps
        with self.clock.running(), self.own_generator():
            self.study_what_is_due()
            while self.frames < until:
                self.live(self.env)
                self.update_credit += self.updates_due()
                self.study_what_is_due()
                if on_step is not None and not on_step(self):
                    break
        return self

    @contextmanager
    def own_generator(self) -> Iterator[None]:
        """Inside, torch's generators are this agent's: what it learns does not depend on who drew before."""
        before = generators.streams(self.device)
        generators.set_streams(self.streams, self.device)
        self.learning = True
        try:
            yield
        finally:
            self.learning = False
            self.streams = generators.streams(self.device)
            generators.set_streams(before, self.device)

    def live(self, env: TrainingEnv) -> None:
        """One decision in the environment, remembered."""
        if self.obs is None:
            seed = None if self.seeded else reset_seed(self.config.seed, self.frames)
            self.obs, _ = env.reset(seed=seed)
            self.seeded = True
            self.memory.begin(self.obs, env.readouts())
            self.episode_return, self.acting = 0.0, None
        if self.decisions < self.config.learner.warmup:
            action = self.rng.uniform(-1.0, 1.0, self.facts.action_size).astype(np.float32)
        else:
            start = np.array([self.acting is None])
            if self.acting is None:
                self.acting = self.fresh_acting_state()
            actor = self.actor if self.searches() else self.novice
            batch, self.acting = self.decide(self.obs[None], self.acting, start, explore=True, actor=actor)
            action = batch[0]
        obs, reward, terminated, truncated, info = env.step(action)
        self.frames += info["frames"]
        self.decisions += 1
        # What comes of physics that diverged is no observation of this world: nothing is learned from it.
        if not info.get("diverged", False):
            self.memory.add(action, reward, terminated, obs, env.readouts())
            self.episode_return += float(reward)
            if self.acting is not None:
                # The prediction was made before this observation was seen: always held out.
                error = (self.acting.expected - self.perceive(obs[None])).square().mean().item()
                self.metrics["surprise"] = self.surprise.observe(error)
        self.obs = obs
        if terminated or truncated:
            self.terminations += terminated
            self.episodes += 1
            self.metrics["episode/return"] = self.episode_return
            self.obs = None

    def searches(self) -> bool:
        """Whether training's next decision is planned.

        A young model promises much to those who search it, and the policy is cheap; but a search that is
        never lived finds errors that nobody corrects.
        """
        choice = self.config.planner
        begun = choice.starts is not None and self.decisions >= choice.starts
        return begun and self.episodes % choice.every == 0

    def fresh_acting_state(self) -> ActingState:
        """The state of an episode's start in training: no plan, this agent's own generator."""
        z = torch.zeros(1, self.config.model.latent, device=self.device)
        return ActingState(self.generator, None, z, z, np.full(1, np.nan))

    def updates_due(self) -> float:
        """Gradient steps that this decision earns: none in warm-up, a pre-training when it ends, more of
        them early, while every one of them still changes what is tried next."""
        learner = self.config.learner
        if self.decisions < learner.warmup or self.memory.held == 0:
            return 0.0
        if self.decisions == max(learner.warmup, 1):
            return float(learner.pretrain)
        fades = max(0.0, 1.0 - self.decisions / learner.early_decisions)
        return learner.updates_per_step * (1.0 + (learner.early_boost - 1.0) * fades)

    def study_what_is_due(self) -> None:
        """The gradient steps that were earned; a hurried agent leaves them for later."""
        while self.update_credit >= 1.0 and not self.hurried:
            self.study()
            self.update_credit -= 1.0

    def study(self) -> None:
        """One gradient step on a sample of memory."""
        learner = self.config.learner
        updates = self.learner.updates
        if updates % 100 == 0:
            self.normalise()
        windows = self.memory.sample(learner.batch, learner.window + learner.n_step - 1, self.rng)
        measure = updates % 250 == 0
        self.metrics |= self.learner.update(windows, measure=measure)
        self.metrics["learner/skipped"] = float(self.learner.skipped)
        if measure and self.acting is not None:
            terms = self.explain(self.acting)
            self.metrics |= {f"energy/{name}": float(term[0]) for name, term in terms.items()}

    def normalise(self) -> None:
        """Takes the rows that arrived since the last call into the running statistics."""
        memory, modules = self.memory, self.modules
        total = self.replay_total()
        first = max(self.normalised_rows, memory.first)
        index = np.arange(first, total) % memory.capacity
        obs, readout, cost, last = (
            torch.from_numpy(column[index]).to(self.device)
            for column in (memory.obs, memory.readout, memory.cost, memory.last)
        )
        modules.normalizer.update(obs)
        modules.readout_normalizer.update(readout)
        modules.rescale(cost, last, self.discount)
        self.normalised_rows = total

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        self.obs, self.acting, self.seeded = None, None, False

    # The state of a run

    def save(self, path: str | Path) -> None:
        """See `joule.storage.saving.save_as_run`."""
        save_as_run(self, path)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """See `agent.state.capture`."""
        return resume.capture(self)

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """See `agent.state.restore`."""
        resume.restore(self, arrays, meta)

    def replay_columns(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name -> (shape of a row, dtype) of what the replay log keeps."""
        return {name: (c.shape[1:], c.dtype.name) for name, c in self.memory.columns().items()}

    def replay_total(self) -> int:
        """Rows whose content is final: all but the newest."""
        return max(self.memory.rows - 1, 0)

    def replay_first(self) -> int:
        """Number of the oldest row that is held."""
        return self.memory.first

    def replay_rows(self, first: int) -> Arrays:
        """Final rows from absolute row `first` on."""
        return self.memory.rows_since(first)

    def restore_replay(self, rows: Arrays, total: int) -> None:
        """Puts back the newest of `total` rows ever written, oldest first."""
        if total:
            # An agent may have lived longer than its configuration's budget.
            self.memory.reserve(min(self.config.learner.buffer, total + 1))
            self.memory.restore(rows, total)

    def replay_capacity(self) -> int:
        """Rows that a resume needs; the ring, which has room for the budget, never holds more."""
        return self.config.learner.buffer
