"""What a benchmark does with a mistake of its user: one sentence, and the exit code that belongs to it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from joule_errors import JouleError


def exit_code(main: Callable[[], int]) -> int:
    """Runs a benchmark; a mistake of the user ends it with a sentence. Any other exception keeps its traceback."""
    try:
        return main()
    except JouleError as error:
        print(error, file=sys.stderr)
        return error.exit_code
