"""Downloads a shared run into a new run folder, and verifies it before the folder appears.

What a repository holds may come from anybody. Names and sizes are checked before a file is downloaded, each file is
read within its bound and compared with its SHA-256, and at last the agent is restored from it: nothing of the
repository is executed, and the environment that the run names is not made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from joule.memory_budget import largest_checkpoint
from joule.sharing.contents import CARD, PROVENANCE, SharingError, check_name, largest
from joule.sharing.hub import Hub
from joule.sharing.provenance import agent_hash, check_file, checkpoint_of, parsed
from joule.storage.errors import RunError
from joule.storage.files import DISK, why
from joule.storage.links import CONFIG, RUN_FILE
from joule.storage.loading import restored
from joule.storage.manifest import ARRAYS
from joule.storage.new_folder import new_folder
from joule.storage.reader import read_plain
from joule.storage.run_entries import VERSIONS
from joule.storage.run_folder import Run
from joule.storage.run_record import read_run
from joule_errors import JouleError

_SCRATCH = ".download"
"""Where the library downloads to, in the temporary folder."""
_OF_THE_HUB = ".gitattributes"
"""A file that the Hub puts into every repository."""
_NEEDED = (RUN_FILE, CONFIG, VERSIONS)


@dataclass(frozen=True)
class Pulled:
    """A run that was pulled."""

    folder: Path
    commit: str
    config: Config
    provenance: dict[str, Any]
    hash: str
    """SHA-256 of the agent; see `agent_hash`."""
    ignored: list[str]
    """Other files of the repository, which were not downloaded."""


def pull_run(hub: Hub, repo: str, revision: str | None, folder: Path) -> Pulled:
    """Downloads a shared run; the folder is complete and verified, or absent.

    Args:
        hub: where from.
        repo: the repository.
        revision: a branch, a tag or a commit; None is the main branch.
        folder: the new run folder, whose place is free.

    Raises:
        SharingError: for a repository that cannot be read or holds no valid shared run, and where the disk refuses.
    """
    commit, sizes = hub.files(repo, revision)
    for name in sizes:
        check_name(repo, name)
    if PROVENANCE not in sizes:
        raise SharingError(f"{repo}: has no {PROVENANCE}, so that it is no run that `joule push` has shared")
    try:
        with new_folder(folder, "pull") as temporary:
            download = _Download(hub, repo, commit, sizes, temporary)
            try:
                config, provenance = _fill(repo, download)
            except JouleError as error:
                raise SharingError(str(error).replace(str(temporary), repo)) from error
            finally:
                download.clear()
    except OSError as error:
        raise SharingError(f"{folder}: cannot be written: {why(error)}") from error
    own = {*provenance["files"], PROVENANCE, CARD, _OF_THE_HUB}
    ignored = sorted(set(sizes) - own)
    return Pulled(folder, commit, config, provenance, agent_hash(provenance["files"]), ignored)


class _Download:
    """Files of one commit, written into a folder one by one."""

    def __init__(
        self, hub: Hub, repo: str, commit: str, sizes: Mapping[str, int | None], folder: Path
    ) -> None:
        self.hub, self.repo, self.commit, self.sizes, self.folder = hub, repo, commit, sizes, folder

    def get(self, name: str, entry: Mapping[str, Any] | None = None) -> bytes:
        """Downloads a file, checks it, and writes it.

        Args:
            name: of the file.
            entry: its size and SHA-256; None for a file that has no entry.

        Raises:
            SharingError: for a file that is missing, too large, or another one than was shared.
            OSError: when the disk refuses.
        """
        size, limit = self.sizes.get(name), largest(name)
        if limit is None or size is None:
            raise SharingError(f"{self.repo}: {name} is missing")
        if size > limit:
            raise SharingError(f"{self.repo}: {name} holds {size} bytes, at most {limit} are allowed")
        if entry is not None and size != entry["size"]:
            raise SharingError(f"{self.repo}: is damaged, {name} is not the file that was shared")
        scratch = self.folder / _SCRATCH
        DISK.make(scratch)
        data = read_plain(self.hub.download(self.repo, self.commit, name, scratch), limit)
        if entry is not None:
            check_file(self.repo, name, data, entry)
        path = self.folder / name
        DISK.make(path.parent)
        DISK.write(path, data)
        return data

    def clear(self) -> None:
        """Removes what the library left. Raises OSError when the disk refuses."""
        if (self.folder / _SCRATCH).is_dir():
            DISK.remove(self.folder / _SCRATCH)


def _fill(repo: str, download: _Download) -> tuple[Config, dict[str, Any]]:
    """Downloads the run and verifies it. Returns its settings and its provenance."""
    provenance = parsed(repo, download.get(PROVENANCE))
    entries = provenance["files"]
    if lacking := [name for name in _NEEDED if name not in entries]:
        raise SharingError(f"{repo}: its {PROVENANCE} does not name {lacking[0]}")
    checkpoint = checkpoint_of(repo, entries)
    for name in _NEEDED:
        download.get(name, entries[name])
    _, config = read_run(download.folder)
    config = replace(config, {"memory_budget_gb": None})
    arrays = f"{checkpoint}/{ARRAYS}"
    budget = largest_checkpoint(config)
    if arrays in entries and entries[arrays]["size"] > budget:
        raise SharingError(
            f"{repo}: {arrays} holds {entries[arrays]['size'] / 1e6:,.1f} MB, and the memory budget leaves "
            f"{budget / 1e6:,.1f} MB for it"
        )
    for name in sorted(entries.keys() - set(_NEEDED)):
        download.get(name, entries[name])
    if download.sizes.get(CARD) is not None:
        download.get(CARD)
    download.clear()
    verify(download.folder)
    return config, provenance


def verify(folder: Path) -> None:
    """Checks a run folder in the shared form: each file, and that its agent can be restored.

    Raises:
        RunError: for a run that is not in the shared form.
        SharingError, CheckpointError, ReplayLogError, ConfigError: for a file that is missing, damaged or invalid.
    """
    record, config = read_run(folder)
    try:
        values = parsed(str(folder), read_plain(folder / PROVENANCE, largest(PROVENANCE) or 0))
        for name, entry in values["files"].items():
            check_file(str(folder), name, read_plain(folder / name, entry["size"]), entry)
    except OSError as error:
        raise SharingError(f"{folder}: {why(error)}") from error
    # The agent is only restored here, on any machine; the settings in the folder stay as they are.
    run = Run(folder, replace(config, {"memory_budget_gb": None, "device": "cpu"}), record)
    if not run.shared:
        raise RunError(f"{folder}: is not in the shared form, which `joule push` makes")
    agent, saved = restored(run)
    if (agent.frames, config.env) != (values.get("frames"), values.get("env")):
        raise SharingError(
            f"{folder}: its {PROVENANCE} is of another agent than its checkpoint {saved.path.name}"
        )
