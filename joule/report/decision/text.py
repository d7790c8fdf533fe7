"""An explained decision in words: what was decided, why, and what happened."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from joule.escaping import terminal
from joule.report import drawn_values
from joule.report.amounts import count
from joule.report.goals_text import by_energy

Record = Mapping[str, Any]
"""The JSON values of an explanation."""
NEGLIGIBLE = 0.01
"""Share of the largest difference between energies below which two of them count as equal."""


def shown(record: Record) -> str:
    """The decision as text: a table with one row per alternative, and a few sentences."""
    alternatives = record["alternatives"]
    terms = list(alternatives[0]["terms"])
    best = alternatives[0]["energy"]
    names = ["energy", "above", *map(terminal, terms), "predicted", "executed"]
    widths = [max(12, len(name) + 2) for name in names]
    lines = [heading(record), "", f"{'plan':<12}" + "".join(map(str.rjust, names, widths))]
    for plan in alternatives:
        predicted, executed = over_horizon(record, plan)
        parts = [plan["terms"][name] for name in terms]
        numbers = [plan["energy"], plan["energy"] - best, *parts, predicted, executed]
        lines.append(f"{plan['name']:<12}" + "".join(map(str.rjust, map(short, numbers), widths)))
    ends = (
        "; the episode ends within a plan" if min(_counted(record)) < len(alternatives[0]["actions"]) else ""
    )
    lines += [
        "",
        f"predicted, executed: discounted cost of the plan's {counted_decisions(record)}, by the model and in "
        f"the environment{ends}",
        reason(record),
        *outcome_of(record),
    ]
    if record["no_picture"]:
        lines.append(f"no picture of the environment: {record['no_picture']}")
    return "\n".join(map(terminal, lines))


def heading(record: Record) -> str:
    """Which decision it is: of which agent, in which environment and episode."""
    changes = f", with {' '.join(record['perturb'])}" if record["perturb"] else ""
    changes += f", drawn {drawn_values.text(record['drawn'])}" if record["drawn"] else ""
    changes += f", within {' '.join(record['constraint'])}" if record["constraint"] else ""
    if record.get("goal"):
        changes += f", for the goal {record['goal']} {by_energy(record)}"
    elif record["task"]:
        changes += f", for {record['task']}"
    return (
        f"{record['env']}, {record['agent']} after {record['frames']:,} {record['unit']}, planner "
        f"{record['planner']['kind']}{changes}: decision {record['step']:,} of the episode of "
        f"seed {record['seed']}"
    )


def reason(record: Record) -> str:
    """Why the chosen plan was chosen, in one sentence."""
    chosen, *rejected = record["alternatives"]
    nearest = min(rejected, key=lambda plan: plan["energy"])
    gap = nearest["energy"] - chosen["energy"]
    changes = {name: value - chosen["terms"][name] for name, value in nearest["terms"].items()}
    better = [f"{short(value)} by its {name}" for name, value in changes.items() if value > 0]
    worse = [f"{short(-value)} by its {name}" for name, value in changes.items() if value < 0]
    if breaks_a_constraint(nearest) and not breaks_a_constraint(chosen):
        return "the chosen plan is the only one of these that keeps the constraints"
    if gap < 0:
        kept = [plan["energy"] for plan in rejected if not breaks_a_constraint(plan)]
        differ = max(kept, default=nearest["energy"]) - nearest["energy"]
        if -gap < NEGLIGIBLE * differ:
            return f"the chosen plan is as good as {nearest['name']}, whose energy is lower by {short(-gap)} alone"
        return f"the planner missed a better plan: {nearest['name']} has an energy lower by {short(-gap)}"
    sentence = f"the chosen plan is better than the nearest rejected one, {nearest['name']}, by {short(gap)}"
    if better and worse:
        return f"{sentence}: better {' and '.join(better)}, worse {' and '.join(worse)}"
    return f"{sentence}: {' and '.join(better)}" if better else sentence


def outcome_of(record: Record) -> list[str]:
    """Predicted and observed values: a sentence on the cost of the horizon, and one on the return."""
    chosen, outcome = record["alternatives"][0], record["outcome"]
    observed = outcome["costs"][: len(chosen["actions"])]
    if record["rewardless"]:
        return [
            f"over {count(len(observed), 'decision')} the observed cost was "
            f"{short(discounted(record, observed))}, with a new plan at every decision",
            "it predicted no cost and no return, because the agent learned without rewards and seeks what is new",
        ]
    predicted = discounted(record, chosen["predicted_costs"][: len(observed)])
    sentences = [
        f"over {count(len(observed), 'decision')} the predicted cost was {short(predicted)} and the observed "
        f"cost {short(discounted(record, observed))}, with a new plan at every decision"
    ]
    if record["predicted_return"] is None:
        what = "a goal" if record.get("goal") else "this task"
        return [*sentences, f"it predicted no return, because {what} is planned for without a critic"]
    hidden = f", {100 * outcome['hidden']:.0f} % of the future unseen" if outcome["hidden"] >= 0.005 else ""
    sentences.append(
        f"the predicted discounted return was {short(record['predicted_return'])} and the observed one "
        f"{short(outcome['return'])}, over {count(outcome['decisions'], 'decision')}{hidden}"
    )
    return sentences


def breaks_a_constraint(plan: Record) -> bool:
    """Whether a plan is predicted to break a constraint, which no other term outweighs."""
    return bool(plan["terms"].get("constraint", 0.0) > 0)


def over_horizon(record: Record, plan: Record) -> tuple[float, float]:
    """Discounted cost of a plan over those of its decisions that could be executed.

    Returns:
        The predicted cost, NaN for an agent that learned without rewards; and that of the same actions in the
        environment, NaN where the environment could not be restored to execute them.
    """
    predicted, executed = plan["predicted_costs"], plan["executed_costs"]
    if executed is not None:
        predicted = predicted[: len(executed)]
    return (
        math.nan if record["rewardless"] else discounted(record, predicted),
        math.nan if executed is None else discounted(record, executed),
    )


def counted_decisions(record: Record) -> str:
    """How many decisions of the plans `over_horizon` sums up, as text: fewer where the episode ends before."""
    fewest, most = min(_counted(record)), max(_counted(record))
    return count(most, "decision") if fewest == most else f"{fewest:,} to {count(most, 'decision')}"


def _counted(record: Record) -> list[int]:
    """The same number of each plan."""
    return [
        len(plan["predicted_costs"] if plan["executed_costs"] is None else plan["executed_costs"])
        for plan in record["alternatives"]
    ]


def discounted(record: Record, costs: Sequence[float]) -> float:
    """The discounted sum of costs, one per decision."""
    return float(sum(record["discount"] ** k * cost for k, cost in enumerate(costs)))


def short(value: float) -> str:
    """A number with about four significant digits and a true minus sign; a dash where it is not known."""
    if math.isnan(value):
        return "\N{EM DASH}"
    return f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")
