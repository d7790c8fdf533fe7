"""One explained decision: the chosen plan beside rejected ones, as text and as a figure.

Both are made from the JSON values that the command `explain` writes, so that the file alone is enough.
"""

from joule.report.decision.figure import draw
from joule.report.decision.text import discounted, reason, short, shown

__all__ = ["discounted", "draw", "reason", "short", "shown"]
