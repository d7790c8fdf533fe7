"""What perturbations drew in an episode, as text."""

from __future__ import annotations

from collections.abc import Mapping


def text(values: Mapping[str, float]) -> str:
    """Drawn values by name in words, such as `gravity=0.8312 mass.torso=2`."""
    return " ".join(f"{name}={value:.15g}" for name, value in values.items())
