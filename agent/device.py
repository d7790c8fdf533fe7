"""The torch device that a setting names."""

import torch

from joule_errors import Refused


class DeviceError(Refused):
    """A device that was asked for and is not there; one sentence."""


def pick_device(name: str) -> torch.device:
    """The torch device of that name; `auto` takes a GPU when there is one.

    Raises DeviceError when the device is named and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            found = f"{count} of them" if count else "no CUDA GPU"
            raise DeviceError(f"device: {name} asked for, but torch sees {found}; use cpu or auto")
    return torch.device(name)
