"""Faults 517 to 530: settings of another person that ask for more memory than there is, for files, or for depth."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.damaged_runs import FinishedRun, change_json, reseal
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import Sandbox

MEMORY_LIMIT = {resource.RLIMIT_AS: 8 << 30}
"""Of address space, in which none of these could be obeyed."""
HUGE: dict[str, tuple[dict[str, Any], str]] = {
    "networks": ({"model": {"hidden_dim": 8192, "latent_dim": 4096, "head_width": 8192, "ensemble_size": 32}}, "networks"),
    "a batch": ({"learning": {"batch_size": 65_536, "window_decisions": 64}, "model": {"hidden_dim": 4096}}, "gradient step"),
    "candidates": (
        {"planner": {"horizon_decisions": 20, "settings": {"samples": 10**6, "iterations": 1_000, "elites": 2}}}, "a plan",
    ),
    "projections": (
        {"regularizer": {"kind": "sigreg", "settings": {"projections": 65_536, "knots": 1_025}}}, "gradient step",
    ),
}  # fmt: skip
"""What is asked for -> settings as in config.json, and a word of the refusal."""
DEEP = "[" * 20_000 + "]" * 20_000


def with_settings(folder: Path, changes: dict[str, Any]) -> Path:
    """Changes settings in the config.json of a run, sections entry by entry. Returns the folder."""
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    for name, value in changes.items():
        settings[name] = {**settings[name], **value} if isinstance(value, dict) and settings[name] else value
    path.write_text(json.dumps(settings))
    return folder


def with_observation(folder: Path, size: int) -> Path:
    """Gives the environment in run.json an observation of this many numbers. Returns the folder."""
    spec = json.loads((folder / "run.json").read_text())["env_spec"]
    part = {"name": "state", "shape": [size], "dtype": "float32"}
    change_json(folder / "run.json", env_spec={**spec, "observation": [part]})
    return folder


def sixteen_gigabytes() -> None:
    """Makes the machine one of 16 GB, whose budget is 8 GB."""
    from joule import memory_budget

    memory_budget.machine_memory = lambda: 16e9  # type: ignore[assignment]


def refused(result: CommandResult, *words: str) -> bool:
    """Whether a command refused with exit code 2, in one line with these words."""
    lines = [line for line in result.err.splitlines() if line.strip()]
    return result.code == 2 and result.no_traceback and len(lines) == 1 and result.mentions(*words)


def readers(sandbox: Sandbox, folder: Path, *more: str, **run: Any) -> dict[str, CommandResult]:
    """The results of the commands that open a run."""
    commands = {
        "evaluate": [str(folder), "--episodes", "1", *more],
        "render": [str(folder), *more],
        "explain": [str(folder), "--step", "1", *more],
        "train": ["--resume", str(folder), *more],
    }
    return {name: sandbox.run_command(name, words, folder=folder, **run) for name, words in commands.items()}


@fault(
    517,
    "config.json asks for 50 GB of networks, batches, candidates, projections",
    "REJECT before memory is taken",
)
def huge_settings(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for what, (changes, word) in HUGE.items():
        folder = with_settings(run.copy(), changes)
        results = readers(sandbox, folder, limits=MEMORY_LIMIT, patch=sixteen_gigabytes)
        checks[what] = all(refused(r, "memory", word, "--memory-budget-gb") for r in results.values())
    return all_of(checks)


@fault(518, "the config.json of another user raises the memory budget itself", "REJECT all the same")
def own_budget(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for what in ("networks", "candidates"):
        folder = with_settings(run.copy(), {**HUGE[what][0], "memory_budget_gb": 1_000_000.0})
        results = readers(sandbox, folder, limits=MEMORY_LIMIT, patch=sixteen_gigabytes)
        checks[what] = all(refused(r, "memory", "--memory-budget-gb") for r in results.values())
    return all_of(checks)


@fault(
    519,
    "run.json gives an observation of a million numbers, or of 1,000 with a long replay",
    "REJECT as above",
)
def huge_observation(sandbox: Sandbox) -> Outcome:
    limited: dict[str, Any] = {"limits": MEMORY_LIMIT, "patch": sixteen_gigabytes}
    folders: dict[str, Path] = {}
    for agent in ("joule", "sac", "ppo"):
        folder = sandbox.train(changes={"agent": agent}).folder
        folders[agent] = with_observation(with_settings(folder, {"model": {"hidden_dim": 4096}}), 1_000_000)
    long = {"learning": {"replay_capacity_transitions": 10**8}, "steps": 10**10}
    folders["replay"] = with_observation(with_settings(FinishedRun(sandbox).copy(), long), 1_000)
    checks = {}
    for name, folder in folders.items():
        result = sandbox.run_command("evaluate", [str(folder)], **limited)
        checks[name] = refused(result, "memory", "--memory-budget-gb")
    return all_of(checks)


@fault(520, "config.json asks for 1,024 environments in processes", "REJECT before one is started")
def many_processes(sandbox: Sandbox) -> Outcome:
    run = FinishedRun(sandbox)
    folder = with_settings(run.copy(), {"num_envs": 1_024, "vector_mode": "async"})
    resumed = sandbox.resume(folder)
    typed = sandbox.train(changes={"num_envs": 1_024, "vector_mode": "async"})
    checks = {
        "resumed": refused(resumed, "num_envs"),
        "typed": refused(typed, "environments", "--memory-budget-gb"),
    }
    return all_of(checks)


@fault(
    521,
    "a run of one's own above the budget, with --memory-budget-gb",
    "works, is resumed and evaluated without it",
)
def allowed_by_option(sandbox: Sandbox) -> Outcome:
    from joule import memory_budget

    def small_machine() -> None:
        memory_budget.machine_memory = lambda: 4e6  # type: ignore[assignment]

    refusal = sandbox.train(patch=small_machine)
    own = sandbox.train("--memory-budget-gb", "1", patch=small_machine)
    again = sandbox.resume(own.folder, "--steps", "160", patch=small_machine)
    evaluated = sandbox.run_command("evaluate", [str(own.folder), "--episodes", "1"], patch=small_machine)
    other_home = {"XDG_STATE_HOME": str(sandbox.place / "another user")}
    module = ("--trust-module", "tiny_env")
    words = [str(own.folder), "--episodes", "1", *module]
    other_user = sandbox.run_command("evaluate", words, patch=small_machine, environ=other_home)
    allowed = sandbox.run_command(
        "evaluate", [*words, "--memory-budget-gb", "1"], patch=small_machine, environ=other_home
    )
    return all_of(
        {
            "without the option": refusal.rejected("memory", "--memory-budget-gb"),
            "with it": own.survived(),
            "resumed": again.survived(),
            "evaluated": evaluated.code == 0,
            "another user": refused(other_user, "--memory-budget-gb"),
            "another user with it": allowed.code == 0,
        }
    )


@fault(522, "memory that the budget allows and the machine does not have", "STOP, one sentence")
def memory_is_short(sandbox: Sandbox) -> Outcome:
    limit = {resource.RLIMIT_AS: 4 << 30}
    large = {"model.hidden_dim": 8192, "model.latent_dim": 4096, "model.head_width": 8192}
    train = sandbox.train("--memory-budget-gb", "1000", changes=large, limits=limit)
    run = FinishedRun(sandbox)
    candidates = ["--planner.samples", "1000000", "--planner.iterations", "1000"]
    words = ["--episodes", "1", "--memory-budget-gb", "100000", *candidates]
    evaluate = sandbox.run_command("evaluate", [str(run.folder), *words], limits=limit)
    return all_of(
        {
            f"train ({train.describe()[:80]})": train.stopped("memory is short"),
            f"evaluate ({evaluate.describe()[:80]})": evaluate.stopped("memory is short"),
        }
    )


@fault(523, "env_kwargs with render_mode human, an episode limit, or another id", "REJECT at every way in")
def reserved_arguments(sandbox: Sandbox) -> Outcome:
    from joule_schema.env_kwargs import RESERVED

    run, checks = FinishedRun(sandbox), {}
    for name, value in {
        "render_mode": "human",
        "max_episode_steps": 7,
        "id": "x",
        "disable_env_checker": True,
    }.items():
        assert name in RESERVED
        kwargs = {name: value}
        typed = sandbox.train("--env-kwargs", json.dumps(kwargs))
        folder = with_settings(run.copy(), {"env_kwargs": kwargs})
        results = readers(sandbox, folder, "--trust-env-kwargs")
        checks[f"{name} typed"] = typed.rejected("env_kwargs", name)
        checks[f"{name} in config.json"] = all(refused(r, "env_kwargs", name) for r in results.values())
        checks[f"{name} from Python"] = _refused_in_python(kwargs)
    return all_of(checks)


def _refused_in_python(kwargs: dict[str, Any]) -> bool:
    """Whether `make` and `make_env` refuse keyword arguments with one of Joule's errors."""
    import joule
    from joule_errors import Refused

    calls: tuple[Callable[[], object], ...] = (
        lambda: joule.make("random", env="Pendulum-v1", env_kwargs=kwargs),
        lambda: joule.make_env("Pendulum-v1", env_kwargs=kwargs),
    )
    refusals = 0
    for call in calls:
        try:
            call()
        except Refused as error:
            refusals += "env_kwargs" in str(error)
    return refusals == len(calls)


