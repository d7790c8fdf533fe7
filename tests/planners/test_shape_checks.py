"""Shapes in the signatures of the planners are checked at every call under pytest."""

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

import planners
from planners.action_box import ActionBox
from planners.elites import Elites, uniform_weights

MODULES = [f"planners.{found.name}" for found in pkgutil.iter_modules(planners.__path__)]


def layers(function: Callable[..., Any] | None) -> Iterator[types.FunctionType]:
    """A function and what it wraps, outermost first."""
    while function is not None:
        if inspect.isfunction(function):
            yield function
        function = getattr(function, "__wrapped__", None)


def functions(module: types.ModuleType) -> Iterator[Callable[..., Any]]:
    """Every function and method in the source of a module."""
    for owner in (module, *(value for value in vars(module).values() if inspect.isclass(value))):
        for member in vars(owner).values():
            found = member.fget if isinstance(member, property) else member
            if found is not None and any(f.__code__.co_filename == module.__file__ for f in layers(found)):
                yield found


def parts(annotation: Any) -> list[Any]:
    """The types that an annotation is made of."""
    inner = annotation if isinstance(annotation, list) else typing.get_args(annotation)
    return [part for argument in inner for part in parts(argument)] if inner else [annotation]


@pytest.mark.parametrize("name", MODULES)
def test_every_function_is_checked_and_every_tensor_has_a_shape(name: str) -> None:
    for function in functions(importlib.import_module(name)):
        where = f"{name}.{function.__qualname__}"
        files = {layer.__code__.co_filename for layer in layers(function)}
        assert jaxtyping.jaxtyped.__code__.co_filename in files, f"{where} is not checked"
        for argument, annotation in typing.get_type_hints(function).items():
            bare = any(part in (torch.Tensor, np.ndarray) for part in parts(annotation))
            assert not bare, f"{where}: {argument} has no shape"


def test_a_wrong_shape_is_an_error() -> None:
    box = ActionBox(3, -1.0, 1.0, 1)
    with pytest.raises(jaxtyping.TypeCheckError):
        box.clamp_(torch.zeros(1))
    with pytest.raises(jaxtyping.TypeCheckError):
        uniform_weights(torch.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError):
        Elites(2, 1).update(torch.zeros(1, 4, 3, 1), torch.zeros(1, 5))
    with pytest.raises(jaxtyping.TypeCheckError):
        planners.make("cem", horizon=3, low="-1", high=1.0)  # type: ignore[arg-type]
