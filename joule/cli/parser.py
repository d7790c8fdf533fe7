"""The parser of the commands: one sentence for a mistake, and numbers as people write them.

It is argparse, because it starts in milliseconds where richer libraries take half a second.
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from agent.errors import ConfigError
from joule.arguments import at_home
from joule.cli.command_line import command_words, shell_line
from joule.cli.nearest_option import nearest_options
from joule_schema import json_text
from joule_schema.errors import shown

_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)$")
"""How argparse refuses a word."""


class Parser(argparse.ArgumentParser):
    """The options of one command.

    Args:
        prog: the script of the command, such as `train.py`. Help and examples show the command in the form in
            which the process was started.
        description: what the command does, with examples that begin with `python <prog>`.
        operands: of the command, such as `RUN`. The usage line names them, and not the many options.
    """

    def __init__(self, prog: str, description: str | None = None, operands: str = "") -> None:
        words = shell_line(command_words(prog.removesuffix(".py")))
        usage = " ".join(part for part in (words, operands, "[options]") if part)
        super().__init__(
            prog=words,
            usage=usage.replace("%", "%%"),
            description=(description or "").replace(f"python {prog}", words),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
        )
        self.sections: list[argparse._ArgumentGroup] = []
        """Groups of settings that the help shows in full after `--help`, and by their names alone after `-h`."""
        self.add_argument("-h", action=_ShortHelp, nargs=0, help="show the options that most commands need")
        self.add_argument("--help", action="help", help="show all options")

    def print_help(self, file: Any = None) -> None:
        """Prints the help. Raises OSError where it cannot be printed, which argparse keeps to itself."""
        print(self.format_help(), end="", file=file)

    def format_short_help(self) -> str:
        """The help without the settings of `sections`, which are named."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for group in self._action_groups:
            if group not in self.sections:
                formatter.start_section(group.title)
                formatter.add_text(group.description)
                formatter.add_arguments(group._group_actions)
                formatter.end_section()
        if self.sections:
            formatter.start_section("settings that --help shows too")
            formatter.add_text(
                "\n".join(f"--{f'{group.title}.*':<16}{group.description}" for group in self.sections)
            )
            formatter.end_section()
        return formatter.format_help()

    def error(self, message: str) -> NoReturn:
        """Called by argparse for a mistake. Raises ConfigError."""
        if message.endswith("expected one argument"):
            option = message.removeprefix("argument ").partition(":")[0].split("/")[-1]
            message += f"; one that begins with - is written {option}=VALUE"
        choice = _CHOICE.search(message)
        near = choice and difflib.get_close_matches(
            choice[1].lower(), re.findall(r"[\w-]+", choice[2]), 1, 0.5
        )
        raise ConfigError(f"{message}; did you mean {near[0]}?" if near else message)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options.

        Raises:
            ConfigError: for an option that does not exist, with the nearest ones or where to look, and for a bad
                value.
        """
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            name = unknown[0].split("=")[0]
            if not name.startswith("-"):
                raise ConfigError(
                    f"unexpected argument {name}; options begin with --, and one that takes several values is "
                    "given again for each"
                )
            known = [option for action in self._actions for option in action.option_strings]
            near = nearest_options(name, known)
            hint = f"did you mean {' or '.join(near)}?" if near else f"see {self.prog} --help"
            raise ConfigError(f"unknown option {name}; {hint}")
        for name, value in vars(options).items():
            if isinstance(value, Path):
                setattr(options, name, _checked_path(value))
            elif isinstance(value, list):
                checked = [_checked_path(one) if isinstance(one, Path) else one for one in value]
                setattr(options, name, checked)
        return options


class _ShortHelp(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        print(parser.format_short_help(), end="")
        parser.exit()


def _checked_path(path: Path) -> Path:
    """The path, with the home folder for `~`.

    Raises:
        ConfigError: for a path that the file system cannot have, such as a name of 300 letters.
    """
    path = at_home(path)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # the command says what it needs
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return path


def whole_number(text: str) -> int:
    """An int, also from 1e5 and 100_000, because people write budgets so."""
    try:
        return int(text)
    except ValueError:
        try:
            value = number(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}{_written_out(text)}") from None
        if value != int(value):
            raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
        return int(value)


def _written_out(text: str) -> str:
    """The end of the sentence that refuses `50k` or `2M`."""
    short = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,6}))?([km])", text.strip(), re.ASCII | re.IGNORECASE)
    if short is None:
        return ""
    whole, decimals, suffix = short[1], short[2] or "", short[3].lower()
    value, rest = divmod(int(whole + decimals) * {"k": 1_000, "m": 1_000_000}[suffix], 10 ** len(decimals))
    return "" if rest else f"; write {value}"


def number(text: str) -> float:
    """A finite float."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json_text.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a JSON object such as '{{\"key\": 1}}'")
    return value
