"""The command line of every door, made from the settings themselves.

Options come from the dataclasses of the configurator: names, types, defaults, and the docstring
under each field as its help. argparse, because it starts in milliseconds where richer libraries
take half a second; its errors are turned into one sentence with the nearest option.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import inspect
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal, NoReturn

from agent.configurator import kinds
from agent.configurator.settings import (
    KIND_SECTIONS,
    LISTS,
    PRESETS,
    ActorConfig,
    Config,
    CostConfig,
    PlannerConfig,
)
from agent.configurator.validation import (
    drop_foreign_settings,
    known_names,
    replace,
    unique_keys,
    validate,
)
from agent.errors import ConfigError
from agent.seeds import FIRST_SEED


class Parser(argparse.ArgumentParser):
    """argparse whose refusals are one sentence, and which names the nearest option."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options. Raises ConfigError for one that does not exist."""
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            name = unknown[0].split("=")[0]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise ConfigError(f"unknown option {name}" + (f"; did you mean {near[0]}?" if near else ""))
        return options


def field_help(node: type) -> dict[str, str]:
    """Field name -> the docstring that stands under it in the source of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(node))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for line, following in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[line.target.id] = str(following.value.value)
    return found


def add_settings(
    parser: Parser, node: type, defaults: Any, prefix: str = "", without: Container[str] = ()
) -> None:
    """Adds an option `--section.field` for every leaf of a config tree, but for those `without`."""
    hints, helps = typing.get_type_hints(node), field_help(node)
    sections = []
    group = parser.add_argument_group(prefix.rstrip(".") or "run", inspect.getdoc(node).splitlines()[0])  # type: ignore[union-attr]
    for item in dataclasses.fields(node):
        default = getattr(defaults, item.name)
        if item.name in without or (prefix and item.name == "settings"):
            continue
        if dataclasses.is_dataclass(default):
            sections.append((item.name, type(default), default))
            continue
        section = prefix.rstrip(".")
        hint = hints[item.name]
        if section in KIND_SECTIONS and item.name == "kind":
            none = [kinds.NO_PLANNER] if section == "planner" else []
            hint = Literal[(*kinds.table(section), *none)]  # type: ignore[valid-type]
        add_setting(group, prefix + item.name, hint, default, helps.get(item.name, ""))
    if prefix.rstrip(".") in KIND_SECTIONS:
        add_kind_settings(group, prefix.rstrip("."), kind_in(sys.argv, prefix.rstrip(".")))
    for name, kind, default in sections:
        add_settings(parser, kind, default, f"{prefix}{name}.")


def kind_in(arguments: Sequence[str], section: str) -> str:
    """The kind of planner or regulariser that arguments name, or the default: `--help` shows its settings."""
    flag = f"--{section}.kind"
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == flag:
            return following
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    default: str = getattr(Config(), section).kind
    return default


def add_kind_settings(group: Any, section: str, shown: str) -> None:
    """Adds the settings of all kinds of a section; `--help` shows those of the kind `shown` alone."""
    for name, of_kinds in kinds.all_settings(section).items():
        own = dict(of_kinds).get(shown)
        setting = own or of_kinds[0][1]
        text = f"{setting.text} (of {shown}; default: {setting.default})" if own else argparse.SUPPRESS
        add_setting(group, f"{section}.{name}", setting.type, None, text)


def add_setting(group: Any, name: str, hint: Any, default: Any, text: str) -> None:
    """Adds one option. Absent options stay absent, so that presets and defaults show through."""
    flag = "--" + name.replace("_", "-")
    optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
    inner = next(o for o in typing.get_args(hint) if o is not type(None)) if optional else hint
    shown = f" (default: {default})" if default not in (None, (), {}) else ""
    if text != argparse.SUPPRESS:
        text = (text + shown).replace("%", "%%")
    options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
    if typing.get_origin(inner) is Literal:
        group.add_argument(flag, choices=typing.get_args(inner), **options)
    elif inner is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
    elif typing.get_origin(inner) is tuple:
        group.add_argument(flag, action="append", metavar="CHANGE", **options)
    elif typing.get_origin(inner) is dict:
        group.add_argument(flag, type=json_object, metavar="JSON", **options)
    else:
        readers = {int: whole_number, float: number, str: str}
        metavar = {int: "N", float: "X", str: "TEXT"}[inner]
        group.add_argument(flag, type=readers[inner], metavar=metavar, **options)


def add_changes(parser: Parser) -> None:
    """Adds what may be changed about a trained agent and its world by a door that shows it."""
    parser.add_argument("--trust-module", action="append", default=[], metavar="NAME",
                        help="import this module of a run made elsewhere")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_setting(parser, "device", str, None, "cpu, cuda, cuda:1, or auto (default: the run's own)")
    change = "change the world, as in gravity=0.5, or gravity=0.5@300 from frame 300 on; repeatable"
    add_setting(parser, "perturb", tuple[str, ...], (), change)
    energy = "`energy` infers what dead or corrupted sensors should read, for 2 to 3 ms a decision"
    kinds = typing.get_type_hints(Config)["perceive"]
    add_setting(parser, "perceive", kinds, "encoder", energy)
    add_setting(parser, "guard", tuple[str, ...], (), "a limit to keep, as in speed<2; repeatable")
    add_setting(parser, "task", str, "", "other costs, as in track:velocity=-2; see docs/tasks.md")
    learned = "learn the task in the model, by N updates (default: plan for it alone)"
    parser.add_argument("--learn-task", type=whole_number, metavar="N", help=learned)
    # The run's own values show through, so no default is shown here.
    for section, node, without in (
        ("planner.", PlannerConfig, ()),
        ("cost.", CostConfig, ("critics", "bins")),
        ("actor.", ActorConfig, ("target_entropy",)),
    ):
        unset: Any = {item.name: None for item in dataclasses.fields(node) if item.name != "settings"}
        add_settings(parser, node, node(**unset), section, without=without)


def add_adapt(parser: Parser) -> None:
    """Adds the option of doors that show an agent over whole episodes, in which it may learn."""
    told = "notice when the world changes, and learn the new one while acting; see docs/adaptation.md"
    parser.add_argument("--adapt", action="store_true", help=told)


def check_adapt(adapt: bool, config: Config) -> None:
    """Refuses to adapt an agent that cannot be surprised. Raises ConfigError."""
    if adapt and config.agent != "joule":
        raise ConfigError(f"--adapt: {config.agent} has no world model that could be surprised; joule has")


def check_planning(changes: Mapping[str, Any], config: Config) -> None:
    """Refuses settings of a planner for an agent that has none. Raises ConfigError."""
    planning = [name for name in changes if name.startswith("planner.")]
    if planning and config.agent != "joule":
        raise ConfigError(f"--{planning[0]}: {config.agent} does not plan; joule does")


def in_names(options: argparse.Namespace, first_seed: int | None = None) -> list[str]:
    """Parts of a file's name that tell what was asked of a trained agent by the options of `add_changes` and
    `add_adapt`: the same question replaces the same file, another one does not. `first_seed` is told where it
    is not the usual one."""
    asked = dict(sorted(given_settings(options).items()))
    parts = []
    for name, value in (asked | {"retask": options.learn_task}).items():
        if value is None:
            continue
        values = value if name in LISTS else [f"{name.removeprefix('planner.')}-{value}"]
        spoken = [text.replace("<", " below ").replace(">", " above ") for text in values]
        parts += [re.sub(r"[^A-Za-z0-9.@-]+", "-", text).strip("-") for text in spoken]
    if getattr(options, "adapt", False):
        parts.append("adapt")
    if first_seed is not None and first_seed != FIRST_SEED:
        parts.append(f"seed-{first_seed}")
    return parts


def whole_number(text: str) -> int:
    """An int written plainly; 1e5 and 100_000 too, because people write budgets so."""
    try:
        return int(text)
    except ValueError:
        value = number(text)
        if value != int(value):
            raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
        return int(value)


def number(text: str) -> float:
    """A finite float."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object such as '{{\"key\": 1}}'")
    return value


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Those options that are settings of a config and were given, by dotted name."""
    known = known_names()
    given = {name: value for name, value in vars(options).items() if name in known}
    given |= {name: tuple(given[name]) for name in LISTS if name in given}
    return given


def check_task(task: str | None, updates: int | None) -> None:
    """Refuses a task that cannot be read, and learning without one. Raises ConfigError."""
    if task is not None:
        validate(replace(Config(), {"task": task}))
    if updates is not None and (task is None or updates < 1):
        raise ConfigError("--learn-task: needs a --task, and at least 1 update")


def config_from(preset: str, given: dict[str, Any]) -> Config:
    """Defaults, overlaid by a preset, overlaid by what the user gave; validated."""
    if preset not in PRESETS:
        raise ConfigError(f"--preset: {preset!r} is none of {', '.join(PRESETS)}")
    config, _ = drop_foreign_settings(replace(Config(), {**PRESETS[preset], **given}), given)
    return validate(config)
