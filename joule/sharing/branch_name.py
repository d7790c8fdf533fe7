"""Which names git takes for a branch; see git-check-ref-format."""

from __future__ import annotations

import re

_NOT_IN_A_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def is_branch_name(name: str) -> bool:
    """Whether git takes a text as the name of a branch."""
    return not (
        name in ("", "@", "HEAD")
        or name.startswith(("-", "/"))
        or name.endswith(("/", "."))
        or _NOT_IN_A_NAME.search(name)
        or any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))
    )
