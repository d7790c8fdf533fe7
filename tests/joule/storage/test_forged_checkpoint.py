"""A checkpoint whose hashes are right and whose content no run has written is refused before any of it is set."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import joule
from joule.storage.agent_checkpoint import newest_checkpoint, restore_checkpoint, restore_env
from joule.storage.checkpoint import Checkpoint, CheckpointError
from joule.storage.meta_schema import check_meta
from joule.storage.run_folder import Run
from joule.storage.run_replay import ReplayLogs
from joule_schema.errors import SchemaError

Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def restored(trained_run: Path) -> tuple[Any, Checkpoint, ReplayLogs]:
    """An agent, and the checkpoint that it was loaded from."""
    agent: Any = joule.load(trained_run)
    found = newest_checkpoint(agent, Run.open(trained_run))
    assert found is not None
    return agent, *found


def entry(section: str, name: str, value: Any) -> Change:
    return lambda meta: meta[section].__setitem__(name, value)


def first(arrays: dict[str, np.ndarray], prefix: str, end: str = "") -> str:
    return min(name for name in arrays if name.startswith(prefix) and name.endswith(end))


def array(prefix: str, value: Any, end: str = "") -> Change:
    """Replaces the first array of such a name; a number replaces its first number, None removes it."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        name = first(arrays, prefix, end)
        if value is None:
            del arrays[name]
        elif isinstance(value, float):
            arrays[name].reshape(-1)[0] = value
        else:
            arrays[name] = value

    return change


META: list[tuple[Change, str]] = [
    (entry("agent", "decisions", -1), r"agent\.decisions: -1 is outside"),
    (entry("agent", "update_credit", 1e300), r"agent\.update_credit"),
    (entry("agent", "rows", []), r"agent\.rows: has 0 entries, expected 1"),
    (entry("agent", "metrics", None), r"agent\.metrics: found None"),
    (entry("agent", "random", {"bit_generator": "PCG64"}), r"agent\.random: has no has_uint32"),
    (entry("agent", "more", 1), "unknown entry more"),
    (lambda meta: meta["agent"].pop("surprise"), "agent: has no surprise"),
    (entry("agent", "normalised_rows", [10**9]), "beyond the replay's rows"),
]
ARRAYS: list[tuple[Change, str]] = [
    (array("weights/", float("nan")), "not finite"),
    (array("weights/", None), "has no array"),
    (array("weights/", np.zeros(1, np.float32)), r"found float32 \[1\]"),
    (array("optimizer/", -1.0, "exp_avg_sq"), "exp_avg_sq is negative"),
    (array("optimizer/", None, "exp_avg"), "has no array exp_avg"),
    (array("random/torch", np.zeros(5056, np.uint8)), "random/torch: is not the state of torch's generator"),
    (array("newest_row/0/", np.zeros(99, np.float32)), "newest_row/0"),
    (lambda arrays: arrays.update(evil=np.zeros(3)), "unknown array 'evil'"),
]


@pytest.mark.parametrize(("part", "change", "message"), [
    *(("meta", *case) for case in META), *(("arrays", *case) for case in ARRAYS),
])  # fmt: skip
def test_the_state_of_an_agent_is_refused_by_name_and_nothing_is_set(
    restored: tuple[Any, Checkpoint, ReplayLogs], part: str, change: Change, message: str
) -> None:
    agent, saved, logs = restored
    before = agent.state_dict()[1]
    forged = replace(saved, arrays=copy.deepcopy(saved.arrays), meta=copy.deepcopy(saved.meta))
    change(forged.meta if part == "meta" else forged.arrays)
    with pytest.raises(
        CheckpointError, match=f"step-400: does not hold the state of this agent: .*{message}"
    ):
        restore_checkpoint(agent, forged, logs)
    assert agent.state_dict()[1] == before


def test_a_state_of_another_version_says_which(restored: tuple[Any, Checkpoint, ReplayLogs]) -> None:
    agent, saved, logs = restored
    arrays = {name: array for name, array in saved.arrays.items() if "encoder.out" not in name}
    older = replace(saved, arrays=arrays, identity=saved.identity | {"versions": {"joule": "0.1.0"}})
    with pytest.raises(
        CheckpointError, match=r"has no array .*; Joule '0\.1\.0' wrote it, and this is Joule '"
    ):
        restore_checkpoint(agent, older, logs)
    with pytest.raises(CheckpointError, match=r"has no array \S+; an encoder of your own is imported before"):
        restore_checkpoint(agent, replace(saved, arrays=arrays), logs)


@pytest.mark.parametrize(("kind", "name"), [("joule", "random"), ("sac", "action_space"), ("random", "rng")])
def test_the_numbers_of_a_generator_may_be_text(make_agent: Callable[..., Any], kind: str, name: str) -> None:
    agent = make_agent(agent=kind)
    arrays, meta = agent.state_dict()
    forged = copy.deepcopy(meta)
    state = forged[name]
    state["state"] = {key: str(number) for key, number in state["state"].items()}
    agent.load_state_dict(arrays, forged)
    assert agent.state_dict()[1] == meta


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta.pop("env"), "meta.json: has no env"),
        (entry("unfinished", "since", "x"), r"unfinished\.since: found 'x'"),
        (entry("unfinished", "since", 401), "after the checkpoint's step 400"),
        (entry("counters", "log_failures", None), r"counters\.log_failures"),
        (entry("clocks", "cpu", -1.0), r"clocks\.cpu"),
        (entry("agent", "frames", 7), "7 is not the checkpoint's step 400"),
        (lambda meta: meta.update(scores=[]), r"scores: found a list of 0"),
    ],
)
def test_the_sections_of_meta_json_are_checked(
    restored: tuple[Any, Checkpoint, ReplayLogs], change: Change, message: str
) -> None:
    meta = copy.deepcopy(restored[1].meta)
    check_meta(meta, 400)
    change(meta)
    with pytest.raises(SchemaError, match=message):
        check_meta(meta, 400)


def test_the_state_of_an_environment_is_refused_with_the_checkpoint_and_options_too(
    restored: tuple[Any, Checkpoint, ReplayLogs],
) -> None:
    agent, saved, _ = restored
    agent.env = joule.make_env(agent.config)
    try:
        assert restore_env(agent, saved)
        for change, message in (
            (entry("env", "checks", None), r"env\.checks: found None"),
            (lambda meta: meta["env"].pop("sizes"), "has no sizes"),
            (lambda meta: meta["env"]["record/reset"].update(options={"file": "x"}), "no options to a reset"),
            (lambda meta: meta["env"]["record/scalars"][0].update(step=1), "step is a method or a property"),
        ):
            forged = replace(saved, meta=copy.deepcopy(saved.meta))
            change(forged.meta)
            with pytest.raises(
                CheckpointError, match=f"step-400: does not hold the state of this env.*{message}"
            ):
                restore_env(agent, forged)
        without = replace(saved, arrays={}, meta={**saved.meta, "env": {}})
        assert restore_env(agent, without)
        assert agent.interaction.obs == [None]
    finally:
        agent.env.close()
        agent.env = None