@fault(
    524,
    "a run of another user whose env_kwargs name a file",
    "REJECT, prints --trust-env-kwargs; works with it",
)
def arguments_of_another_user(sandbox: Sandbox) -> Outcome:
    pendulum = {"env": "Pendulum-v1", "agent": "random", "steps": 60}
    own = sandbox.train("--env-kwargs", '{"g": 9.0}', changes=pendulum)
    evaluate = [str(own.folder), "--episodes", "1"]
    other_home = {"XDG_STATE_HOME": str(sandbox.place / "another user")}
    trusting = "--trust-env-kwargs"
    checks = {
        "own": sandbox.run_command("evaluate", evaluate).code == 0,
        "resumed": sandbox.resume(own.folder, "--steps", "90").survived(),
        "another user": refused(
            sandbox.run_command("evaluate", evaluate, environ=other_home), trusting, '"g": 9.0'
        ),
        "trusted": sandbox.run_command("evaluate", [*evaluate, trusting], environ=other_home).code == 0,
    }
    with_settings(own.folder, {"env_kwargs": {"g": 9.0, "xml_file": "/etc/passwd"}})
    changed = sandbox.run_command("evaluate", evaluate)
    checks["changed by somebody"] = refused(changed, trusting, "/etc/passwd")
    return all_of(checks)


