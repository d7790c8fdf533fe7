"""The model card of a shared run: README.md with the metadata that the Hugging Face Hub reads.

What it says comes from the run. Names are of anybody, so that each passes `joule.escaping`; the metadata are JSON
values, which YAML reads as they are.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from agent.configurator.config_json import from_json
from agent.configurator.settings import GOAL_CONDITIONED, NO_ENV, unit_of
from joule.escaping import markdown
from joule.model_file import model_of, other_kwargs
from joule.report.amounts import count
from joule.storage.run_entries import CURVE
from joule.storage.trust import ENV_KWARGS_FLAG, MODULE_FLAG, flags_needed, modules_named, modules_of_classes
from joule_errors.printable import printable
from joule_schema.model_file import shown_env

_LIBRARIES = ("joule", "python", "torch", "mujoco", "gymnasium", "numpy", "stable-baselines3", "sb3-contrib")
_NEWEST = 10
"""Evaluations in the table."""


def model_card(
    values: Mapping[str, Any],
    spec: Mapping[str, Any],
    *,
    repo: str,
    licence: str,
    curve: bool,
    address: str = "",
    revision: str = "",
) -> str:
    """The text of the card.

    Args:
        values: those of `provenance.json`.
        spec: the entry `env_spec` of the run: sizes and rates of the environment.
        repo: the repository; empty for a card that names none.
        licence: an identifier such as `mit`; empty where none was chosen.
        curve: whether there is a picture of the run.
        address: of an agent that comes with Joule, such as `joule://reach`.
        revision: the branch of the repository; empty for the main one.
    """
    blocks = [
        _metadata(values, spec, licence),
        f"# {markdown(values['agent'])} in {markdown(_env(values))}",
        _summary(values),
        _table(_facts(values, spec, licence)),
    ]
    if curve:
        blocks.append(f"![Return against frames]({CURVE})")
    if values["evaluations"]:
        blocks += ["## Evaluations", _evaluations(values)]
    blocks += ["## Use it", _use(values, repo, address, revision)]
    if values["command"]:
        blocks += ["## Train it again", _code(values["command"])]
        if values["changes"]:
            changed = "\n".join(f"- {markdown(change)}" for change in values["changes"])
            blocks.append(f"Settings were changed when it was resumed:\n\n{changed}")
    blocks += [
        "## What is in it",
        "One checkpoint with the networks, the settings, and the evaluations. There is no replay buffer and no "
        "optimiser, so that the run cannot be resumed. Nothing is pickled, and loading it executes nothing that "
        "it holds. `provenance.json` has every setting, and the SHA-256 of each file.",
    ]
    return "\n\n".join(blocks) + "\n"


def _metadata(values: Mapping[str, Any], spec: Mapping[str, Any], licence: str) -> str:
    """The YAML block. JSON texts are YAML texts."""
    lines = ["library_name: joule", f"license: {json.dumps(licence)}"] if licence else ["library_name: joule"]
    kinds = {"world-model": values["agent"] == "joule", "mujoco": spec.get("mujoco", False)}
    tags = ["reinforcement-learning", *(tag for tag, is_one in kinds.items() if is_one), "joule"]
    tags.append(printable(str(values["env"])))
    lines += ["pipeline_tag: reinforcement-learning", "tags:", *(f"- {json.dumps(tag)}" for tag in tags)]
    if values["evaluations"]:
        last, env = values["evaluations"][-1], json.dumps(printable(str(values["env"])))
        score = json.dumps(f"{last['return_mean']:.2f} +/- {last['return_std']:.2f}")
        lines += [
            "model-index:",
            f"- name: {json.dumps(printable(str(values['agent'])))}",
            "  results:",
            "  - task:",
            "      type: reinforcement-learning",
            "      name: reinforcement-learning",
            "    dataset:",
            f"      name: {json.dumps(printable(_env(values)))}",
            f"      type: {env}",
            "    metrics:",
            "    - type: mean_reward",
            f"      value: {score}",
            "      name: mean_reward",
        ]
    return "\n".join(["---", *lines, "---"])


def _env(values: Mapping[str, Any]) -> str:
    """The name of the environment for people."""
    return shown_env(values["env"], values["settings"].get("env_kwargs"))


def _summary(values: Mapping[str, Any]) -> str:
    agent = "A world-model agent" if values["agent"] == "joule" else f"The agent {markdown(values['agent'])}"
    text = (
        f"{agent}, trained for {_amount(values)} in {markdown(_env(values))} with Joule."
        if values["env"] != NO_ENV
        else f"{agent}, trained by {_amount(values)} on recorded episodes with Joule."
    )
    if values["evaluations"]:
        text += f" {score(values['evaluations'], _unit(values))}"
    if values["agent"] == "joule":
        text += (
            " It predicts representations and acts by searching for the actions of least predicted energy."
        )
    return text


def _amount(values: Mapping[str, Any]) -> str:
    """How long it was trained."""
    decisions = f" ({values['decisions']:,} decisions)" if values["decisions"] else ""
    return f"{values['frames']:,} {_unit(values)}{decisions}"


def _task(values: Mapping[str, Any]) -> str:
    """What it was trained for."""
    if values["settings"].get("reward") == "none":
        return "none: it learned without rewards"
    if values["task"]:
        return markdown(values["task"])
    return "to reach goals" if values["agent"] == GOAL_CONDITIONED else "the reward of the environment"


def _observed(spec: Mapping[str, Any]) -> str:
    """The sizes of an observation."""
    parts = spec.get("observation") or ()
    pictures = [" x ".join(map(str, part["shape"])) for part in parts if part["dtype"] == "uint8"]
    numbers = sum(math.prod(part["shape"]) for part in parts if part["dtype"] != "uint8")
    texts = [f"pictures of {sizes} numbers" for sizes in pictures]
    return " and ".join([*texts, f"{numbers} observed numbers"] if numbers or not texts else texts)


def score(evaluations: Sequence[Mapping[str, Any]], unit: str) -> str:
    """The last evaluation in a sentence; `unit` is what training counts, as `Config.unit`."""
    last = evaluations[-1]
    return (
        f"Return {last['return_mean']:,.1f} ± {last['return_std']:,.1f} over "
        f"{count(last['episodes'], 'evaluation episode')} at {last['frames']:,} {unit}."
    )


def _unit(values: Mapping[str, Any]) -> str:
    return unit_of(values["settings"].get("data"))


def _facts(values: Mapping[str, Any], spec: Mapping[str, Any], licence: str) -> list[tuple[str, str]]:
    settings = values["settings"]
    seconds = spec.get("seconds_per_decision")
    rate = (
        f", {1.0 / seconds:,.0f} decisions a second"
        if isinstance(seconds, (int, float)) and seconds > 0
        else ""
    )
    made = values["versions"]
    libraries = ", ".join(
        f"{name} {markdown(str(made[name]))}" for name in _LIBRARIES if made.get(name, "none") != "none"
    )
    rows = [
        ("robot", f"{markdown(values['env'])}: {_observed(spec)}, "
                  f"{spec.get('action_size')} actions{rate}"),
        ("task", _task(values)),
        ("training", f"{_amount(values)}, seed {values['seed']}, weights {markdown(values['weights'])}"),
        ("made with", libraries or "not recorded"),
        ("licence", markdown(licence) if licence else "none was chosen; ask its owner"),
    ]  # fmt: skip
    if settings.get("perturb"):
        rows.insert(2, ("changes of the environment", markdown(", ".join(map(str, settings["perturb"])))))
    return rows


def _evaluations(values: Mapping[str, Any]) -> str:
    rows = [
        (f"{row['frames']:,}", f"{row['return_mean']:,.2f} ± {row['return_std']:,.2f}", str(row["episodes"]))
        for row in values["evaluations"][-_NEWEST:]
    ]
    return _table(rows, (_unit(values), "return", "episodes"))


def _use(values: Mapping[str, Any], repo: str, address: str, revision: str) -> str:
    """How to fetch it and what to type; what comes with Joule, or lies in this folder, need not be fetched."""
    path = f"runs/{repo.rpartition('/')[2]}" if repo else address or "."
    install = 'pip install -e ".[hub]"   # in a checkout of Joule'
    branch = f" --revision {shlex.quote(revision)}" if revision else ""
    lines = (
        [install, f"joule pull {repo}{branch}"]
        if repo
        else []
        if address
        else ["# in the folder of this file"]
    )
    config = from_json({**values["settings"], "env": values["env"]}, elsewhere=True)
    robot = printable(model_of(config))
    flags = [shlex.quote(printable(flag)) for flag in flags_needed(config)]
    modules = [printable(module) for module in modules_named(config)]
    trust = [f"trust_modules={json.dumps(modules)}"] if modules else []
    trust += ["trust_env_kwargs=True"] if other_kwargs(config) else []
    trust += [f"settings={json.dumps({'env': robot})}"] if robot else []
    if config.env != NO_ENV:
        lines.append(" ".join([f"joule render {path}", *flags]))
    text = _code("\n".join(lines))
    if robot:
        text += (
            f"\n\nThe robot's model file, {markdown(robot)}, does not come with the agent. Ask its owner for it, "
            "with the meshes that it names; after `--env` is the place where you put it."
        )
    if set(flags) & {MODULE_FLAG, ENV_KWARGS_FLAG}:
        own = "code" if modules_of_classes(config) else "environment"
        text += f"\n\nThe options say that you trust the {own} of this run"
        text += "; `joule pull` imports nothing." if repo else "."
    arguments = ", ".join([f'"{path}"', *trust])
    return f"{text}\n\nIn Python:\n\n" + _code(f"import joule\n\nagent = joule.load({arguments})", "python")


def _code(text: str, language: str = "") -> str:
    """A block of code that its own text cannot end."""
    safe = "\n".join(printable(line) for line in text.splitlines())
    fence = "```"
    while fence in safe:
        fence += "`"
    return f"{fence}{language}\n{safe}\n{fence}"


def _table(rows: Sequence[Sequence[str]], header: Sequence[str] = ("", "")) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
