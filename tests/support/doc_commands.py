"""The commands in a block of bash, and whether the programs that they name take their options."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.cost import task_text
from agent.cost.constraint import parse_constraint
from envs.changes.randomisation import standing
from joule.cli.options import given_settings
from joule.settings import config_from

ROOT = Path(__file__).parents[2]
SCRIPTS = (
    "demo", "train", "evaluate", "render", "explain", "compare", "export", "play", "push", "pull", "sweep",
)  # fmt: skip
WITHOUT_SETTINGS = ("demo", "compare", "export", "push", "pull")
"""Commands whose parser does not depend on the arguments."""
PREFIXES = ("if", "then", "else", "nohup", "srun", "time")
"""Words before a command."""
OTHERS = {
    "pip", "uv", "pytest", "tensorboard", "ray", "python3", "rm", "sudo", "tail", "scontrol", "pre-commit", "fi",
    "[", "true", ".ci/run", ".ci/lowest", ".ci/sdist", ".", "cd", "git", "cat", "tar", "hf",
}  # fmt: skip
"""Programs that are not Joule's; their options are not checked, but the extras of a `pip install` are."""


class UnknownCommand(Exception):
    """A block names a program that no test knows."""


class _Parsed(Exception):
    """The options of a benchmark were parsed."""


def commands(text: str) -> Iterator[list[str]]:
    """The commands in lines of bash, each as its words, without variables, redirections and comments."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("#"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;><")
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in lexer:
            if set(word) <= set("|&;"):
                yield from [words] if words else []
                words = []
            elif set(word) <= set("<>&"):
                skip = True  # the file of a redirection
                if words and words[-1].isdigit():
                    words.pop()
            elif skip:
                skip = False
            elif not words and (word in PREFIXES or re.match(r"[A-Za-z_]\w*=", word)):
                continue
            else:
                words.append(word)
        if words:
            yield words


_taken: set[tuple[str, ...]] = set()
"""Commands that were found right, so that each is parsed once."""


def check(words: list[str], extras: set[str]) -> None:
    """Raises an error where a command would refuse its options.

    Args:
        words: of the command.
        extras: those of the package, which a `pip install` may name.
    """
    if tuple(words) in _taken:
        return
    match words:
        case ["python", "-m", "joule", name, *arguments] | ["joule", name, *arguments] if name in SCRIPTS:
            _check_command(name, arguments)
        case ["python", script, *arguments] if script.removesuffix(".py") in SCRIPTS:
            _check_command(script.removesuffix(".py"), arguments)
        case ["python", script, *arguments] if script.startswith("benchmarks/"):
            _check_benchmark(script, arguments)
        case ["python", "-c", code]:
            compile(code, "-c", "exec")
        case ["python", "-m", module, *_] if module.partition(".")[0] in ("docs", "build", "http"):
            pass
        case ["pip" | "uv", *_]:
            named = {
                name for found in re.findall(r"\[([\w,]+)\]", " ".join(words)) for name in found.split(",")
            }
            if named - extras:
                raise UnknownCommand(f"there is no extra {', '.join(named - extras)}")
        case [name, *_] if name in OTHERS:
            pass
        case _:
            raise UnknownCommand(" ".join(words))
    _taken.add(tuple(words))


def _check_command(name: str, arguments: list[str]) -> None:
    module = import_module(f"joule.commands.{name}")
    if "--help" in arguments:
        arguments = [word for word in arguments if word != "--help"]
    parser = module.parser() if name in WITHOUT_SETTINGS else module.parser(arguments)
    options = parser.parse(arguments)
    given = given_settings(options)
    standing(text for text in given.get("perturb", ()) if text != "none")
    if "task" in given:
        task_text.parse(given["task"])
    for text in given.get("constraint", ()):
        parse_constraint(text)
    if name == "train":
        if options.resume is None and options.init_from is None:
            validate(config_from(options.preset or "default", given))
        else:
            replace(Config(), given)
    if name == "sweep" and options.file is None:
        module.plan_of(options)


def _check_benchmark(script: str, arguments: list[str]) -> None:
    parse: Any = argparse.ArgumentParser.parse_args

    def parsed(parser: argparse.ArgumentParser, given: Any = None, namespace: Any = None) -> None:
        parse(parser, arguments, namespace)
        raise _Parsed

    module = import_module(script.removesuffix(".py").replace("/", "."))
    start = getattr(module, "main", None)
    if start is None:
        raise UnknownCommand(f"{script} has no main")
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parsed),
        mock.patch.object(sys, "argv", [script, *arguments]),
    ):
        try:
            start(arguments) if start.__code__.co_argcount else start()
        except _Parsed:
            return
    raise UnknownCommand(f"{script} parses no options")
