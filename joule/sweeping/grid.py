"""The settings that a sweep varies, as they are written: lists of values, and ranges for a search.

| text | meaning |
| --- | --- |
| `learning.batch_size=64,256` | each of the values |
| `perturb=["mass=2", "gravity=0.5"]` | the same as a JSON list, for values that hold a comma |
| `learning.learning_rate=1e-4..1e-3` | a range, both ends included |
| `learning.learning_rate=1e-4..1e-3:log` | a range whose logarithm is drawn uniformly |
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.configurator import kinds
from agent.configurator.dotted_names import flatten, known_names, nearest_setting
from agent.configurator.settings import KIND_SECTIONS, LISTS, Config
from agent.errors import ConfigError
from joule.cli.options import add_settings, given_settings
from joule.cli.parser import Parser, number, whole_number
from joule_schema import json_text
from joule_schema.errors import shown

OWN = {"agent": "--agents", "env": "--envs", "seed": "--seeds"}
"""Settings that a sweep has an option for -> the option."""
_LOG = ":log"


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included."""

    low: float
    high: float
    whole: bool
    """Whether only whole numbers are meant."""
    log: bool
    """Whether the logarithm is drawn uniformly."""


def _true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"found {shown(text)}, expected true or false")
    return text == "true"


_READERS: dict[type, Callable[[str], Any]] = {int: whole_number, float: number, bool: _true_or_false}
"""Type of a setting of the user's own class -> how its text is read."""
Values = tuple[Any, ...]
Grid = Mapping[str, Values | Range]
"""Dotted name of a setting -> what it varies over."""


class SettingReader:
    """Reads the text of a setting as the option of `joule train` does."""

    def __init__(self) -> None:
        self._parser = Parser(prog="train.py")
        add_settings(self._parser, Config, Config())
        self._known = [name for name in known_names() if name not in OWN]
        self._own: dict[str, Callable[[str], Any]] = {}

    def learn_kinds(self, given: Mapping[str, Any]) -> None:
        """Adds the own settings of the planners and regularisers that are named, such as `my_module:MyPlanner`.

        Args:
            given: dotted name of a setting -> its value, the values of it, or a text that the grid has for it.

        Raises:
            ConfigError: for a file of such a kind that cannot be read.
        """
        for section in KIND_SECTIONS:
            named = given.get(f"{section}.kind", ())
            if isinstance(named, str):
                named = re.split(r"[^\w.:]+", named)
            for kind in named if isinstance(named, list) else ():
                own = kinds.settings_of(section, kind) if kinds.is_of_user(kind) else {}
                self._own |= {f"{section}.{name}": _READERS[one.type] for name, one in own.items()}

    def name(self, text: str, where: str) -> str:
        """The dotted name of a setting, also where it is written with hyphens.

        Raises:
            ConfigError: for an unknown setting, with the nearest one, and for one with an option of its own.
        """
        name = text.strip().replace("-", "_")
        if name in OWN:
            raise ConfigError(f"{where}: {name} has an option of its own, {OWN[name]}")
        if name not in (known := [*self._known, *self._own]):
            near = nearest_setting(name, known)
            raise ConfigError(f"{where}: unknown setting {text.strip()}{near}")
        return name

    def value(self, name: str, text: str, where: str) -> Any:
        """The value that `--name text` gives.

        Raises:
            ConfigError: for a text that the setting does not take; `where` and the name begin the sentence.
        """
        if name in LISTS and not text:
            return ()
        is_bool = isinstance(flatten(Config()).get(name), bool)
        if (read := self._own.get(name, _true_or_false if is_bool else None)) is not None:
            try:
                return read(text)
            except argparse.ArgumentTypeError as error:
                raise ConfigError(f"{where}: {name}: {error}") from None
        flag = f"--{name.replace('_', '-')}"
        try:
            return given_settings(self._parser.parse([f"{flag}={text}"]))[name]
        except ConfigError as error:
            # argparse names the option of `joule train`, which the user has not given.
            raise ConfigError(f"{where}: {name}: {str(error).removeprefix(f'argument {flag}: ')}") from None


