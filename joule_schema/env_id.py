"""What can be read from an environment's id without importing anything."""

from __future__ import annotations


def module_of(env: str) -> str | None:
    """The module that an id imports: `my_pkg` for `my_pkg:Arm-v0`, None for an id without one.

    `dmc` in `dmc:walker-walk` stands for dm_control, and is no module.
    """
    module, colon, _ = env.partition(":")
    return module if colon and module != "dmc" else None
