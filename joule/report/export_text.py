"""An export as text: the files with their inputs and outputs, and how closely they were checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joule.escaping import terminal


def shown(record: Mapping[str, Any]) -> str:
    """The text of an export.

    Args:
        record: its JSON values, as `export.json` holds them.
    """
    files = record["files"]
    width = max(map(len, files))
    largest = max(of_file["largest_error"] for of_file in files.values())
    return "\n".join(
        [
            terminal(_heading(record)),
            "",
            *(f"{name:<{width}}  {_signature(of_file)}" for name, of_file in files.items()),
            "",
            f"checked with onnxruntime on {record['check']['transitions']:,} transitions: "
            f"largest difference {largest:.1e}",
        ]
    )


def _heading(record: Mapping[str, Any]) -> str:
    rate = record["decision_rate_hz"]
    rated = "" if rate is None else f", {rate:,.4g} decisions a second"
    task = f", for {record['task']}" if record["task"] else ""
    return f"{record['env']}, joule after {record['frames']:,} {record['unit']}{task}{rated}"


def _signature(of_file: Mapping[str, Any]) -> str:
    inputs, outputs = (
        ", ".join(" ".join([name, *_sizes(value["shape"][1:])]) for name, value in of_file[side].items())
        for side in ("inputs", "outputs")
    )
    return f"{inputs} -> {outputs}"


def _sizes(shape: list[int]) -> list[str]:
    """The sizes of a value beside the batch; none of a single number."""
    return [str(shape)] if shape else []
