"""What TensorBoard draws beside scalars, as protocol buffers: hyper-parameters (HParams) and moving pictures.

TensorBoard's own functions for hyper-parameters need TensorFlow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST_TEXT = 200
"""Characters of a setting that are shown; a longer one is cut."""


def session_start(settings: Mapping[str, Any], metrics: Sequence[str]) -> list[Any]:
    """The hyper-parameters of a run, for the tab "HParams".

    Args:
        settings: by dotted name; one that is None is left out.
        metrics: tags of the scalars that the tab shows beside them.

    Returns:
        `Summary.Value`s.

    Raises:
        ImportError: when TensorBoard is not installed.
    """
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2  # type: ignore[import-untyped]

    start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    infos = []
    for name, value in settings.items():
        if value is None:
            continue
        if isinstance(value, bool):  # before numbers, because a bool is an int
            start.hparams[name].bool_value, kind = value, api_pb2.DATA_TYPE_BOOL
        elif isinstance(value, (int, float)):
            start.hparams[name].number_value, kind = float(value), api_pb2.DATA_TYPE_FLOAT64
        else:
            start.hparams[name].string_value, kind = _text(value), api_pb2.DATA_TYPE_STRING
        infos.append(api_pb2.HParamInfo(name=name, type=kind))
    shown = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=shown)
    return [
        _hparams_value(metadata.EXPERIMENT_TAG, experiment=experiment),
        _hparams_value(metadata.SESSION_START_INFO_TAG, session_start_info=start),
    ]


def session_end(outcome: str) -> list[Any]:
    """How a run ended, `finished` or `failed`, for the tab "HParams". Returns and raises as `session_start`."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if outcome == "finished" else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    return [_hparams_value(metadata.SESSION_END_INFO_TAG, session_end_info=end)]


def moving_picture(tag: str, gif: bytes, width: int, height: int) -> list[Any]:
    """An animated GIF, for the tab "Images". Returns and raises as `session_start`."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)
    return [Summary.Value(tag=tag, image=image)]


def _hparams_value(tag: str, **data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**data))
    return Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value[:LARGEST_TEXT]
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value))[:LARGEST_TEXT]
    return json.dumps(value, sort_keys=True, default=str)[:LARGEST_TEXT]
