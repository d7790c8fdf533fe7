"""The format number of run folders, and the reason why a folder of another format is refused."""

FORMAT = 2
"""The format that this version writes and reads, in `run.json` and in the manifest of every checkpoint."""
OLDER = (
    "written by an older Joule, whose settings had other names; train again, or use the version that wrote it"
)


def format_refusal(found: object) -> str | None:
    """Why a file of format `found` cannot be read, as the end of a sentence; None for a readable format."""
    if not isinstance(found, int) or isinstance(found, bool):
        return "has no format number"
    if found < FORMAT:
        return OLDER
    return (
        f"written by a newer Joule (format {found}, this version reads {FORMAT})" if found > FORMAT else None
    )
