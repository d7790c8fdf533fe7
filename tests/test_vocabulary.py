"""The words of the project are the field's: shipped code and docs use none of the words that they replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("agent", "envs", "planners", "joule", "joule_errors", "joule_schema", "benchmarks", "docs")
LONE = (
    "README.md",
    "CONTRIBUTING.md",
    "train.py",
    "evaluate.py",
    "render.py",
    "explain.py",
    "compare.py",
    "export.py",
    "play.py",
    "push.py",
    "pull.py",
    "demo.py",
)
HISTORY = ("docs/lab-notes.md",)
"""A record of what was tried, in the words of its time."""

INSTEAD = {
    "doors?": "command, script",
    "lived|living|outlived": "experience, collected, interaction",
    "life": "experience, episode",
    "lessons?": "update, learning a task",
    "foretells?|foretold|foretelling": "predict, predicted",
    "foresees?|foresaw|foreseen|foreseeing|foresight": "predict, predicted",
    "doubts?|doubted|unsure": "uncertainty, disagreement",
    "efforts?": "control cost, action",
    "guards?|guarded|guardrails?": "constraint",
    "barriers?": "constraint cost, safety margin",
    "pursue[sd]?": "plan_for",
    "retask(s|ed|ing)?": "learn_task",
    "novices?": "policy prior",
    "vigilance": "change detection",
    "rivals?": "runner-up, comparison",
    "astray": "another task",
    "hurried": "stop_requested",
    "ledgers?": "forecast log",
    "witness(es|ed)?": "callback",
    "attentive|attended": "observed, interruptible",
    "tapes?": "record, snapshot",
    "twins?": "determinism check",
    "ring": "replay buffer",
    "early.boost": "initial UTD",
    "searched|searches": "planning, plans",
    "rooms?": "package, margin",
    "bodies|body": "environment, env, robot",
    "strangers?": "somebody else",
    "haunted": "ghost view",
    "wish(es)?": "task",
    "nineteen": "the quantile, in per cent",
    "beginners?": "untrained",
}
"""What is not said -> what is said instead (the glossary)."""

HONEST = {
    # MuJoCo's and MJCF's own word for a part of a robot, and the names of its arrays.
    "bodies|body": r"envs/|docs/guide/(perturbations|own-env|environments|how-do-i)"
    r"|docs/cookbook/own-env|docs/concepts/architecture|docs/architecture|comprehension/(violations|subjects|worlds|intuition)|report/templates|README"
    r"|docs/reports/(violation|adaptation)|CHANGELOG",
    # The name of a result file that other tools read.
    "guards?|guarded|guardrails?": r"benchmarks/comprehension/constraint|docs/reports/",
    "retask(s|ed|ing)?": r"benchmarks/comprehension/tasks|docs/reports/",
    # A module of stable-worldmodel.
    "rooms?": r"benchmarks/learning/swm",
    # The old column of a table of renamed settings.
    "early.boost": r"docs/guide/settings",
}
"""Word -> places where it has its honest meaning."""

WORD_START, WORD_END = r"(?<![A-Za-z])", r"(?![a-z])"


def shipped() -> Iterator[Path]:
    """Every file whose words a user may read."""
    for name in SHIPPED:
        for path in sorted((ROOT / name).rglob("*")):
            if path.suffix in (".py", ".md", ".j2") and "__pycache__" not in path.parts:
                yield path
    yield from (ROOT / name for name in LONE)


@pytest.mark.parametrize("word", INSTEAD)
def test_shipped_text_uses_the_words_of_the_field(word: str) -> None:
    pattern = re.compile(f"{WORD_START}(?:{word}){WORD_END}", re.IGNORECASE)
    honest = re.compile(HONEST[word]) if word in HONEST else None
    found = []
    for path in shipped():
        name = path.relative_to(ROOT).as_posix()
        if name in HISTORY or (honest is not None and honest.search(name)):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    say = f"say {INSTEAD[word]}:\n" + "\n".join(found[:20])
    assert not found, f"{len(found)} lines; {say}"
