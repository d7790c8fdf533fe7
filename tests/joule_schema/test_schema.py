"""Values from a file are checked against declared types, and states of random generators before they are set."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import pytest
import torch

from joule_schema import generators, json_text
from joule_schema.arrays import ArraySpec, check_arrays
from joule_schema.env_kwargs import check_env_kwargs
from joule_schema.errors import SchemaError
from joule_schema.values import ANY_FLOAT, Count, Length, Within, check, checked


class Point(TypedDict):
    """A type with every kind of entry."""

    x: float
    raw: Annotated[float, ANY_FLOAT]
    count: Count
    kind: Literal["a", "b"]
    tags: Annotated[list[str], Length(0, 2)]
    limit: Annotated[int, Within(1, 9)] | None
    sizes: dict[str, Count]
    on: bool


VALID: dict[str, Any] = {
    "x": 1, "raw": math.inf, "count": 0, "kind": "a", "tags": ["t"], "limit": None, "sizes": {"s": 3}, "on": True,
}  # fmt: skip


def test_a_value_of_the_type_is_given_back_and_any_other_is_refused_by_name() -> None:
    assert checked(Point, VALID, "point") is VALID
    assert checked(Point, {**VALID, "limit": 9}, "point")["limit"] == 9
    wrong: dict[str, tuple[Any, str]] = {
        "x": (math.nan, r"point\.x: found nan, expected a finite number"),
        "raw": ("1", r"point\.raw: found '1', expected a number"),
        "count": (True, r"point\.count: found True, expected a whole number"),
        "kind": ("c", r"point\.kind: found 'c', expected one of a, b"),
        "tags": (["a"] * 3, r"point\.tags: has 3 entries, expected a list of 0 to 2"),
        "limit": (10, r"point\.limit: 10 is outside 1 to 9"),
        "sizes": ({"s\x1b": -1}, r"point\.sizes\.'s\\x1b': -1 is outside 0 to 1e\+16"),
        "on": (1, r"point\.on: found 1, expected true or false"),
    }
    for name in ("x", "raw"):  # float() of it would raise OverflowError
        with pytest.raises(SchemaError, match=f"{name}: found 1000.*, expected a"):
            checked(Point, {**VALID, name: 10**400}, "point")
    for name, (value, message) in wrong.items():
        with pytest.raises(SchemaError, match=message):
            checked(Point, {**VALID, name: value}, "point")
        with pytest.raises(SchemaError, match=f"point: has no {name}"):
            checked(Point, {k: v for k, v in VALID.items() if k != name}, "point")
    with pytest.raises(SchemaError, match="unknown entry more"):
        checked(Point, {**VALID, "more": 1}, "point")
    with pytest.raises(SchemaError, match="limit: found 'x', expected a whole number or nothing"):
        check(Annotated[int, Within(1, 9)] | None, "x", "limit")
    with pytest.raises(SchemaError, match="found an object of 3"):
        check(Count, {"a": 1, "b": 2, "c": 3}, "n")


def test_arrays_have_their_declared_shape_dtype_and_finite_numbers() -> None:
    specs = {"w": ArraySpec((2, None), "float32", longest=3), "n": ArraySpec((), "int64")}
    arrays: dict[str, Any] = {"w": np.zeros((2, 3), np.float32), "n": np.array(1)}
    check_arrays(arrays, specs, "meta")
    for change, message in (
        ({"w": np.zeros((2, 4), np.float32)}, "found float32 .2, 4., expected float32 .2, at most 3."),
        ({"w": np.zeros((2, 3))}, "found float64"),
        ({"w": np.full((2, 1), np.nan, np.float32)}, "not finite"),
        ({"w": 3}, "expected an array"),
        ({"x": np.zeros(1)}, "unknown array 'x'"),
    ):
        with pytest.raises(SchemaError, match=message):
            check_arrays({**arrays, **change}, specs, "meta")
    with pytest.raises(SchemaError, match="has no array n"):
        check_arrays({"w": arrays["w"]}, specs, "meta")


KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.SFC64, np.random.Philox, np.random.MT19937]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_numpy_generator_goes_through_json_and_junk_does_not(kind: Any) -> None:
    rng = np.random.Generator(kind(3))
    rng.integers(0, 9, dtype=np.int32)
    plain = json.loads(json.dumps(rng.bit_generator.state, default=np.ndarray.tolist))
    other = np.random.Generator(kind(0))
    other.bit_generator.state = generators.bit_generator_state(plain, kind.__name__, "rng")
    assert other.random(9).tolist() == rng.random(9).tolist()
    junk = [None, 3, {}, {**plain, "state": None}, {**plain, "more": 1}, {**plain, "bit_generator": "X"}]
    if "has_uint32" in plain:
        junk += [{**plain, "has_uint32": 2}, {**plain, "uinteger": -1}]
    for state in junk:
        with pytest.raises(SchemaError):
            generators.bit_generator_state(state, kind.__name__, "rng")


def test_a_position_beyond_the_block_of_a_generator_is_refused() -> None:
    legacy = np.random.RandomState(1)
    twister = json.loads(json.dumps(legacy.get_state(legacy=False), default=np.ndarray.tolist))
    generators.bit_generator_state(twister, "MT19937", "rng", legacy=True)
    twister["state"]["pos"] = 10**6
    with pytest.raises(SchemaError, match=r"pos: 1000000 is outside 0 to 624"):
        generators.bit_generator_state(twister, "MT19937", "rng", legacy=True)
    philox = json.loads(json.dumps(np.random.Philox(1).state, default=np.ndarray.tolist))
    with pytest.raises(SchemaError, match="buffer_pos"):
        generators.bit_generator_state({**philox, "buffer_pos": 5}, "Philox", "rng")
    drawn: Any = np.random.get_state()  # noqa: NPY002
    name, words, position, has_gauss, gauss = drawn
    entries = [name, int(position), int(has_gauss), float(gauss)]
    assert generators.legacy_state(entries, words, "numpy")[2] == position
    with pytest.raises(SchemaError):
        generators.legacy_state([name, 625, 0, 0.0], words, "numpy")


def test_a_torch_state_that_reads_beyond_its_block_is_refused() -> None:
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        generators.check_torch_state(generator.get_state().numpy(), "torch")
        torch.rand(500, generator=generator)
    state = generator.get_state().numpy().copy()
    state[8:12], state[16:24] = list(np.int32(600).tobytes()), list(np.uint64(624).tobytes())
    torch.Generator().set_state(torch.from_numpy(state))  # torch takes it
    for bad in (state, state[:-1], np.zeros_like(state), np.full_like(state, 255)):
        with pytest.raises(SchemaError, match="torch: is not the state"):
            generators.check_torch_state(bad, "torch")


def test_deep_json_is_refused_in_a_sentence() -> None:
    assert json_text.loads('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    json_text.loads("[" * json_text.DEEPEST + "]" * json_text.DEEPEST)
    for depth in (json_text.DEEPEST + 1, 900, 20_000):
        with pytest.raises(ValueError, match="nested deeper than 64 levels"):
            json_text.loads('{"a":' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ValueError, match="'a' comes twice"):
        json_text.loads('{"a": 1, "a": 2}')
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    with pytest.raises(SchemaError, match="nested deeper"):
        check_env_kwargs({"a": cycle})


def test_what_joule_gives_gymnasium_itself_is_no_keyword_of_an_environment() -> None:
    check_env_kwargs({"xml_file": "robot.xml", "width": 5})
    for name in ("render_mode", "max_episode_steps", "disable_env_checker", "id"):
        with pytest.raises(SchemaError, match=f"env_kwargs: {name} is set by Joule"):
            check_env_kwargs({name: None})
    with pytest.raises(SchemaError, match="cannot be written as JSON"):
        check_env_kwargs({"a": object()})
