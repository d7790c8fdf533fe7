"""The torch device that a setting names."""

import torch

from joule_errors import Refused


class DeviceError(Refused):
    """A device that does not exist; the message is one sentence."""


def pick_device(name: str) -> torch.device:
    """The torch device of that name; `auto` takes a GPU where there is one.

    Raises:
        DeviceError: for a named device that does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            found = f"{count} of them" if count else "no CUDA GPU"
            raise DeviceError(f"device: {name} is not there, torch finds {found}; use cpu or auto")
    return torch.device(name)
