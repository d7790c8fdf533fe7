"""The torch device that a setting names."""

import numpy as np
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


def to_tensor(part: np.ndarray, device: torch.device) -> torch.Tensor:
    """A part of an observation on a device.

    Numbers are float32 throughout; images keep their dtype until the encoder reads them.
    """
    kept = part if part.dtype == np.uint8 else np.asarray(part, np.float32)
    return torch.from_numpy(np.ascontiguousarray(kept)).to(device)
