"""Reads the arrays of a .npz file, which may come from another person: no pickle, and no size beyond the file's."""

from __future__ import annotations

import io
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage.files import why
from joule.storage.reader import read_plain

EPISODE_BYTES = 1 << 30
"""Of a file, and of its arrays together."""
_SUFFIX = ".npy"
_ARCHIVE = b"PK"
"""How a zip file begins."""


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of a file by name; those that are not in `names` are left out.

    Args:
        path: the file, as `numpy.savez` and `numpy.savez_compressed` write it.
        names: what is read.

    Raises:
        ValueError: for a file that cannot be read or is no .npz file, an array that holds no numbers, and one whose
            size is not that of its part of the file.
    """
    try:
        data = read_plain(path, EPISODE_BYTES)
    except OSError as error:
        raise ValueError(why(error)) from error
    if not data.startswith(_ARCHIVE):  # NumPy would take it for a pickle, and advise to load it
        kind = "one array" if data.startswith(np.lib.format.MAGIC_PREFIX) else "no archive"
        raise ValueError(f"is not a .npz file, as numpy.savez writes it: it is {kind}")
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        members = {one.filename.removesuffix(_SUFFIX): one for one in archive.zip.infolist()}
        wanted = {name: one for name, one in members.items() if name in names}
        if sum(one.file_size for one in wanted.values()) > EPISODE_BYTES:
            raise ValueError(f"its arrays take more than {EPISODE_BYTES} bytes")
        return {name: _array(archive, name, one) for name, one in wanted.items()}
    except Exception as error:  # a damaged archive raises errors of zipfile, of zlib and of NumPy
        raise ValueError(f"is not a .npz file of arrays: {error}") from error


def _array(archive: Any, name: str, member: Any) -> np.ndarray:
    """One array, whose header is compared with the size of its part before it is read."""
    with archive.zip.open(member) as file:
        check_header(file, member.file_size, name)
    found: np.ndarray = archive[member.filename]
    return found


def check_header(file: Any, size: int, name: str) -> None:
    """Compares the header of an array with the bytes that are there.

    Args:
        file: the array, open at its beginning.
        size: bytes of it.
        name: what messages call it.

    Raises:
        ValueError: for an array that holds no numbers, and for one of another size than its header says.
    """
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"{name} is of version {version}")
    shape, _, dtype = read_header(file)
    if dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {dtype}, which is no number")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"{name} is said to have shape {shape}, and its part has another size")
