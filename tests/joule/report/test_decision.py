"""An explained decision as text and as a figure, drawn from its JSON values alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joule.report import decision

HORIZON, ACTIONS, READOUTS, AHEAD = 3, 6, 8, 10


def explanation(**changes: Any) -> dict[str, Any]:
    """The JSON values of an explanation whose energies are 1, 2, 3 and 4."""
    rng = np.random.default_rng(0)
    alternatives = []
    for index, name in enumerate(("chosen", "runner-up", "policy", "no action")):
        terms = {"task": 0.5 + index, "critic": 0.25, "action": 0.0, "uncertainty": 0.25, "constraint": 0.0}
        alternatives.append(
            {
                "name": name,
                "energy": sum(terms.values()),
                "terms": terms,
                "actions": rng.uniform(-1, 1, (HORIZON, ACTIONS)).tolist(),
                "predicted_costs": rng.random(HORIZON).tolist(),
                "executed_costs": rng.random(HORIZON).tolist(),
                "predicted_readouts": rng.normal(size=(AHEAD + 1, READOUTS)).tolist(),
            }
        )
    grid = np.linspace(-1, 1, 41)
    record: dict[str, Any] = {
        "env": "HalfCheetah-v5",
        "agent": "joule",
        "frames": 50_000,
        "unit": "frames",
        "planner": {"kind": "mppi"},
        "perturb": ["gravity=0.5@30"],
        "drawn": {},
        "constraint": ["speed<2"],
        "task": "",
        "seed": 10_000,
        "step": 40,
        "seconds_per_decision": 0.05,
        "discount": 0.5,
        "rewardless": False,
        "alternatives": alternatives,
        "candidates": {"first_actions": rng.uniform(-1, 1, (30, ACTIONS)).tolist()},
        "slice": {
            "dimensions": ["bthigh", "fshin"],
            "indices": [0, 4],
            "values": grid.tolist(),
            "energy": (1.0 + grid[:, None] ** 2 + grid[None] ** 2).tolist(),
        },
        "readouts": {"names": [f"qpos {k}" for k in range(READOUTS)], "usual_change": [1.0] * READOUTS},
        "outcome": {
            "costs": [1.0, 1.0, 1.0, 5.0],
            "readouts": rng.normal(size=(AHEAD + 1, READOUTS)).tolist(),
            "return": -2.5,
            "decisions": 4,
            "hidden": 0.0625,
        },
        "predicted_return": -2.0,
        "ghosts_ahead": 10,
        "no_picture": None,
    }
    return record | changes


def test_text_names_the_decision_and_compares_predictions_with_observations() -> None:
    record = explanation()
    text = decision.shown(record)
    assert "with gravity=0.5@30, within speed<2: decision 40 of the episode of seed 10000" in text
    assert "better than the nearest rejected one, runner-up, by 1: 1 by its task" in text
    predicted = decision.short(decision.discounted(record, record["alternatives"][0]["predicted_costs"]))
    assert f"over 3 decisions the predicted cost was {predicted} and the observed cost 1.75" in text
    minus = "\N{MINUS SIGN}"
    assert (
        f"the predicted discounted return was {minus}2 and the observed one {minus}2.5, over 4 decisions"
        in text
    )
    assert "6 % of the future unseen" in text


def test_a_task_without_critic_predicts_no_return() -> None:
    assert "it predicted no return" in decision.shown(explanation(predicted_return=None))


@pytest.mark.parametrize(
    ("lower", "sentence"), [(0.001, "as good as runner-up"), (0.5, "missed a better plan")]
)
def test_a_plan_that_is_hardly_better_was_not_missed(lower: float, sentence: str) -> None:
    record = explanation()
    chosen, nearest, *_ = record["alternatives"]
    nearest["energy"] = chosen["energy"] - lower
    assert sentence in decision.reason(record)


def test_a_plan_that_breaks_a_constraint_is_named_as_such() -> None:
    record = explanation()
    for plan in record["alternatives"][1:]:
        plan["terms"]["constraint"] = 1e9
        plan["energy"] += 1e9
    assert decision.reason(record) == "the chosen plan is the only one of these that keeps the constraints"
    labels = [text.get_text() for axes in decision.draw(record, []).axes for text in axes.texts]
    assert sum("breaks a constraint" in label for label in labels) == 3


def test_an_episode_that_ends_within_the_plan_shortens_what_is_summed_up() -> None:
    record = explanation()
    for plan in record["alternatives"]:
        del plan["executed_costs"][2:]
    del record["alternatives"][1]["executed_costs"][1:]
    assert "of the plan's 1 to 2 decisions, by the model" in decision.shown(record)
    assert "ends within a plan" in decision.shown(record)
    titles = [axes.get_title(loc="left") for axes in decision.draw(record, []).axes]
    assert "Cost of 1 to 2 decisions" in titles


def test_without_rewards_nothing_is_predicted_of_them() -> None:
    record = explanation(rewardless=True, predicted_return=None)
    text = decision.shown(record)
    assert "over 3 decisions the observed cost was 1.75" in text
    assert "it predicted no cost and no return, because the agent learned without rewards" in text
    chosen = next(line for line in text.splitlines() if line.startswith("chosen"))
    assert chosen.split()[-2] == "\N{EM DASH}", "the predicted cost"
    decision.draw(record, [])


def test_many_terms_are_shown_as_their_sum() -> None:
    record = explanation()
    for index, plan in enumerate(record["alternatives"]):
        plan["terms"] = {f"term {number}": float(index) for number in range(10)}
    axes = decision.draw(record, []).axes[0]
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [*(f"term {number}" for number in range(6)), "others", "sum"]
    bars = sum(patch.get_extents().width for patch in axes.patches)
    left, right = (axes.transData.transform((x, 0.0))[0] for x in (0.0, 10.0 * (1 + 2 + 3)))
    assert bars == pytest.approx(right - left), "the bars are the sum"


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("pictures", [0, 4])
def test_figure_is_drawn_for_one_and_two_action_dimensions(
    dimensions: int, pictures: int, tmp_path: Path
) -> None:
    record = explanation()
    if dimensions == 1:
        record["slice"] = {
            "dimensions": ["bthigh"],
            "indices": [0],
            "values": [-1.0, 0.0, 1.0],
            "energy": [2.0, 1.0, 2.0],
        }
    frames = [np.zeros((48, 64, 3), np.uint8)] * pictures
    decision.draw(record, frames, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 50_000
