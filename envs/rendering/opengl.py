"""The choice of MuJoCo's OpenGL backend, on a machine with or without a screen."""

from __future__ import annotations

import ctypes
import os
import sys

HINT = (
    "no OpenGL library was found, so there will be no frames: "
    "apt-get install libegl1 libgl1 (or libosmesa6) and set MUJOCO_GL=egl (or osmesa)"
)
_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_OFF = ("disable", "disabled", "off", "false", "0")


def ensure_gl() -> str | None:
    """Chooses MUJOCO_GL; call it before MuJoCo is first imported.

    A value that the user set and that works is never changed. A value with which `import mujoco` fails is
    replaced, because training needs no frames and must go on.

    Returns:
        A sentence for the user if no frames can be made or the user's value was replaced, else None.
    """
    asked = os.environ.get("MUJOCO_GL", "").strip().lower()
    if asked in _OFF:
        return "MUJOCO_GL turns rendering off, so there will be no frames: unset it or set MUJOCO_GL=egl"
    if not sys.platform.startswith("linux"):
        return None
    if asked == "glfw" or (asked in _LIBRARIES and _can_load(asked)):
        return None
    if not asked and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    chosen = next((name for name in _LIBRARIES if _can_load(name)), "off")
    os.environ["MUJOCO_GL"] = chosen
    if asked and chosen != "off":
        return f"MUJOCO_GL={asked} does not work on this machine, {chosen} is used instead"
    return HINT if chosen == "off" else None


def chosen_too_late() -> str:
    """What to do where MuJoCo was imported before MUJOCO_GL had its value; empty where it was not.

    MuJoCo chooses its backend as it is imported, and a value that is set later is without effect.
    """
    chosen, context = os.environ.get("MUJOCO_GL", ""), getattr(sys.modules.get("mujoco"), "GLContext", None)
    used = getattr(context, "__module__", "").rpartition(".")[2]
    if chosen not in _LIBRARIES or used in ("", chosen):
        return ""
    return f"; mujoco was imported before its backend was chosen: set MUJOCO_GL={chosen} before Python starts"


def _can_load(backend: str) -> bool:
    """Whether the library of an OpenGL backend can be loaded here."""
    try:
        ctypes.CDLL(_LIBRARIES[backend])
    except OSError:
        return False
    return True
