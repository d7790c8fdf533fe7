"""The reader of array files refuses every malformed file with ValueError."""

from __future__ import annotations

from typing import Any

import pytest
from checkpoint_files import array_header, json_values
from hypothesis import given, settings
from hypothesis import strategies as st

from joule.storage import arrays as array_file

forged_entry = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BOOL", "F8_E4M3", "C64", 3, None, ["F32"]]),
        "shape": st.lists(st.integers(-2, 2**64) | st.integers(0, 4), max_size=4)
        | st.none()
        | st.text(max_size=2),
        "data_offsets": st.lists(st.integers(-8, 2**64) | st.integers(0, 16), max_size=3) | st.none(),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=64)
    | st.builds(
        lambda length, rest: length.to_bytes(8, "little") + rest,
        st.integers(0, 2**64 - 1),
        st.binary(max_size=40),
    )
    | st.builds(
        array_header,
        st.dictionaries(st.text(max_size=12), forged_entry, max_size=3) | json_values,
        st.binary(max_size=16),
    )
)
def test_any_bytes_are_read_or_refused_with_value_error(data: bytes) -> None:
    try:
        arrays = array_file.unpack(data)
    except ValueError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(data)


def _entry(*offsets: int, dtype: str = "U8", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "header claims"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "header claims"),
        (b"\x02" + bytes(7) + b'{"', "not a valid"),
        (array_header({"a": _entry(0, 2), "b": _entry(0, 2)}, bytes(2)), "overlap"),
        (array_header({"a": _entry(1, 3)}, bytes(3)), "gaps"),
        (array_header({"a": _entry(0, 2)}, bytes(3)), "the file holds 3"),
        (array_header({"a": _entry(0, 2, dtype="F64")}, bytes(2)), "does not fit"),
        (array_header({"a": _entry(0, 1, shape=(True,))}, bytes(1)), "whole number"),
        (b"\x10" + bytes(7) + b'{"a":{},"a":{}} ', "comes twice"),
    ],
)
def test_the_refusal_of_a_malformed_header_names_the_cause(data: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        array_file.unpack(data)