@fault(525, "a run of another user with a module and env_kwargs", "REJECT, one sentence with both options")
def module_and_arguments(sandbox: Sandbox) -> Outcome:
    run = FinishedRun(sandbox)
    folder = with_settings(run.copy(), {"env": "evil:Env-v0", "env_kwargs": {"a": "\x1b[2J"}})
    results = readers(sandbox, folder)
    plain = all(result.err.isprintable() or "\x1b" not in result.err for result in results.values())
    flags = ("--trust-module evil", "--trust-env-kwargs")
    return all_of({"both": all(refused(r, *flags) for r in results.values()), "printable": plain})


@fault(526, "--env-kwargs nested 20,000 deep, 900 deep, or with a key twice", "REJECT, one sentence")
def deep_arguments(sandbox: Sandbox) -> Outcome:
    texts = {
        "20,000": f'{{"a": {DEEP}}}', "900": f'{{"a": {"[" * 900}{"]" * 900}}}', "not closed": '{"a": ' + "[" * 20_000,
        "a key twice": '{"a": 1, "a": 2}',
    }  # fmt: skip
    checks = {}
    for name, text in texts.items():
        result = sandbox.train("--env-kwargs", text)
        short = all(len(line) < 500 for line in result.err.splitlines())
        checks[name] = result.rejected("env-kwargs") and short
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    checks["from Python"] = _refused_in_python({"a": deep})
    return all_of(checks)


@fault(527, "JSON nested 20,000 deep in any file of a run", "REJECT, one sentence")
def deep_files(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("run.json", "config.json"):
        folder = run.copy()
        text = (folder / name).read_text()
        (folder / name).write_text(text.rstrip()[:-1] + f', "deep": {DEEP}}}')
        checks[name] = all(refused(r, name, "deep") for r in readers(sandbox, folder).values())
    folder = run.copy()
    (folder / "config.json").write_text(f'{{"a": {DEEP}}}')
    checks["config.json in compare"] = refused(sandbox.run_command("compare", [str(folder)]), "config.json")
    folder = run.copy()
    (folder / "summary.json").write_text(f'{{"frames": {DEEP}}}')
    checks["summary.json"] = sandbox.resume(folder).survived()
    for name in ("meta.json", "MANIFEST.json", "arrays.safetensors"):
        folder = run.copy()
        newest = newest_checkpoint(folder)
        text = f'{{"a": {DEEP}}}'
        if name == "arrays.safetensors":
            (newest / name).write_bytes(len(text).to_bytes(8, "little") + text.encode())
        else:
            (newest / name).write_text(text)
        if name != "MANIFEST.json":
            reseal(newest)
        found = sandbox.run_command("evaluate", [str(newest)])
        checks[name] = refused(found, "step-120")
    return all_of(checks)


@fault(528, "run.json gives junk for every entry of the environment's specification", "REJECT by name")
def junk_specification(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    junk: dict[str, Any] = {
        "observation": [{"name": "state", "shape": [-3], "dtype": "float32"}], "action_size": 10**12, "env": None,
        "episode_limit": 0.5, "action_repeat": True, "readout_sizes": {"x": -1}, "derived_readouts": [],
    }  # fmt: skip
    for name, value in junk.items():
        folder = run.copy()
        spec = json.loads((folder / "run.json").read_text())["env_spec"]
        change_json(folder / "run.json", env_spec={**spec, name: value})
        checks[name] = refused(sandbox.run_command("evaluate", [str(folder)]), name)
    return all_of(checks)


@fault(529, "derived_readouts of run.json forged", "REJECT or no effect, no traceback")
def forged_readouts(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    junk: dict[str, Any] = {
        "a number": {"speed": 3}, "a formula": {"speed": {"of": "__import__('os')"}}, "deep": {"speed": [[[[1]]]]},
        "unknown": {"speed": {"readout": "nothing", "index": 10**12}},
    }  # fmt: skip
    for name, value in junk.items():
        folder = run.copy()
        spec = json.loads((folder / "run.json").read_text())["env_spec"]
        change_json(folder / "run.json", env_spec={**spec, "derived_readouts": value})
        words = [str(folder), "--episodes", "1", "--task", "less:speed"]
        result = sandbox.run_command("evaluate", words)
        checks[name] = result.code in (0, 2) and result.no_traceback
    return all_of(checks)


@fault(530, "a memory budget that is too small, typed", "REJECT, says that it was given")
def small_budget(sandbox: Sandbox) -> Outcome:
    result = sandbox.train("--memory-budget-gb", "0.001")
    return Outcome(result.rejected("the budget is 1 MB (given)"), result.describe())
