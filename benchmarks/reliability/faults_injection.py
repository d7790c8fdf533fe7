"""Faults 401 to 422: names and messages of other people in terminals, Markdown, spreadsheets, figures and pages."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault, outcome
from benchmarks.reliability.hostile_env import MODULE
from benchmarks.reliability.sandbox import Sandbox

from hostile_text import NAMES, control_characters  # isort: skip  # the sandbox puts these on the path
from result_files import write_evaluations, write_run  # isort: skip

ENV = f"{MODULE}:Hostile-v0"
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"
BIDI = "a\u202eb\u2067c"
IN_FILES = {kind: name for kind, name in NAMES.items() if "\x00" not in name and "\udcff" not in name}
"""Names that a CSV file can hold."""
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def harmless(result: CommandResult) -> bool:
    """Whether neither stream holds a character that controls a terminal, and there is no traceback."""
    return not control_characters(result.out + result.err, kept="\n\t") and result.no_traceback


def one_sentence(result: CommandResult, code: int) -> bool:
    """Whether a command ended with one bounded line on stderr."""
    lines = [line for line in result.err.splitlines() if line.strip()]
    return result.code == code and len(lines) == 1 and len(lines[0]) < 5_000 and harmless(result)


def named_runs(folder: Path, names: Iterable[str], *, seeds: int = 1, env: str | None = None) -> list[Path]:
    """A run folder per name and seed, whose environment, agent, command and a setting have that name.

    Args:
        folder: where they are made.
        names: what they are called.
        seeds: runs per name.
        env: one environment for all of them, which is quicker to draw.
    """
    made = []
    for number, name in enumerate(names):
        for seed in range(seeds):
            run = write_run(folder / f"{number}-{seed}", [1.0], settings={name or "empty": name})
            returns = [1.0 + number, 2.0 + number + seed]
            write_evaluations(
                run / "evaluations.csv",
                returns,
                env=name if env is None else env,
                agent=name or "a",
                seed=seed,
            )
            (run / "command.txt").write_text(name)
            made.append(run)
    return made


def compare(sandbox: Sandbox, runs: Iterable[Path], *words: str) -> tuple[CommandResult, Path]:
    """A comparison and its folder."""
    out = sandbox.new_path("out")
    return sandbox.run_command("compare", [*map(str, runs), "--out", str(out), *words]), out


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@fault(401, "escape sequences and bidi marks in an env id", "REJECT, printable")
def env_id(sandbox: Sandbox) -> Outcome:
    checks = {}
    for kind, name in (("escapes", ESCAPE), ("bidi", BIDI), ("lines", "a\nerror: b"), ("markup", "[/b]")):
        result = sandbox.train(changes={"env": name})
        checks[kind] = one_sentence(result, 2) and result.rejected()
    return all_of(checks)


@fault(402, "escape sequences in `--env-kwargs`, names and values", "one printable sentence")
def env_kwargs(sandbox: Sandbox) -> Outcome:
    checks = {}
    for kind, kwargs in (("a name", {ESCAPE: 1}), ("a value", {"readouts": True, "end": [ESCAPE, BIDI]})):
        result = sandbox.train("--env-kwargs", json.dumps(kwargs), changes={"env": ENV})
        checks[f"{kind}: {result.describe()[:80]}"] = one_sentence(result, 2)
    return all_of(checks)


@fault(403, "hostile names of readouts: train, evaluate, explain, a film", "SURVIVE, printable")
def readouts(sandbox: Sandbox) -> Outcome:
    kwargs = json.dumps({"readouts": True})
    run = sandbox.train("--env-kwargs", kwargs, "--video", changes={"env": ENV, "steps": 60}, curve=True)
    checks = {"train": run.survived() and harmless(run)}
    at = str(run.folder)
    for name, words in (
        ("evaluate", ["--episodes", "1"]),
        ("explain", ["--step", "2"]),
        ("render", ["--imagine-at", "2"]),
    ):
        result = sandbox.run_command(name, [at, *words])
        checks[f"{name}: {result.describe()[:80]}"] = result.code == 0 and harmless(result)
    checks["curve.png"] = (run.folder / "curve.png").is_file()
    checks["a film"] = any((run.folder / "videos").glob("*.mp4"))
    unknown = sandbox.run_command("evaluate", [at, "--task", "less:nothing"])
    checks["a task that names no readout"] = one_sentence(unknown, 2)
    return all_of(checks)


@fault(
    404, "escape sequences, bidi marks and lines in an exception of a step", "STOP, one printable sentence"
)
def exception_text(sandbox: Sandbox) -> Outcome:
    checks = {}
    for kind, message in (
        ("escapes", ESCAPE),
        ("bidi", BIDI),
        ("lines", "a\n\nstopped: b\r\nc"),
        ("nothing", ""),
    ):
        result = sandbox.train("--env-kwargs", json.dumps({"message": message}), changes={"env": ENV})
        lines = [line for line in result.err.splitlines() if line.startswith("stopped:")]
        checks[f"{kind}: {result.describe()[:60]}"] = (
            result.stopped() and harmless(result) and len(lines) == 1
        )
    return all_of(checks)


@fault(405, "an exception with a text of 5 MB", "STOP, the sentence is cut; --debug shows all")
def long_exception(sandbox: Sandbox) -> Outcome:
    def raise_long() -> None:
        from benchmarks.reliability.hostile_env import HostileEnv

        step = HostileEnv.step

        def failing(env: HostileEnv, action: Any) -> Any:
            env.message = "x" * 5_000_000 if env.episode > 1 else None
            return step(env, action)

        HostileEnv.step = failing  # type: ignore[method-assign, assignment]

    result = sandbox.train(changes={"env": ENV}, patch=raise_long)
    shown = replace(result, err=result.err[-20_000:])
    return outcome(replace(shown, err=shown.err[:200]), result.stopped() and len(result.err) < 20_000)


@fault(406, "an exception with escape sequences, shown by `--debug`", "a printable traceback")
def debug_traceback(sandbox: Sandbox) -> Outcome:
    words = ["--env-kwargs", json.dumps({"message": ESCAPE}), "--debug"]
    result = sandbox.train(*words, changes={"env": ENV})
    controlled = control_characters(result.out + result.err, kept="\n\t")
    shown = r"\x1b]0;owned\x07" in result.err and "Traceback" in result.err
    return Outcome(
        result.code == 1 and shown and not controlled, f"exit {result.code}; {len(controlled)} left"
    )


@fault(407, "an env that prints and warns of escape sequences", "SURVIVE, printable")
def said(sandbox: Sandbox) -> Outcome:
    words = ["--env-kwargs", json.dumps({"said": ESCAPE + BIDI})]
    result = sandbox.train(*words, changes={"env": ENV, "steps": 60})
    said_so = r"\x1b]0;owned\x07" in result.out and r"\x1b]0;owned\x07" in result.err
    return outcome(result, result.survived() and harmless(result) and said_so)


@fault(408, "run folders called `[/b]`, `a[lr=3]`, `:dog:`, `[red]x`", "SURVIVE, shown as they are")
def markup(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in ("[/b]", "a[lr=3]", ":dog:", "[red]x"):
        folder = sandbox.new_path(name if "/" not in name else "[") / (name if "/" in name else "run")
        folder.parent.mkdir(parents=True)
        folder.parent.joinpath("[").mkdir(exist_ok=True)
        result = sandbox.train(changes={"agent": "random", "steps": 60}, folder=folder)
        checks[name] = result.survived() and str(folder) in result.out
    return all_of(checks)


@fault(409, "a run folder with escape sequences and a line break in its name", "SURVIVE, printable")
def folder_name(sandbox: Sandbox) -> Outcome:
    folder = sandbox.new_path("a\x1b[31m\nb\u202ec")
    folder.parent.mkdir(parents=True)
    trained = sandbox.train(changes={"agent": "random", "steps": 60}, folder=folder)
    compared, out = compare(sandbox, [folder])
    page = (out / "compare.html").read_text() if compared.code == 0 else "\x1b"
    return all_of(
        {
            "train": trained.survived() and harmless(trained),
            "compare": compared.code == 0 and harmless(compared),
            "the page": not control_characters(page),
        }
    )


@fault(410, "a run folder whose name is not UTF-8, compared", "it works, every file is UTF-8")
def not_utf8(sandbox: Sandbox) -> Outcome:
    runs = [write_run(sandbox.place / os.fsdecode(name), [1.0, 2.0], seed=7) for name in (b"a\xff", b"b\xff")]
    write_evaluations(runs[1] / "evaluations.csv", [1.0, 3.0], seed=7)
    result, out = compare(sandbox, runs)
    checks = {"compare": result.code == 0 and harmless(result)}
    for name in ("compare.html", "table.md", "table.csv"):
        checks[name] = r"\udcff" in (out / name).read_bytes().decode("utf-8")
    return all_of(checks)


@fault(411, "every hostile name in evaluations.csv: the terminal", "printable, one line each")
def compare_terminal(sandbox: Sandbox) -> Outcome:
    result, _ = compare(sandbox, named_runs(sandbox.place, IN_FILES.values(), env="a\x1b[31m"))
    whole = all(name in result.out for name in ("[/b]", "a[lr=3]", ":dog:", "[red]x"))
    return outcome(result, result.code == 0 and harmless(result) and whole and "Traceback" not in result.err)


@fault(412, "formulas (`=cmd|…`, `+`, `-`, `@`, tab, full-width) in table.csv", "no cell is a formula")
def formulas(sandbox: Sandbox) -> Outcome:
    names = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"]
    result, out = compare(sandbox, named_runs(sandbox.place, names))
    rows = list(csv.DictReader((out / "table.csv").open(newline="")))
    cells = [row[name] for row in rows for name in ("env", "agent")]
    numbers = [float(row["mean"]) for row in rows]
    return all_of(
        {
            "no formula": not [cell for cell in cells if re.match(r"\s*[=+\-@\uff1d]", cell)],
            "numbers stay": len(numbers) == len(names),
            "compare": result.code == 0,
        }
    )


@fault(413, "`<script>`, lines, pipes, backticks, links in table.md", "cells stay cells, nothing is HTML")
def markdown(sandbox: Sandbox) -> Outcome:
    result, out = compare(sandbox, named_runs(sandbox.place, IN_FILES.values(), seeds=2, env="<b>|"))
    text = (out / "table.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    pipes = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in rows}
    return all_of(
        {
            "compare": result.code == 0,
            "no HTML": "<" not in text,
            "one line each": len(rows) == 2 + len(IN_FILES),
            "cells": len(pipes) == 1,
            "no link": not re.search(r"(?<!\\)\]\(", text) and not re.search(r"(?<!\\)://", text),
            "printable": not control_characters(text),
        }
    )


@fault(414, "the marker that ends the table of a Markdown page, as a name", "the page keeps its text")
def end_marker(sandbox: Sandbox) -> Outcome:
    page = sandbox.place / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    runs = named_runs(sandbox.place, [END, f"{END}\n# evil", BEGIN])
    checks = {}
    for turn in ("once", "again"):
        result, _ = compare(sandbox, runs, "--readme", str(page))
        text = page.read_text()
        whole = text.startswith("before\n") and text.endswith("after\n") and text.count(END) == 1
        checks[turn] = result.code == 0 and whole and "\n# evil" not in text
    return all_of(checks)


@fault(
    415, "every hostile name in the page, its curves, settings and commands", "the same elements as without"
)
def page(sandbox: Sandbox) -> Outcome:
    elements = []
    shared = (
        "".join(name for name in IN_FILES.values() if len(name) < 1_000).replace("\r", "").replace("\n", "")
    )
    usual_names = [f"name {number:02d}" for number in range(len(IN_FILES))]
    for names, env in ((list(IN_FILES.values()), shared), (usual_names, "Hopper-v5")):
        result, out = compare(sandbox, named_runs(sandbox.new_path(), names, env=env))
        if result.code:
            return outcome(result, False)
        elements.append(Elements((out / "compare.html").read_text()))
    hostile, usual = (sorted(set(found.found)) for found in elements)
    return all_of(
        {
            "elements": hostile == usual,
            "shown as it is": "<script>alert(1)</script>" in elements[0].text,
            "printable": not control_characters(elements[0].text),
        }
    )


@fault(416, "mathematics (`$\\frac{`) and `_` in names of figures", "figures are made, names stay")
def mathematics(sandbox: Sandbox) -> Outcome:
    runs = named_runs(sandbox.place, ["$\\frac{$", "$a$ $b", "_hidden", "\\"])
    result, out = compare(sandbox, runs)
    made = (out / "compare.png").is_file() and not result.mentions("warning")
    return outcome(result, result.code == 0 and made and result.no_traceback)


@fault(417, "names of 1 MB and settings of 100 kB", "bounded time and output")
def long_names(sandbox: Sandbox) -> Outcome:
    run = write_run(sandbox.place / "a", [1.0, 2.0], settings={"x": "y" * 100_000})
    other = write_run(sandbox.place / "b", [1.0, 3.0], settings={"x": "z" * 100_000})
    for path in (run, other):
        write_evaluations(path / "evaluations.csv", [1.0, 2.0], env="e" * 100_000)
    result, out = compare(sandbox, [run, other])
    size = (out / "compare.html").stat().st_size / 1e6 if result.code == 0 else 99.0
    ok = result.code == 0 and result.seconds < 60 and len(result.out) < 20_000 and size < 10
    return Outcome(ok, f"{result.describe()[:60]}; {len(result.out):,} characters, page of {size:.1f} MB")


@fault(418, "a film that is a link, a pipe, a script, or in a linked folder", "not in the page")
def films(sandbox: Sandbox) -> Outcome:
    secret = sandbox.place / "secret"
    secret.mkdir()
    (secret / "step-20.mp4").write_bytes(b"\0\0\0\x20ftypisom secret")
    runs = [write_run(sandbox.place / str(number), [1.0 * number], seed=number) for number in range(4)]
    for run in runs:
        (run / "run.json").write_text("{}")
        if run is not runs[3]:
            (run / "videos").mkdir()
    (runs[0] / "videos" / "step-20.mp4").symlink_to(secret / "step-20.mp4")
    os.mkfifo(runs[1] / "videos" / "step-20.mp4")
    (runs[2] / "videos" / "step-20.mp4").write_text("<script>alert(1)</script>")
    (runs[3] / "videos").symlink_to(secret)
    result, out = compare(sandbox, runs)
    return outcome(result, result.code == 0 and "<video" not in (out / "compare.html").read_text())


@fault(419, "two runs, one seed of each agent", "no probability of improvement, and why")
def one_seed(sandbox: Sandbox) -> Outcome:
    runs = [write_run(sandbox.place / agent, [1.0, 2.0], agent=agent) for agent in ("joule", "sac")]
    write_evaluations(runs[1] / "evaluations.csv", [1.0, 3.0], agent="sac")
    result, out = compare(sandbox, runs)
    texts = {"terminal": result.out} | {n: (out / n).read_text() for n in ("table.md", "compare.html")}
    return all_of({name: "is not given" in text and ") = " not in text for name, text in texts.items()})


@fault(420, "the page opened without a network", "it asks for nothing")
def no_network(sandbox: Sandbox) -> Outcome:
    result, out = compare(sandbox, [write_run(sandbox.place / "a", [1.0, 2.0])])
    text = (out / "compare.html").read_text()
    asked = re.findall(
        r"""(?:src|href|srcset)=["']?(?!data:|#)[^"' >]+|url\((?!#)|@import|https?://(?!www\.w3\.org)""", text
    )
    policy = "default-src 'none'; script-src 'sha256-" in text
    return Outcome(result.code == 0 and policy and not asked, f"{len(asked)} addresses, a policy: {policy}")


@fault(
    421, "hostile names in `--task`, `--constraint`, `--perturb` of a finished run", "one printable sentence"
)
def texts_of_options(sandbox: Sandbox) -> Outcome:
    run = sandbox.train(changes={"steps": 60})
    checks = {}
    for option in ("--task", "--constraint", "--perturb", "--planner.kind", f"--{ESCAPE}"):
        result = sandbox.run_command("evaluate", [str(run.folder), option, f"less:{ESCAPE}\n{BIDI}"])
        checks[repr(option)] = one_sentence(result, 2)
    return all_of(checks)


@fault(422, "a command and a run that do not exist, with escape sequences", "one printable sentence")
def unknown(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in ("evaluate", "render", "explain", "compare", "train"):
        words = ["--step", "1"] if name == "explain" else []
        words += ["--resume", ESCAPE] if name == "train" else [f"{ESCAPE}\n{BIDI}"]
        checks[name] = one_sentence(sandbox.run_command(name, words), 2)
    return all_of(checks)
