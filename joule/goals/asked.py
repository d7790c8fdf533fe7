"""What is asked of a trained agent about goals: which one, how it is planned for, and what is learned first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.configurator.settings import GOAL_CONDITIONED, Config
from agent.cost.goal import SUB_GOAL_DECISIONS, Goal
from agent.errors import ConfigError
from joule.arguments import whole
from joule.goals.plan import ARGUMENTS_OF_SEVERAL, OF_PLANS, GoalPlan
from joule.goals.request import GoalRequest

if TYPE_CHECKING:
    from agent.agent import WorldModelAgent


@dataclass(frozen=True)
class AskedGoal:
    """What is asked of a trained agent about goals; None where nothing is."""

    goal: str | Goal | None
    """What to bring about: a goal, or a text; see `joule.goals.text.goal_of`."""
    learn_goals: int | None
    """Updates by which the agent first learns to reach goals."""
    plan: GoalPlan
    """How the goal is planned for."""

    @classmethod
    def taken_from(cls, changes: dict[str, Any]) -> AskedGoal:
        """What changes of a trained agent say about goals, which is taken out of them.

        Raises:
            ConfigError: as `GoalPlan`.
        """
        return cls(changes.pop("goal", None), changes.pop("learn_goals", None), GoalPlan.taken_from(changes))

    @property
    def given(self) -> list[str]:
        """The names of what was given."""
        values = {"goal": self.goal, "learn_goals": self.learn_goals}
        return [*(name for name, value in values.items() if value is not None), *self.plan.given]

    @property
    def name(self) -> str | None:
        """What records call the goal; None where there is none."""
        return self.goal if self.goal is None or isinstance(self.goal, str) else self.goal.name

    @property
    def is_remembered(self) -> bool:
        """Whether the goal, which was checked, is a moment that is looked for in the replay buffer."""
        from joule.goals.text import REMEMBERED, check_text

        return isinstance(self.goal, str) and check_text(self.goal)[0] in REMEMBERED

    def check_not_in_memory(self) -> None:
        """Refuses all of it for an agent in memory. Raises ConfigError."""
        if self.given:
            raise ConfigError(
                f"{self.given[0]}: an agent in memory keeps what it plans for and has learned; call its plan_for "
                "or learn_goals"
            )

    def check(self, config: Config, *, adapts: bool, has_task: bool, several: bool) -> None:
        """Refuses what the agent of a run cannot do, before anything is loaded.

        Args:
            config: of the run.
            adapts: whether the agent is to adapt.
            has_task: whether another task is planned for, or learned.
            several: whether it is to reach goals that follow, one after the other.

        Raises:
            ConfigError: for the first of them.
        """
        if self.learn_goals is not None:
            whole("learn-goals", self.learn_goals, 1)
        if not self.given:
            return
        if several and (one := [name for name in ("goal", *OF_PLANS) if name in self.given]):
            argument = ARGUMENTS_OF_SEVERAL.get(one[0], one[0])
            raise ConfigError(
                f"{one[0]}: is of one goal, and evaluate_goals finds its own; "
                f"{'leave it out' if one[0] == 'goal' else f'give the argument {argument}'}"
            )
        if config.agent == GOAL_CONDITIONED and self.given[0] == "learn_goals":
            raise ConfigError(
                f"--learn-goals: {config.agent} has learned to reach goals in training; leave it out"
            )
        if config.agent != "joule":
            option = self.given[0].replace("_", "-")
            raise ConfigError(
                f"--{option}: {config.agent} has no world model that plans for a goal; joule has"
            )
        if adapts:
            raise ConfigError(
                "--goal: an agent that adapts learns by its costs, not for a goal; leave out --adapt"
            )
        self._check_goal(has_task)
        self.plan.check(self.goal)

    def check_needed(self) -> None:
        """Refuses to learn to reach goals where none is to be reached. Raises ConfigError."""
        if self.learn_goals is not None and self.goal is None:
            raise ConfigError(
                "--learn-goals: is for reaching goals; add --goal with one of them (evaluate takes --goals too)"
            )

    def _check_goal(self, has_task: bool) -> None:
        if self.goal is None:
            return
        if isinstance(self.goal, str):
            from joule.goals.text import check_text

            check_text(self.goal)
        elif not isinstance(self.goal, Goal):
            raise ConfigError(
                f"goal: found {self.goal!r:.80}; give a text such as episode:3@80, or a joule.Goal"
            )
        if has_task:
            raise ConfigError("--goal: does not go with a task; leave one out")

    def found(
        self, agent: WorldModelAgent | None, near_enough: Callable[[], Mapping[str, float]]
    ) -> Goal | None:
        """The goal, as the agent observes it; None where there is none.

        Args:
            agent: with its changes, before it learns to reach goals.
            near_enough: as of `GoalPlan.applied`.

        Raises:
            ConfigError, TaskError, InputError: as `goal_of`, and for what its environment does not observe or have.
        """
        if agent is None or self.goal is None:
            return None
        from joule.goals.acting import check_learned
        from joule.goals.text import goal_of

        plan, env = self.plan, agent.env_spec.env
        ahead = SUB_GOAL_DECISIONS if plan.sub_goal_decisions is None else plan.sub_goal_decisions
        asked = GoalRequest(energy=plan.energy or "auto", sub_goal_decisions=ahead)
        check_learned(agent, asked, self.learn_goals)
        if plan.within is not None:
            agent.modules.layout().check_names(plan.within, "--goal-within", env)
        goal = goal_of(self.goal, agent) if isinstance(self.goal, str) else self.goal
        goal = plan.applied(goal, env, near_enough)
        agent.configurator.goals.check(goal)
        return goal

    def learn(self, agent: WorldModelAgent | None, note: Callable[[str], None] | None) -> None:
        """Learns to reach goals, where that is asked for; `note` is told so first, in a sentence."""
        if agent is None or self.learn_goals is None:
            return
        if note is not None:
            note(f"learning to reach goals first, by {self.learn_goals:,} updates")
        agent.learn_goals(self.learn_goals)
