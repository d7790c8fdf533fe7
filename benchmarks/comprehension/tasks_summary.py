"""The summary of the rows of `tasks.py`: how far methods get between random actions and another method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from agent.cost.task_text import parse
from benchmarks.markdown_tables import each_run, markdown

SUMMARY = "retask.json"
"""Its file, beside the table."""
METHODS = ("plan", "learn_task", "policy", "init_from")
"""Methods of the summary."""
SHOWN = {
    "unmodified": "unmodified",
    "random": "random",
    "plan": "planned for",
    "learn_task": "learned",
    "policy": "learned, policy alone",
    "init_from": "`--init-from`",
    "sac": "SAC from scratch",
    "oracle": "oracle",
}
"""Method -> its heading in the report."""
LEARNED = (*METHODS, "sac")
"""Methods whose deviations the report shows."""


def fractions(rows: list[dict[str, Any]], other: str) -> dict[str, dict[str, Any]]:
    """Method -> task -> fraction of the other method's score, both above random, and the means over the tasks.

    `new_tasks` and `own_reward` are means over the tasks without and with the environment's own cost; None without one.
    There are `new_tasks_number` of the former. In `new_tasks_capped` no task counts more than 1, and `new_tasks_capped_by_env` has such a mean of each environment.
    Scores are compared with those for the same costs, over as many decisions and episodes. The oracle plays one
    episode, so that beside it the first one of the others counts; in older rows, which do not have it, the mean of all.
    """
    first = other == "oracle"
    columns = ("env", "task", "costs", "decisions", *(() if first else ("episodes",)))
    all_runs: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for row in rows:
        by_method = all_runs.setdefault(tuple(row[name] for name in columns), {})
        score = (first and row.get("return_first")) or row["return_mean"]
        by_method.setdefault(row["method"], []).append(float(score))
    means = {task: {m: float(np.mean(r)) for m, r in found.items()} for task, found in all_runs.items()}
    result: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        shares = {
            task: (mean[method] - mean["random"]) / (mean[other] - mean["random"])
            for task, mean in means.items()
            if {method, other, "random"} <= mean.keys() and mean[other] > mean["random"]
        }
        if shares:
            names = _names(list(shares))
            new = {task: share for task, share in shares.items() if not has_own_cost(task[2])}
            at_most_one = {task: min(share, 1.0) for task, share in new.items()}
            result[method] = {names[task]: share for task, share in shares.items()} | {
                "mean": _mean(list(shares.values())),
                "new_tasks": _mean(list(new.values())),
                "new_tasks_number": len(new),
                "new_tasks_capped": _mean(list(at_most_one.values())),
                "new_tasks_capped_by_env": {
                    env: _mean([share for task, share in at_most_one.items() if task[0] == env])
                    for env in sorted({task[0] for task in new})
                },
                "own_reward": _mean([share for task, share in shares.items() if task not in new]),
            }
    return result


def _names(tasks: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Names of tasks: environment and task, and the costs and lengths too where another task has the same."""
    shared = Counter(task[:2] for task in tasks)
    return {
        (env, task, *rest): f"{env}: {task}" + f" ({', '.join(rest)})" * (shared[env, task] > 1)
        for env, task, *rest in tasks
    }


def has_own_cost(costs: str) -> bool:
    """Whether a task contains the environment's own cost."""
    return any(term.unweighted_text == "own" for term in parse(costs).terms)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of the table. The fractions of SAC are those of `learn_task`; None where SAC has no row.

    Those of `init_from`, which takes new frames, stand beside them.
    """
    sac, oracle = fractions(rows, "sac"), fractions(rows, "oracle")
    learned, trained = sac.get("learn_task", {}), sac.get("init_from", {})
    return {
        "fraction_of_sac_new_tasks": learned.get("new_tasks"),
        "fraction_of_sac_new_tasks_capped": learned.get("new_tasks_capped"),
        "fraction_of_sac_own_reward": learned.get("own_reward"),
        "fraction_of_sac_new_tasks_init_from": trained.get("new_tasks"),
        "of_sac": sac,
        "of_oracle": oracle,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The scores in Markdown: a line for each environment and task, a column for each method."""
    columns = ("env", "task", "costs", "decisions")
    tasks = dict.fromkeys(tuple(row[name] for name in columns) for row in rows)
    lengths = Counter(each[:3] for each in tasks)
    lines = []
    for env, task, costs, decisions in sorted(tasks, key=lambda each: each[0]):
        own = [row for row in rows if tuple(row[name] for name in columns) == (env, task, costs, decisions)]
        by_method = {method: [row for row in own if row["method"] == method] for method in SHOWN}
        by_method["random"] = by_method["random"][:1]  # the same for every agent
        cells = (each_run(found, method in LEARNED) for method, found in by_method.items())
        length = f", {decisions} decisions" * (lengths[env, task, costs] > 1)
        lines.append([f"{env}: {task}, `{costs}`{length}", *cells])
    return markdown(["task", *SHOWN.values()], lines)