def read_grid(texts: Sequence[str], reader: SettingReader | None = None) -> dict[str, Values | Range]:
    """The grid in texts such as `learning.batch_size=64,256`.

    Args:
        texts: each with a setting.
        reader: knows the kinds of planners and regularisers that are named elsewhere.

    Raises:
        ConfigError: for a text without values, an unknown setting, a value that it does not take, and a setting
            or a value that comes twice.
    """
    entries = []
    for text in texts:
        head, equals, tail = text.partition("=")
        if not equals:
            raise ConfigError(f"--grid: found {shown(text)}, expected NAME=VALUE,VALUE or NAME=LOW..HIGH")
        entries.append((head, tail))
    return _grid(entries, "--grid", reader or SettingReader())


def grid_of_json(entries: Mapping[str, Any], where: str, reader: SettingReader) -> dict[str, Values | Range]:
    """The grid in a JSON object: each entry is a list of values, or a text as on the command line.

    Raises:
        ConfigError: as `read_grid`.
    """
    return _grid([*entries.items()], where, reader)


def _grid(entries: Sequence[tuple[str, Any]], where: str, reader: SettingReader) -> dict[str, Values | Range]:
    """The grid in names with their entries."""
    reader.learn_kinds({head.strip(): entry for head, entry in entries})
    found: dict[str, Values | Range] = {}
    for head, entry in entries:
        name = reader.name(head, where)
        if name in found:
            raise ConfigError(f"{where}: {name} comes twice; give all of its values at once")
        if isinstance(entry, str):
            found[name] = _entry(reader, name, entry.strip(), where)
        elif isinstance(entry, list):
            found[name] = _distinct(name, [plain(name, value) for value in entry], where)
        else:
            raise ConfigError(
                f"{where}: {name} is {shown(entry)}, expected a list of values or a text such as '64,256'"
            )
    return found


def _entry(reader: SettingReader, name: str, text: str, where: str) -> Values | Range:
    if (span := _range(reader, name, text, where)) is not None:
        return span
    if text.startswith("["):
        try:
            values = json_text.loads(text)
        except ValueError as error:
            raise ConfigError(f"{where}: {name} is no JSON list: {error}") from None
        return _distinct(name, [plain(name, value) for value in values], where)
    if not text and name not in LISTS:
        return _distinct(name, [], where)
    return _distinct(name, [reader.value(name, part.strip(), where) for part in text.split(",")], where)


def plain(name: str, value: Any) -> Any:
    """A JSON value as the setting has it: of a list of texts a tuple, also where it is one text alone."""
    if name in LISTS:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    return value


def _distinct(name: str, values: Sequence[Any], where: str) -> Values:
    if not values:
        raise ConfigError(f"{where}: {name} has no values; give at least one, as in {name}=VALUE,VALUE")
    check_distinct(f"{where}: {name}", values)
    return tuple(values)


def check_distinct(what: str, values: Collection[Any]) -> None:
    """Refuses a value that comes twice, because two trials would be the same run.

    Raises:
        ConfigError: for the first of them; `what` begins the sentence.
    """
    seen: set[str] = set()
    for value in values:
        text = json.dumps(value, sort_keys=True, default=str)
        if text in seen:
            raise ConfigError(f"{what}: {shown(value)} comes twice, which would train the same run twice")
        seen.add(text)


def _range(reader: SettingReader, name: str, text: str, where: str) -> Range | None:
    """The range that a text means; None for one that means values."""
    log = text.endswith(_LOG)
    low, dots, high = text.removesuffix(_LOG).partition("..")
    if not dots:
        return None
    try:
        number(low), number(high)
    except argparse.ArgumentTypeError:
        return None
    first, last = reader.value(name, low, where), reader.value(name, high, where)
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (first, last)):
        raise ConfigError(f"{where}: {name} is no number, so that it has no range")
    if not first < last:
        raise ConfigError(
            f"{where}: {name} has the range {low} to {high}, whose first end is not the smaller"
        )
    if log and first <= 0:
        raise ConfigError(f"{where}: {name} begins at {low}; a logarithmic range begins above 0")
    return Range(first, last, isinstance(first, int) and isinstance(last, int), log)
