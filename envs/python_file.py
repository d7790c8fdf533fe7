"""A Python file in place of an environment's id: how its environments are named. The file is read, not executed."""

from __future__ import annotations

import ast
import os

from envs.faults.errors import EnvError

ENDING = ".py"
LARGEST_BYTES = 1_000_000
"""Of a file that is read."""
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
    ids, classes = _registered_and_defined(path)
    if ids:
        more = f" or one of {len(ids) - MOST_NAMED} others" if len(ids) > MOST_NAMED else ""
        named = " or ".join(f"{module}:{one}" for one in ids[:MOST_NAMED])
        return EnvError(f"{typed}: is a file; write {named}{more}{where}")
    if classes:
        made = classes[-1]  # what a file is about tends to follow what it is made of
        call = f'gymnasium.register(id="{made}-v0", entry_point="{module}:{made}", max_episode_steps=...)'
        return EnvError(f"{typed}: registers no id; add to it {call}, and write {module}:{made}-v0{where}")
    return EnvError(f"{typed}: is a file; write {module}:NAME-v0, where NAME-v0 is what it registers{where}")


def _module_of(path: str) -> tuple[str, str]:
    """The name by which a file is imported, with the packages around it, and the folder in which it is found."""
    folder, file = os.path.split(os.path.abspath(path))
    parts = [file.removesuffix(ENDING)]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    return ".".join(parts), folder


def _registered_and_defined(path: str) -> tuple[list[str], list[str]]:
    """The ids that a file registers as literals, and its classes of environments; none of what cannot be read."""
    try:
        with open(path, "rb") as file:
            nodes = list(ast.walk(ast.parse(file.read(LARGEST_BYTES))))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return [], []
    ids, classes = [], list[str]()
    for node in nodes:
        if isinstance(node, ast.Call) and _last_name(node.func) == "register":
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "id")]
            ids += [
                one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
        elif isinstance(node, ast.ClassDef):
            bases = [_last_name(base) for base in node.bases]
            if any(base.endswith("Env") or base in classes for base in bases):
                classes.append(node.name)
    return list(dict.fromkeys(ids)), classes


def _last_name(node: ast.expr) -> str:
    """`Env` of `gymnasium.Env` and of `Env`; of `gymnasium.Env[int, int]` too. Empty for another expression."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
