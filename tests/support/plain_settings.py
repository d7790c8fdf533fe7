"""The settings of the sections of a config."""

import dataclasses
from collections.abc import Iterator
from typing import Any


def plain_settings(
    section: type, prefix: str = ""
) -> Iterator[tuple[str, type, dataclasses.Field[Any], Any]]:
    """Name, section, field and default of every setting, without those of kinds."""
    for field in dataclasses.fields(section):
        default = getattr(section(), field.name)
        if dataclasses.is_dataclass(default):
            yield from plain_settings(type(default), f"{field.name}.")
        elif field.name != "settings":
            yield prefix + field.name, section, field, default
