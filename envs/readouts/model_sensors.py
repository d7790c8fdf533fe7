"""The names of the sensors of a MuJoCo model."""

from collections.abc import Collection
from typing import Any

from envs.readouts.joints import identifier


def model_sensors(model: Any, taken: Collection[str]) -> dict[str, slice]:
    """Name -> where in the sensors' numbers, of the sensors of a MuJoCo model that have a name.

    Where two names become the same, as those of `tip place` and `tip_place`, the sensor that is called so has it.

    Args:
        model: an `MjModel`.
        taken: names that other quantities have; a sensor with one of them gets `_sensor` after it.
    """
    named = {row: name for row in range(model.nsensor) if (name := model.sensor(row).name)}
    bases = {row: identifier(given, f"sensor{row}") for row, given in named.items()}
    found: dict[str, int] = {}
    for row in sorted(named, key=lambda row: named[row] != bases[row]):
        base, number = bases[row], 2
        base = f"{base}_sensor" if base in taken or base in found else base
        name = base
        while name in found:
            name, number = f"{base}_{number}", number + 1
        found[name] = row
    places = {}
    for name, row in sorted(found.items(), key=lambda item: item[1]):
        first = int(model.sensor_adr[row])
        places[name] = slice(first, first + int(model.sensor_dim[row]))
    return places
