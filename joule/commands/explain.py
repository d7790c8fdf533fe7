"""Explain one decision of a trained agent: the plan it chose, three it rejected, and what came of it.

python explain.py RUN --step 300                           the 300th decision of the first evaluation episode
python explain.py RUN --step 300 --seed 10004              of another episode
python explain.py RUN --step 300 --planner.kind icem       had it been searched for by another planner
python explain.py RUN --step 300 --perturb gravity=0.5@200 in a world that changes
python explain.py RUN --step 300 --task less:velocity      for another task, planned for

The episode is the one that render.py films with the same seed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule.cli.options import Parser, add_changes, check_task, given_settings, in_names, whole_number

if TYPE_CHECKING:
    import numpy as np

    from agent.explanation import Explanation
    from envs import SafeEnv
    from joule.storage.run_folder import Run

WIDTH, HEIGHT = 576, 384
"""Pixels of a picture of the body."""
SECONDS_AHEAD, MOST_AHEAD = 0.5, 25
"""How far an imagined future reaches: half a second of the world, within bounds in decisions."""
NEGLIGIBLE = 0.01
"""What came is summed up until the discounted future that is left is this share of the whole."""


def parser() -> Parser:
    """The options of this door."""
    p = Parser(prog="explain.py", description=__doc__)
    p.add_argument("run", type=Path, metavar="RUN", help="a run folder, or one of its checkpoints/step-<n>")
    p.add_argument(
        "--step", type=whole_number, required=True, metavar="N", help="which decision; 1 is the first"
    )
    p.add_argument("--seed", dest="episode_seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help="seed of the episode (default: 10000)")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="DIR", help="where to (default: RUN/explanations)")
    add_changes(p)
    return p


def check(run: Run, step: int, planner: str, out: Path | None) -> None:
    """Refuses what cannot end well, before anything heavy is done. Raises ConfigError."""
    kind, limit = run.config.agent, run.env_spec.get("episode_limit")
    if kind != "joule":
        raise ConfigError(f"{run.folder}: {kind} has no energies, so none of its decisions can be explained")
    if planner == "policy":
        raise ConfigError(
            "planner.kind: policy acts without comparing energies; give --planner.kind mppi to explain a plan"
        )
    if isinstance(limit, int) and step > limit:
        raise ConfigError(
            f"--step: {step} is beyond an episode of {run.config.env}, which has {limit} decisions"
        )
    if out is not None and (not out.parent.is_dir() or (out.exists() and not out.is_dir())):
        raise ConfigError(f"--out: {out} cannot be a folder; give one whose parent is there")


@dataclass
class Episode:
    """A body and the agent in it, decision by decision, without exploring."""

    learner: Any
    body: Any
    seed: int

    def __post_init__(self) -> None:
        self.obs, _ = self.body.reset(seed=self.seed)
        self.state: Any = None
        self.steps, self.over, self.terminated = 0, False, False

    def decide(self) -> np.ndarray:
        """The next action [act]."""
        import numpy as np

        action, self.state = self.learner.predict(
            self.obs, self.state, np.array([self.state is None]), deterministic=True
        )
        return action  # type: ignore[no-any-return]

    def act(self, action: np.ndarray) -> float:
        """Takes one step; what it cost."""
        self.obs, reward, self.terminated, truncated, _ = self.body.step(action)
        self.steps += 1
        self.over = self.terminated or truncated
        return -float(reward)


@dataclass
class Outcome:
    """What came after a decision, while the agent went on to decide anew at every step."""

    costs: list[float]
    readouts: list[np.ndarray]
    """Of the present, and of every step as far as imagination reaches."""
    hidden: float
    """The share of the discounted future that was not lived any more."""

    def total(self, discount: float) -> float:
        """The discounted return."""
        return -sum(discount**k * cost for k, cost in enumerate(self.costs))


def outcome_of(episode: Episode, action: np.ndarray, discount: float, ahead: int) -> Outcome:
    """Lives on from a decision until the future that is left is negligible, or the episode is over."""
    costs, readouts = [], [episode.body.readouts()]
    while True:
        costs.append(episode.act(action))
        if len(costs) <= ahead:
            readouts.append(episode.body.readouts())
        hidden = 0.0 if episode.terminated else discount ** len(costs)
        if episode.over or hidden < NEGLIGIBLE:
            return Outcome(costs, readouts, hidden)
        action = episode.decide()


def true_costs(body: SafeEnv, moment: dict[str, Any], actions: np.ndarray) -> list[float] | None:
    """What a plan [horizon, act] really costs, step by step, from a snapshot; shorter where the episode ends
    under way. None where the body cannot be put back."""
    if not body.restore(moment):
        return None
    costs = []
    for action in actions:
        _, reward, terminated, truncated, _ = body.step(action)
        costs.append(-float(reward))
        if terminated or truncated:
            break
    return costs


def pictures(learner: Any, body: SafeEnv, explanation: Explanation) -> tuple[list[np.ndarray], int]:
    """The body now, with a ghost of it where each alternative leads, and how many decisions ahead that is: as
    far as imagination reaches, or less where a ghost would have left the picture by then.

    None for a body that can have no ghost. Raises RenderError when nothing can be drawn here.
    """
    from envs.rendering import ghost
    from joule.commands.render import GhostView, ImaginedRollouts

    seconds = body.env_spec.seconds_per_decision
    if not ghost.can_appear(body) or seconds is None:
        return [], 0
    rollouts = ImaginedRollouts(learner, body, seconds, 0)
    with_ghost, where = GhostView(rollouts), rollouts.where
    start, plain = with_ghost.ghost.present(), body.render()
    for ahead in range(len(explanation.alternatives[0].future) - 1, 0, -1):
        drawn = []
        for alternative in explanation.alternatives:
            future = alternative.future[: ahead + 1]
            qpos, qvel = future[:, where["qpos"]], future[:, where["qvel"]]
            place = with_ghost.ghost.predicted(start, qpos, qvel, seconds, with_ghost.readable)
            drawn.append(with_ghost.ghost.draw(place))
            if ahead > 1 and not in_view(drawn[-1], plain):
                break
        else:
            break
    return drawn, ahead


def in_view(with_ghost: np.ndarray, plain: np.ndarray) -> bool:
    """Whether a ghost is seen in a picture [height, width, 3], and is cut by neither side nor the top."""
    import numpy as np

    changed = np.abs(with_ghost.astype(int) - plain).max(-1) > 25
    edges = changed[:, 0].any() or changed[:, -1].any() or changed[0].any()
    return bool(changed.any() and not edges)


def stage(config: Any) -> SafeEnv:
    """The body, with a camera on it where a ghost could be drawn."""
    from envs.rendering import ghost
    from joule.environment import make_env

    body: SafeEnv = make_env(config)
    if not ghost.can_appear(body):
        return body
    body.close()
    filmed: SafeEnv = make_env(config, render_mode="rgb_array", width=WIDTH, height=HEIGHT)
    return filmed


def rounded(value: Any) -> Any:
    """JSON values with six significant digits, which is what a reader and a plot can use."""
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def main(arguments: Sequence[str]) -> int:
    options = parser().parse(arguments)
    changes = given_settings(options)
    task = changes.pop("task", None)
    check_task(task, options.learn_task)
    for name, value, low in (("step", options.step, 1), ("seed", options.episode_seed, 0)):
        if value < low:
            raise ConfigError(f"--{name}: {value} is less than {low}")

    from joule.storage.files import replace_file, why
    from joule.storage.run_folder import Run, located

    run = Run.open(located(options.run)[0], trust_modules=options.trust_module)
    check(run, options.step, changes.get("planner.kind", run.config.planner.kind), options.out)
    out = options.out or run.explanations

    # From here on it is heavy: torch and MuJoCo are imported once all of the above is settled.
    os.environ.setdefault("OMP_NUM_THREADS", str(run.config.threads))
    import torch

    from agent.training_env import check_spec
    from joule.report import decision
    from joule.storage.loading import load_changed

    torch.set_num_threads(run.config.threads)
    learner, world = load_changed(options.run, changes, task, options.learn_task, options.trust_module)
    body = check_spec(learner.env_spec, stage(world), learner.config.agent)
    try:
        result, drawn = explained(learner, body, options.episode_seed, options.step)
    finally:
        body.close()
    result = {"run": run.id, "task": world.task, **result}
    print(decision.shown(result))
    shown = f"step-{learner.frames}-seed-{options.episode_seed}-decision-{options.step}"
    name = "-".join([shown, *in_names(options)])
    try:
        out.mkdir(exist_ok=True)
        replace_file(out / f"{name}.json", f"{json.dumps(result)}\n".encode())
        decision.draw(result, drawn, out / f"{name}.png")
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written: {why(error)}") from error
    print(f"\n{out / name}.png\n{out / name}.json")
    return 0


def explained(learner: Any, body: SafeEnv, seed: int, step: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """A decision as JSON values, and pictures of its alternatives.

    Raises ConfigError when the episode ends before that decision.
    """
    import numpy as np

    import envs
    from agent import explanation as explanations
    from agent.configurator.validation import to_json
    from envs.readouts import names

    episode = Episode(learner, body, seed)
    while episode.steps < step - 1 and not episode.over:
        episode.act(episode.decide())
    if episode.over:
        raise ConfigError(
            f"--step: {step} is beyond the episode of seed {seed}, which ended after {episode.steps}"
        )
    seconds = body.env_spec.seconds_per_decision or SECONDS_AHEAD
    horizon = learner.modules.actor.horizon
    ahead = max(2 * horizon, min(math.ceil(SECONDS_AHEAD / seconds), MOST_AHEAD))
    obs, moment = episode.obs, body.snapshot()
    action, episode.state, why = explanations.explain_decision(learner.modules, obs, episode.state, ahead)
    forecast, surprise = learner.forecast(episode.state), float(episode.state.surprise[0])
    try:
        (drawn, ghosts), unseen = pictures(learner, body, why), None
    except envs.RenderError as error:
        drawn, ghosts, unseen = [], 0, str(error)
    outcome = outcome_of(episode, action, learner.modules.discount, ahead)
    alternatives = [
        {
            "name": one.name,
            "energy": one.energy,
            "terms": one.terms,
            "actions": one.actions,
            "foreseen_costs": one.costs,
            "true_costs": true_costs(body, moment, one.actions),
            "foreseen_readouts": one.future,
        }
        for one in why.alternatives
    ]
    config, motors = to_json(learner.config), names.of_actions(body)
    result = {
        "env": config["env"],
        "agent": config["agent"],
        "frames": learner.frames,
        "planner": config["planner"],
        "perturb": config["perturb"],
        "constraint": config["constraint"],
        "perceive": config["perceive"],
        "seed": seed,
        "step": step,
        "seconds_per_decision": body.env_spec.seconds_per_decision,
        "discount": learner.modules.discount,
        "surprise": surprise,
        "alternatives": alternatives,
        "candidates": {"first_actions": why.first_actions, "energies": why.energies},
        "slice": {
            "dimensions": [motors[index] for index in why.slice.dimensions],
            "indices": list(why.slice.dimensions),
            "values": why.slice.values,
            "energy": why.slice.energy,
        },
        "readouts": {"names": names.of_readouts(body), "usual_change": why.usual_change},
        "came": {
            "costs": outcome.costs[:ahead],
            "readouts": np.stack(outcome.readouts),
            "return": outcome.total(learner.modules.discount),
            "decisions": len(outcome.costs),
            "hidden": outcome.hidden,
        },
        "foretold_return": None if forecast is None else float(forecast.returns[0]),
        "ghosts_ahead": ghosts,
        "no_picture": unseen,
    }
    return rounded(result), drawn
