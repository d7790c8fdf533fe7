"""Shapes in the signatures of the agent are checked at every call under pytest, in every module that has them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import pytest
import torch

import agent
from agent.cost.returns import n_step_targets
from agent.perception.normalizer import Normalizer
from agent.world_model.dynamics import Step

NAMES = [found.name for found in pkgutil.walk_packages(agent.__path__, "agent.")]
SHAPED = [name for name in NAMES if "jaxtyping" in inspect.getsource(importlib.import_module(name))]


def layers(function: Any) -> Iterator[types.FunctionType]:
    """A function and what it wraps, outermost first."""
    while function is not None:
        if inspect.isfunction(function):
            yield function
        function = getattr(function, "__wrapped__", None)


def functions(module: types.ModuleType) -> Iterator[Callable[..., Any]]:
    """Every function and method in the source of a module, and the constructors of its dataclasses."""
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    classes = [one for one in classes if one.__module__ == module.__name__]
    for owner in (module, *classes):
        for member in vars(owner).values():
            found: Any = member.fget if isinstance(member, property) else member
            found = found.__func__ if isinstance(found, classmethod | staticmethod) else found
            if any(layer.__code__.co_filename == module.__file__ for layer in layers(found)):
                yield found
    for one in classes:
        if dataclasses.is_dataclass(one):
            yield vars(one)["__init__"]


def has_shape(annotation: Any) -> bool:
    """Whether a jaxtyping annotation is part of it."""
    if isinstance(annotation, list):
        return any(map(has_shape, annotation))
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(has_shape, typing.get_args(annotation)))


@pytest.mark.parametrize("name", SHAPED)
def test_every_signature_with_a_shape_is_checked(name: str) -> None:
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    assert "from __future__ import annotations" not in source, "a name that cannot be resolved is not checked"
    shaped = 0
    for function in functions(module):
        hints = inspect.signature(function).parameters.values()
        annotations = [hint.annotation for hint in hints] + [inspect.signature(function).return_annotation]
        if not any(map(has_shape, annotations)):
            continue
        shaped += 1
        files = {layer.__code__.co_filename for layer in layers(function)}
        assert jaxtyping.jaxtyped.__code__.co_filename in files, (
            f"{name}.{function.__qualname__} is not checked"
        )
    assert shaped > 0


def test_shapes_are_not_hidden_in_tuples_that_nothing_checks() -> None:
    for name in SHAPED:
        for value in vars(importlib.import_module(name)).values():
            if inspect.isclass(value) and issubclass(value, tuple):
                assert not any(map(has_shape, value.__annotations__.values())), f"{name}.{value.__name__}"


def test_a_wrong_shape_is_an_error() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        Normalizer(3)(torch.zeros(2, 3).int())
    with pytest.raises(jaxtyping.TypeCheckError):
        Step(torch.zeros(2, 5, 4), torch.zeros(6, 11), torch.zeros(5))
    with pytest.raises(jaxtyping.TypeCheckError):
        n_step_targets(
            torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), 0.9, 2
        )  # `valid` must be bool
