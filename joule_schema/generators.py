"""Checks the states of random generators: those of NumPy, Python and torch.

Neither NumPy nor torch checks well the position in a block of random words: one beyond the block makes the
generator read memory that is not its own. So every state from a file is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

import numpy as np

from joule_schema.errors import SchemaError, shown
from joule_schema.values import Bit, Length, Within, check

_Word32 = Annotated[int, Within(0, 2**32 - 1)]
_Word64 = Annotated[int, Within(0, 2**64 - 1)]
_Word128 = Annotated[int, Within(0, 2**128 - 1)]
TWISTER_WORDS = 624
"""Words in the block of a Mersenne Twister."""
_Position = Annotated[int, Within(0, TWISTER_WORDS)]


_TORCH = np.dtype(
    [
        ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("words", "<u8", (TWISTER_WORDS,)),
        ("normals", "<f8", (3,)), ("normal_is_valid", "<i4"), ("padding", "<i4"), ("next_normal", "<f4"),
        ("next_normal_is_valid", "<i4"),
    ]
)  # fmt: skip
"""The layout of the state of torch's CPU generator."""


class _Buffered(TypedDict):
    """Half of a 64-bit draw that is kept for the next 32-bit draw."""

    has_uint32: Bit
    uinteger: _Word32


class _Congruential(TypedDict):
    state: _Word128
    inc: _Word128


class _PCG64(_Buffered):
    bit_generator: Literal["PCG64", "PCG64DXSM"]
    state: _Congruential


class _SmallWords(TypedDict):
    state: Annotated[list[_Word64], Length(4, 4)]


class _SFC64(_Buffered):
    bit_generator: Literal["SFC64"]
    state: _SmallWords


class _CounterWords(TypedDict):
    counter: Annotated[list[_Word64], Length(4, 4)]
    key: Annotated[list[_Word64], Length(2, 2)]


class _Philox(_Buffered):
    bit_generator: Literal["Philox"]
    state: _CounterWords
    buffer: Annotated[list[_Word64], Length(4, 4)]
    buffer_pos: Annotated[int, Within(0, 4)]


class _Block(TypedDict):
    key: Annotated[list[_Word32], Length(TWISTER_WORDS, TWISTER_WORDS)]
    pos: _Position


class _MT19937(TypedDict):
    bit_generator: Literal["MT19937"]
    state: _Block


class _Legacy(_MT19937):
    """Of a `numpy.random.RandomState`."""

    has_gauss: Bit
    gauss: float


KINDS: dict[str, Any] = {
    "PCG64": _PCG64,
    "PCG64DXSM": _PCG64,
    "SFC64": _SFC64,
    "Philox": _Philox,
    "MT19937": _MT19937,
}


def bit_generator_state(state: Any, kind: str, where: str, *, legacy: bool = False) -> dict[str, Any]:
    """The state of NumPy's bit generator, as NumPy takes it.

    Args:
        state: JSON values. A large number may be text, an array is a list.
        kind: NumPy's name of the bit generator that is to be set, such as PCG64.
        where: what the state is called in a message.
        legacy: whether it is of a `RandomState`.

    Raises:
        SchemaError: for anything but a state of this bit generator.
    """
    if kind not in KINDS:
        raise SchemaError(f"{where}: the state of a generator {shown(kind)} cannot be checked")
    native = _numbers(state)
    if not isinstance(native, dict) or native.get("bit_generator") != kind:
        raise SchemaError(f"{where}: is not the state of a generator {kind}")
    check(_Legacy if legacy else KINDS[kind], native, where)
    words = np.uint32 if kind == "MT19937" else np.uint64
    return {key: _arrays(value, words) for key, value in native.items()}


def python_state(version: Any, words: np.ndarray, gauss: Any, where: str) -> tuple[Any, ...]:
    """The state of Python's `random`, as `random.setstate` takes it; its last word is the position.

    Raises:
        SchemaError: for anything but such a state.
    """
    check(Literal[3], version, f"{where}: version")
    check(float | None, gauss, f"{where}: gauss")
    if words.shape != (TWISTER_WORDS + 1,) or words.dtype != np.uint32 or words[-1] > TWISTER_WORDS:
        raise SchemaError(f"{where}: is not the state of Python's generator")
    return version, tuple(int(word) for word in words), gauss


def legacy_state(entries: Any, words: np.ndarray, where: str) -> tuple[Any, ...]:
    """The state of NumPy's global generator, as `numpy.random.set_state` takes it.

    Args:
        entries: name of the bit generator, position, whether a normal number is kept, and that number.
        words: [624], uint32.
        where: what the state is called in a message.

    Raises:
        SchemaError: for anything but such a state.
    """
    check(Annotated[list[Any], Length(4, 4)], entries, where)
    name, position, has_gauss, gauss = entries
    check(Literal["MT19937"], name, where)
    check(_Position, position, where)
    check(Bit, has_gauss, where)
    check(float, gauss, where)
    if words.shape != (TWISTER_WORDS,) or words.dtype != np.uint32:
        raise SchemaError(f"{where}: is not the state of a generator MT19937")
    return name, words, position, has_gauss, gauss


def check_torch_state(state: np.ndarray, where: str) -> None:
    """Checks the state of torch's CPU generator, as `Generator.get_state` gives it: a Mersenne Twister.

    Args:
        state: [5056], uint8. The words of the block are stored as 64-bit numbers.
        where: what the state is called in a message.

    Raises:
        SchemaError: for anything but such a state.
    """
    if state.shape != (_TORCH.itemsize,) or state.dtype != np.uint8:
        raise SchemaError(f"{where}: is not the state of torch's generator")
    fields = np.frombuffer(state.tobytes(), _TORCH)[0]
    left, following = int(fields["left"]), int(fields["next"])
    # `next` words were drawn from the block and `left` - 1 remain; a block of none is made by the next draw.
    inside = 1 <= left <= TWISTER_WORDS and left + following <= TWISTER_WORDS + 1
    if not inside or fields["seeded"] != 1 or int(fields["words"].max()) >= 2**32:
        raise SchemaError(f"{where}: is not the state of torch's generator")


def _numbers(value: Any) -> Any:
    """JSON values in which a whole number that is written as text is a number."""
    if isinstance(value, Mapping):
        return {key: _numbers(inner) if key != "bit_generator" else inner for key, inner in value.items()}
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 40:
        return int(value)
    return value


def _arrays(value: Any, words: Any) -> Any:
    if isinstance(value, dict):
        return {key: _arrays(inner, words) for key, inner in value.items()}
    return np.array(value, words) if isinstance(value, list) else value
