"""A run folder may come from a stranger: nothing shipped could run what a file in it says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("agent", "benchmarks", "envs", "planners", "joule", "joule_errors", "joule_schema")
SHIPPED = sorted([*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))])

MODULES = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"extractall"}
FUNCTIONS = {"torch.load", "yaml.load", "os.system", "os.popen"}


def dangers(source: str) -> Iterator[str]:
    """What in a source could run the content of a file, or hand it to a shell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            if (node.module or "").split(".")[0] in MODULES or names & FUNCTIONS:
                yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called in BUILTINS | FUNCTIONS or called.split(".")[-1] in METHODS:
                yield called
            if given.get("shell", "False") != "False":
                yield f"{called}(shell=...)"
            if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
                yield f"{called} without allow_pickle=False"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_shipped_can_run_what_a_file_says(path: Path) -> None:
    assert list(dangers(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import torch, pickle as p",
        "from pickle import loads",
        "from yaml import safe_load",
        "from torch import load",
        "eval(text)",
        "exec(text)",
        "run(command, shell=True)",
        "yaml.load(text)",
        "torch.load(path)",
        "tarfile.open(path).extractall()",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "os.system(command)",
    ],
)
def test_every_danger_is_seen(line: str) -> None:
    assert list(dangers(line))


def test_what_is_harmless_is_not() -> None:
    assert not list(dangers("model.eval(); json.loads(text); run([a, b], shell=False); re.compile(x)"))
