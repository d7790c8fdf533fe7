"""Faults 35 to 41: settings that do not exist or are out of range, and config files that cannot be read."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import REFUSAL_SECONDS
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.sandbox import Sandbox

SHORT_RANDOM = {"steps": 40, "agent": "random"}


@fault(35, "config key typo", "REJECT + nearest key")
def misspelt_key(sandbox: Sandbox) -> Outcome:
    def misspell(config: dict[str, Any]) -> None:
        config["learning"].update(bacth_size=3)

    typed = sandbox.train("--learning.bacth-size", "3")
    return all_of(
        {
            "on the command line": typed.rejected("learning.batch-size"),
            "in config.json": changed_config_refused(sandbox, misspell, "learning.batch_size"),
        }
    )


def changed_config_refused(sandbox: Sandbox, change: Callable[[dict[str, Any]], object], *words: str) -> bool:
    """Whether every command refuses a run whose config.json was changed, with these words."""
    made = sandbox.train(changes=SHORT_RANDOM)
    path = made.folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return refused_by_all(sandbox, made.folder, *words)


def refused_by_all(sandbox: Sandbox, folder: Path, *words: str) -> bool:
    """Whether train --resume, evaluate and render refuse a folder with exit code 2 and these words."""
    commands = (("train", ["--resume", str(folder)]), ("evaluate", [str(folder)]), ("render", [str(folder)]))
    results = [sandbox.run_command(name, given) for name, given in commands]
    return all(
        r.code == 2 and r.no_traceback and r.mentions(*words) and r.seconds < REFUSAL_SECONDS for r in results
    )


@fault(36, "`lr: 1e-3` (YAML string), `on:`, dup keys", "parsed right or REJECT")
def ambiguous_values(sandbox: Sandbox) -> Outcome:
    made = sandbox.train(changes=SHORT_RANDOM)
    path = made.folder / "config.json"
    path.write_text(path.read_text().replace('"steps": 40', '"steps": 40, "steps": 50', 1))
    typed = sandbox.train("--learning.learning-rate", "1e-3", changes={"steps": 40})
    config = json.loads((typed.folder / "config.json").read_text())

    def rate_as_text(config: dict[str, Any]) -> None:
        config["learning"].update(learning_rate="1e-3")

    twice = sandbox.train("--env-kwargs", '{"a": 1, "a": 2}')
    return all_of(
        {
            "1e-3 typed": config["learning"]["learning_rate"] == 0.001,
            '"1e-3" as text': changed_config_refused(sandbox, rate_as_text, "learning_rate"),
            '"on" for a yes': changed_config_refused(sandbox, lambda c: c.update(video="on"), "video"),
            "a key twice": refused_by_all(sandbox, made.folder, "steps"),
            "a key twice in --env-kwargs": twice.rejected("env-kwargs", "twice"),
        }
    )


def refused(sandbox: Sandbox, *settings: tuple[str, str]) -> dict[str, bool]:
    """Whether training refuses each setting by its name, before it begins."""
    checks = {}
    for name, value in settings:
        result = sandbox.train(f"--{name}", value)
        leaf = name.rpartition(".")[2]
        named = result.rejected(leaf) or result.rejected(leaf.replace("-", "_"))
        checks[f"{name} {value}"] = named
    return checks


@fault(37, "steps 0/-100/1.5/NaN; gamma 1.5; tau -1; batch 0; buffer 0/-1; warm-up -5", "REJECT each")
def values_out_of_range(sandbox: Sandbox) -> Outcome:
    checks = refused(
        sandbox,
        *(("steps", value) for value in ("0", "-100", "1.5", "nan")),
        ("learning.rho", "1.5"),
        ("learning.tau", "-1"),
        ("learning.batch-size", "0"),
        ("learning.replay-capacity-transitions", "0"),
        ("learning.replay-capacity-transitions", "-1"),
        ("explore.warmup-decisions", "-5"),
    )
    typed = list(out_of_range())
    accepted = [f"{flag} {value}" for flag, value in typed if not refused_by_name(flag, value)]
    found = all_of(checks)
    refusals = f"{len(typed) - len(accepted)} of {len(typed)} values out of range are refused by name"
    return Outcome(found.ok and not accepted, f"{found.text}; {refusals}{accepted[:5] or ''}")


def out_of_range() -> Iterator[tuple[str, str]]:
    """Option and value, for several values outside the range of every numeric setting.

    Of a planner's or regulariser's own settings, those of the default kinds are included.
    """
    for name, low, high, whole in ranges():
        fraction = ["1.5"] if whole else []
        for value in (low - 1, high * 2 + 1, "nan", "inf", "three", *fraction):
            yield f"--{name}".replace("_", "-"), str(value)


def ranges() -> Iterator[tuple[str, float, float, bool]]:
    """Name, lowest and highest value of every numeric setting, and whether it is a whole number by default."""
    from agent.configurator import kinds
    from agent.configurator.settings import KIND_SECTIONS, Config

    nodes: dict[str, Any] = {"": Config()}
    for item in dataclasses.fields(Config):
        if dataclasses.is_dataclass(node := getattr(Config(), item.name)):
            nodes[f"{item.name}."] = node
    for prefix, node in nodes.items():
        for item in dataclasses.fields(node):
            if "range" in item.metadata:
                low, high = item.metadata["range"]
                yield prefix + item.name, low, high, isinstance(getattr(node, item.name), int)
    for section in KIND_SECTIONS:
        for name, setting in kinds.settings_of(section, getattr(Config(), section).kind).items():
            if setting.low is not None and setting.high is not None:
                yield f"{section}.{name}", setting.low, setting.high, setting.type is int


def refused_by_name(flag: str, value: str) -> bool:
    """Whether an option with this value is refused, and the message names the setting."""
    from agent.errors import ConfigError
    from joule.cli.options import given_settings
    from joule.commands.train import parser
    from joule.settings import config_from

    words = [flag, value]
    try:
        config_from("default", given_settings(parser(words).parse(words)))
    except ConfigError as error:
        return flag in str(error) or flag[2:].replace("-", "_") in str(error)
    return False


@fault(38, "horizon 0/-1, population 0, elites>population, batch>buffer, horizon>episode", "REJECT")
def inconsistent_values(sandbox: Sandbox) -> Outcome:
    checks = refused(
        sandbox,
        *(("planner.horizon-decisions", value) for value in ("0", "-1", "26")),
        ("planner.samples", "0"),
        ("planner.elites", "17"),
        ("learning.replay-capacity-transitions", "15"),
    )
    unset = {"planner.samples": None, "planner.elites": None}
    default = sandbox.train("--planner.elites", "5000", changes=unset)
    return all_of(checks | {"elites over the planner's own samples": default.rejected("elites")})


@fault(39, 'seed -1, 2^40, 1.5, "a"', "REJECT")
def seed_out_of_range(sandbox: Sandbox) -> Outcome:
    return all_of(refused(sandbox, *(("seed", value) for value in ("-1", str(2**40), "1.5", "a"))))


@fault(40, "device=cuda without GPU", "REJECT (only auto falls back)")
def missing_gpu(sandbox: Sandbox) -> Outcome:
    import torch

    if torch.cuda.is_available():
        return Outcome(False, "this machine has a GPU: not tried")
    checks = {}
    for agent in ("joule", "sac"):
        for device in ("cuda", "cuda:1"):
            result = sandbox.train("--device", device, changes={"agent": agent})
            checks[f"{agent} {device}"] = result.rejected("cuda")
    auto = sandbox.train("--device", "auto", changes={"steps": 40})
    return all_of(checks | {"auto": auto.survived()})


@fault(41, "empty/binary/100 MB config, `!!python/object`", "REJECT <5 s")
def unreadable_config(sandbox: Sandbox) -> Outcome:
    made = sandbox.train(changes=SHORT_RANDOM)
    path, checks = made.folder / "config.json", {}
    contents = {
        "empty": b"",
        "binary": os.urandom(10_000),
        "100 MB": b'{"env": "' + b"x" * 100_000_000 + b'"}',
        "python object": b"!!python/object/apply:os.system ['touch /tmp/executed']",
        "deep": b"[" * 500_000,
        "a list": b"[1, 2]",
    }
    for name, content in contents.items():
        path.write_bytes(content)
        checks[name] = refused_by_all(sandbox, made.folder, "config.json")
    return all_of(checks)
