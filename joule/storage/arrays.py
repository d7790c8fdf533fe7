"""Named arrays to the bytes of a safetensors file and back. Reading checks every entry of the header."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from joule_schema import json_text

_HEADER_LIMIT = 4 << 20  # bytes; enough for about 30,000 arrays
_ITEMSIZE = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
# Errors that parsing a malformed header can raise.
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError, safetensors.SafetensorError)


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Encodes arrays by name as a safetensors file.

    Raises:
        ValueError: an array is not boolean, integer or float, or there are too many arrays for the header.
    """
    ready = {}
    for name, array in arrays.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or name == "__metadata__":
            raise ValueError(f"{name!r} is {type(array).__name__}, expected a named array")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise ValueError(f"array {name!r} has dtype {array.dtype}, which cannot be stored")
        ready[name] = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    data = safetensors.numpy.save(ready)
    if int.from_bytes(data[:8], "little") > _HEADER_LIMIT:
        raise ValueError(f"{len(arrays)} arrays need a header of more than {_HEADER_LIMIT} bytes")
    return data


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """Decodes a safetensors file into writable arrays by name.

    The header is checked before the library reads it, so that no size in it exceeds the bytes present.

    Raises:
        ValueError: the bytes are not exactly one well-formed safetensors file.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_HEADER_LIMIT, len(data) - 8):
        raise ValueError(f"its header claims {length} bytes, the file holds {len(data)}")
    try:
        header = json_text.loads(data[8 : 8 + length])
        spans = sorted(_span(entry) for name, entry in header.items() if name != "__metadata__")
        end = 0
        for begin, stop in spans:
            if begin != end:
                raise ValueError("arrays overlap or leave gaps")
            end = stop
        if end != len(data) - 8 - length:
            raise ValueError(f"arrays claim {end} bytes, the file holds {len(data) - 8 - length}")
        loaded = safetensors.numpy.load(data)
    except _MALFORMED as error:
        raise ValueError(f"is not a valid safetensors file: {error}") from error
    return {name: array if array.flags.writeable else array.copy() for name, array in loaded.items()}


def _span(entry: Any) -> tuple[int, int]:
    """The offsets (begin, end) of one array of the header. Raises ValueError, TypeError or KeyError."""
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    counts = [*shape, begin, end]
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63 for n in counts):
        raise ValueError("a shape or offset is not a whole number")
    if len(shape) > 32 or end - begin != math.prod(shape) * _ITEMSIZE[entry["dtype"]]:
        raise ValueError("an array's shape does not fit its bytes")
    return begin, end
