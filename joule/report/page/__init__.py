"""One self-contained HTML page of a comparison: table, curves, films, and how every number was made."""

from joule.report.page.document import build

__all__ = ["build"]
