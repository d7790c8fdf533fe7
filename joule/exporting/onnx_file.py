"""A network as the bytes of an ONNX file, and the check of such a file against the agent."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping

import numpy as np
import torch

from joule.exporting.parts import TOLERANCE, Part, Samples
from joule_errors import Stopped

OPSET = 17
"""Of the ONNX operators: the first one with LayerNormalization. Runtimes since 2022 have it."""


class ExportError(Stopped):
    """A file that does not compute what the agent does, or a network that cannot be exported; one sentence."""


def onnx_bytes(part: Part, samples: Samples, metadata: Mapping[str, str]) -> bytes:
    """The content of the ONNX file of a network, for batches of any size.

    Args:
        part: the network, with its inputs and outputs.
        samples: inputs by name, with which it is traced.
        metadata: texts by name that the file carries.

    Raises:
        ExportError: where torch cannot export the network.
    """
    import onnx

    traced = io.BytesIO()
    rows = {name: torch.from_numpy(samples[name][:2]) for name in part.inputs}
    try:
        # Where it fails, torch prints the whole graph.
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the deprecation, and what a trace cannot know of shapes
            torch.onnx.export(
                part.network,
                tuple(rows.values()),
                traced,  # type: ignore[arg-type]  # newer releases are typed for a path alone
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamic_axes={name: {0: "batch"} for name in (*part.inputs, *part.outputs)},
                opset_version=OPSET,
                # torch's newer exporter needs another library, onnxscript. This one is deprecated; torch 2.4 to
                # 2.15 have it.
                dynamo=False,
            )
    except (RuntimeError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(f"export: torch cannot export the network {part.name}: {reason}") from error
    model = onnx.load_from_string(traced.getvalue())
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def check_against_agent(part: Part, content: bytes, samples: Samples) -> float:
    """Compares the outputs of an ONNX file, run by onnxruntime, with those that the agent itself computes.

    All rows are given as one batch, and the first one alone.

    Args:
        part: what the file holds.
        content: of the file.
        samples: inputs by name.

    Returns:
        The largest difference, in the units of `Value.unit`.

    Raises:
        ExportError: where it exceeds TOLERANCE, with the output and its number.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    expected = part.by_agent(samples)
    largest = 0.0
    for rows in (len(next(iter(samples.values()))), 1):
        found = session.run(list(part.outputs), {name: samples[name][:rows] for name in part.inputs})
        for (name, value), by_file, by_agent in zip(part.outputs.items(), found, expected, strict=True):
            wanted = by_agent[:rows]
            if by_file.shape != (rows, *value.shape) or by_file.dtype != np.float32:
                raise ExportError(
                    f"export: {name} of {part.name}.onnx is {by_file.dtype} {list(by_file.shape)}, not float32 "
                    f"{[rows, *value.shape]}"
                )
            error = np.abs(by_file - wanted) / value.unit(wanted)
            if not (error <= TOLERANCE).all():
                place = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
                raise ExportError(
                    f"export: {name} of {part.name}.onnx is {by_file[place]:g} where the agent has "
                    f"{wanted[place]:g}; nothing is written"
                )
            largest = max(largest, float(error.max()))
    return largest
