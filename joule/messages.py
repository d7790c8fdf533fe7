"""Messages over a pipe: JSON values and arrays."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

Message = tuple[dict[str, Any], dict[str, np.ndarray]]
"""JSON values and arrays."""
_HEAD = struct.Struct(">QQ")


def send(pipe: BinaryIO, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
    """Writes one message. Raises OSError where nobody reads."""
    given = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
    kinds = [[name, array.dtype.str, array.shape] for name, array in given.items()]
    head = json.dumps({"values": values, "arrays": kinds}).encode()
    content = b"".join(array.tobytes() for array in given.values())
    pipe.write(_HEAD.pack(len(head), len(content)) + head + content)
    pipe.flush()


def receive(pipe: BinaryIO) -> Message | None:
    """Reads one message: its values and its arrays. None where the other side has ended."""
    start = pipe.read(_HEAD.size)
    if len(start) < _HEAD.size:
        return None
    head_size, content_size = _HEAD.unpack(start)
    head, content = pipe.read(head_size), pipe.read(content_size)
    if len(head) < head_size or len(content) < content_size:
        return None
    message = json.loads(head)
    arrays, offset = {}, 0
    for name, kind, shape in message["arrays"]:
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(content, dtype, count, offset).reshape(shape)
        offset += count * dtype.itemsize
    return message["values"], arrays
