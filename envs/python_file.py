"""A Python file in place of an environment's id: how its environments are named. The file is read, not executed."""

from __future__ import annotations

import ast
import os
import re

from envs.faults.errors import EnvError

ENDING = ".py"
LARGEST_BYTES = 1_000_000
"""Of a file that is read."""
ENV_ID = re.compile(r"(?:[\w:-]+/)?[\w:.-]+")
"""What Gymnasium takes for an id."""
MOST_NAMED = 3
"""Environments in a sentence."""


def refusal(path: str, name: str = "") -> EnvError:
    """The refusal of a Python file, which says what to write in its place.

    Args:
        path: of the file, as the user typed it.
        name: the id that was typed behind the path; empty where there was none.
    """
    typed = f"{path}:{name}" if name else path
    if not name and not os.path.isfile(path):
        return EnvError(f"{path}: there is no such file; write module:NAME-v0 for an environment of your own")
    module, folder = _module_of(path)
    found_in = folder if os.path.isabs(path) else os.path.relpath(folder)
    where = "" if folder == os.getcwd() else f", and run the command in {found_in}"
    if not all(part.isidentifier() for part in module.split(".")):
        return EnvError(f"{typed}: no module can have this name; rename it, and use letters, digits and _")
    if name:
        return EnvError(f"{typed}: write {module}:{name}, without {ENDING}{where}")
    ids, classes, registers = _registered_and_defined(path)
    if ids:
        more = f" or one of {len(ids) - MOST_NAMED} others" if len(ids) > MOST_NAMED else ""
        named = " or ".join(f"{module}:{one}" for one in ids[:MOST_NAMED])
        return EnvError(f"{typed}: is a file; write {named}{more}{where}")
    if classes and not registers:
        made = classes[-1]  # what a file is about tends to follow what it is made of
        call = f'gymnasium.register(id="{made}-v0", entry_point="{module}:{made}", max_episode_steps=...)'
        return EnvError(f"{typed}: registers no id; add to it {call}, and write {module}:{made}-v0{where}")
    return EnvError(f"{typed}: is a file; write {module}:NAME-v0, where NAME-v0 is what it registers{where}")


def _module_of(path: str) -> tuple[str, str]:
    """The name by which a file is imported, with the packages around it, and the folder in which it is found."""
    folder, file = os.path.split(os.path.abspath(path))
    parts = [] if file == "__init__.py" else [file.removesuffix(ENDING)]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    return ".".join(parts), folder


def _registered_and_defined(path: str) -> tuple[list[str], list[str], bool]:
    """The ids that a file registers as literals, its classes of environments, and whether it registers any.

    Of what cannot be read, there are none.
    """
    try:
        with open(path, "rb") as file:
            nodes = list(ast.walk(ast.parse(file.read(LARGEST_BYTES))))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return [], [], False
    ids, classes, registers = list[str](), list[str](), False
    texts = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.Call) and _last_name(node.func) == "register":
            registers = True
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "id")]
            values = [texts.get(one.id) if isinstance(one, ast.Name) else one for one in given]
            literals = [one.value for one in values if isinstance(one, ast.Constant)]
            ids += [one for one in literals if isinstance(one, str) and ENV_ID.fullmatch(one)]
        elif isinstance(node, ast.ClassDef):
            bases = [_last_name(base) for base in node.bases]
            if any((base.endswith("Env") and base != "VectorEnv") or base in classes for base in bases):
                classes.append(node.name)
    return list(dict.fromkeys(ids)), classes, registers


def _last_name(node: ast.expr) -> str:
    """`Env` of `gymnasium.Env` and of `Env`; of `gymnasium.Env[int, int]` too. Empty for another expression."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
