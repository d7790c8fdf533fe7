"""The names of the sensors of a MuJoCo model."""

from collections.abc import Collection
from typing import Any

from envs.readouts.joints import identifier


def model_sensors(model: Any, taken: Collection[str]) -> dict[str, slice]:
    """Name -> where in the sensors' numbers, of the sensors of a MuJoCo model that have a name.

    Args:
        model: an `MjModel`.
        taken: names that other quantities have; a sensor with one of them gets `_sensor` after it.
    """
    found: dict[str, slice] = {}
    for row in range(model.nsensor):
        if given := model.sensor(row).name:
            base, number = identifier(given, f"sensor{row}"), 2
            base = f"{base}_sensor" if base in taken or base in found else base
            name = base
            while name in found:
                name, number = f"{base}_{number}", number + 1
            first = int(model.sensor_adr[row])
            found[name] = slice(first, first + int(model.sensor_dim[row]))
    return found
