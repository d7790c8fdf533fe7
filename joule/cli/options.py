"""The options of the commands, made from the settings themselves.

Names, types, defaults and help come from the dataclasses of the configurator: the docstring under a field is
its help. So a new setting is an option without another line.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Container, Sequence
from typing import Any, Literal

from agent.configurator import kinds
from agent.configurator.dotted_names import flatten
from agent.configurator.settings import KIND_SECTIONS, LISTS, Config
from agent.errors import ConfigError
from joule.cli.named_kinds import named_kinds
from joule.cli.parser import Parser, json_object, number, whole_number
from joule.goals.plan import OF_GOALS

_TYPES: dict[type, tuple[typing.Callable[[str], Any], str]] = {
    int: (whole_number, "N"),
    float: (number, "X"),
    str: (str, "TEXT"),
}
"""Type of a setting -> how it is read, and how the help shows its value."""


def add_settings(
    parser: Parser,
    node: type,
    defaults: Any,
    prefix: str = "",
    *,
    without: Container[str] = (),
    arguments: Sequence[str] = (),
) -> None:
    """Adds an option `--section.field` for every setting of a config tree, one group a section.

    Args:
        parser: where to.
        node: the dataclass of the section.
        defaults: an instance with the values that the help shows as defaults.
        prefix: the section with a dot; empty for the settings of the run itself.
        without: fields that get no option.
        arguments: the command line. The help shows the own settings of the planner and the regulariser that
            it names, by an option or through a run.
    """
    hints, helps, section = typing.get_type_hints(node), field_help(node), prefix.rstrip(".")
    title = (inspect.getdoc(node) or "").splitlines()[0]
    group = parser.add_argument_group(section or "run", title)
    if section:
        parser.sections.append(group)
    sections = []
    for item in dataclasses.fields(node):
        default = getattr(defaults, item.name)
        if item.name in without or (section and item.name == "settings"):
            continue
        if dataclasses.is_dataclass(default):
            sections.append((item.name, type(default), default))
            continue
        if section in KIND_SECTIONS and item.name == "kind":
            add_kind(group, section, default, helps[item.name])
            continue
        add_setting(group, prefix + item.name, hints[item.name], default, helps.get(item.name, ""))
    if section in KIND_SECTIONS:
        add_kind_settings(group, section, named_kinds(arguments)[section])
    for name, of_section, default in sections:
        add_settings(parser, of_section, default, f"{prefix}{name}.", without=without, arguments=arguments)


class _Kinds(tuple[str, ...]):
    """The kinds that argparse lists. It accepts `module:Class` too."""

    def __contains__(self, kind: object) -> bool:
        return super().__contains__(kind) or kinds.is_of_user(kind)


def add_kind(group: Any, section: str, default: str, text: str) -> None:
    """Adds the option that names the planner or the regulariser; arguments as for `add_setting`."""
    group.add_argument(
        f"--{section}.kind",
        choices=_Kinds(kinds.choices(section)),
        dest=f"{section}.kind",
        default=argparse.SUPPRESS,
        help=f"{text} module:Class names one in a file of your own. (default: {default})",
    )


def add_setting(group: Any, name: str, hint: Any, default: Any, text: str) -> None:
    """Adds one option. An absent option stays absent, so that presets and defaults apply.

    Args:
        group: a group of options or a parser.
        name: of the setting, with dots.
        hint: the type of the setting.
        default: shown in the help; None, an empty tuple and an empty object are not.
        text: the help, or `argparse.SUPPRESS`.
    """
    flag = "--" + name.replace("_", "-")
    optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
    inner = next(o for o in typing.get_args(hint) if o is not type(None)) if optional else hint
    shown = f" (default: {default})" if default not in (None, (), {}, "") else ""
    if text != argparse.SUPPRESS:
        text = (text + shown).replace("%", "%%")
    options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
    if typing.get_origin(inner) is Literal:
        group.add_argument(flag, choices=typing.get_args(inner), **options)
    elif inner is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
    elif typing.get_origin(inner) is tuple:
        group.add_argument(flag, action="append", metavar="TEXT", **options)
    elif typing.get_origin(inner) is dict:
        group.add_argument(flag, type=json_object, metavar="JSON", **options)
    else:
        reader, metavar = _TYPES[inner]
        action = Once if name in ONE_ALONE else "store"
        group.add_argument(flag, type=reader, metavar=metavar, action=action, **options)


ONE_ALONE = {
    "task": "join the terms of a task by +, as in less:velocity+0.1*control",
    "data": "give one source; recorded episodes of several folders go into one",
    "goal": "give one goal",
    "goal_energy": "give one energy",
    "sub_goal_decisions": "give one number",
}
"""Settings that look repeatable beside `--constraint` and are not -> what is given in place of two."""


class Once(argparse.Action):
    """Refuses a second, different value: argparse would take the last one without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        if getattr(namespace, self.dest, values) != values:
            option, one = self.dest.replace("_", "-"), ONE_ALONE[self.dest]
            raise ConfigError(f"--{option}: found {getattr(namespace, self.dest)!r} and {values!r}; {one}")
        setattr(namespace, self.dest, values)


def add_kind_settings(group: Any, section: str, kind: str) -> None:
    """Adds the own settings of all kinds of a section; the help shows those of `kind` alone."""
    for name, of_kinds in kinds.all_settings(section, kind).items():
        own = dict(of_kinds).get(kind)
        setting = own or of_kinds[0][1]
        text = f"{setting.text} (of {kind}; default: {setting.default})" if own else argparse.SUPPRESS
        add_setting(group, f"{section}.{name}", setting.type, None, text)


@functools.cache
def field_help(node: type) -> dict[str, str]:
    """Field name -> the docstring under the field in the source of a dataclass."""
    source = ast.parse(textwrap.dedent(inspect.getsource(node)))
    lines = [line for of_class in ast.iter_child_nodes(source) for line in ast.iter_child_nodes(of_class)]
    found = {}
    for line, following in itertools.pairwise(lines):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[line.target.id] = " ".join(str(following.value.value).split())
    return found


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Dotted name -> value of those options that are settings and were given."""
    known = {*flatten(Config()), *OF_GOALS}
    own = tuple(f"{section}." for section in KIND_SECTIONS)  # a kind in a file of the user's own has any
    given = {name: value for name, value in vars(options).items() if name in known or name.startswith(own)}
    return given | {name: tuple(given[name]) for name in LISTS if name in given}
