"""Files are opened in two modules only: one that writes through no link, and one that reads within bounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "envs", "planners", "joule", "joule_errors")

METHODS = {
    "read_text", "read_bytes", "write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "link_to",
    "savefig", "tofile", "mkdir", "unlink", "rename",
}  # fmt: skip
"""Methods of any object."""
FUNCTIONS = {
    "os.open", "os.mkdir", "os.makedirs", "os.rename", "os.replace", "os.remove", "os.unlink", "os.truncate",
    "os.link", "os.symlink", "os.mkfifo", "io.open", "io.FileIO", "codecs.open", "np.save", "np.savez",
    "np.savez_compressed", "np.savetxt", "np.load", "np.loadtxt", "np.genfromtxt", "np.fromfile", "np.memmap",
    "torch.save", "torch.load", "Image.open",
}  # fmt: skip
LIBRARIES = (
    "imageio.",
    "iio.",
    "shutil.",
    "plt.",
    "safetensors.numpy.save_file",
    "safetensors.numpy.load_file",
)
"""Beginnings of the names of functions that open files by their path."""
HARMLESS = {"shutil.which", "shutil.get_terminal_size", "shutil.disk_usage"}
WRITER_FILE = "joule/storage/files.py"
"""The writer. It opens files for the reader too."""
WRITER = ("DISK.", "storage.", "self._storage.")
"""The disk operations of the writer."""
IMPORTS = {"tempfile", "zipfile", "tarfile", "gzip", "bz2", "lzma", "mmap", "fileinput", "sqlite3", "dbm"}
NAMES = {"open", "save_file", "load_file", "SummaryWriter", "RecordVideo"}

ALLOWED = {
    # Folders and names without content: a new run folder, and what a refused one leaves.
    "joule/storage/run_record.py": {"mkdir", "unlink"},
    "joule/storage/trust.py": {"mkdir"},
    "joule/storage/new_folder.py": {"shutil.rmtree"},
    "joule/training/conclusion.py": {"unlink"},
    # They write into memory, or to the temporary path that the writer handed out.
    "joule/report/plot_style.py": {"savefig"},
    # And one of them opens that once more, to see whether it is whole.
    "envs/rendering/video.py": {"imageio.get_writer", "imageio.get_reader"},
    # It reads the film that was just made.
    "joule/filming/gif.py": {"imageio.get_reader"},
    # Bytes that the reader has read.
    "joule/storage/npz_file.py": {"np.load"},
    "joule/storage/goal_file.py": {"np.load", "Image.open"},
    # The null device, and what the system says about itself and about this process.
    "joule/memory_budget.py": {"read_text"},
    "joule/cli/streams.py": {"open", "os.open"},
    # The null device, and a file without a name for what a process says at its end.
    "joule/answering_process.py": {"os.open", "tempfile"},
    "joule/report/console.py": {"os.open"},
    "joule/report/process_load.py": {"open"},
    # A Python file of the user's, given where an environment's id is asked for: a plain file, read up to a size.
    "envs/python_file.py": {"open"},
    # The source of Joule itself.
    "agent/configurator/kinds.py": {"read_bytes"},
}
"""File -> what it may call, and why."""


def accesses(source: str) -> Iterator[str]:
    """What in a source opens, makes, renames or removes a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in IMPORTS)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.split(".")[0] in IMPORTS:
                yield module
            for alias in node.names:
                full = f"{module}.{alias.name}".replace("numpy.", "np.")
                if full in FUNCTIONS or _of_library(full):
                    yield full
        elif isinstance(node, ast.Call):
            called = _dotted(node.func)
            if called.startswith(WRITER):
                continue
            last = called.rsplit(".", 1)[-1]
            is_method = isinstance(node.func, ast.Attribute)
            if called in FUNCTIONS | NAMES or _of_library(called):
                yield called
            elif is_method and (
                last in METHODS
                or (last == "open" and _opens(node))
                or (last == "replace" and len(node.args) == 1 and not node.keywords)  # that of a text has two
            ):
                yield last


def _dotted(node: ast.expr) -> str:
    """The name of what is called, such as `path.parent.mkdir`; a part that is no name is left empty."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _opens(call: ast.Call) -> bool:
    """Whether a method `open` is that of a path: it has no argument, or a mode. `Run.open(path)` is none."""
    first = call.args[0] if call.args else None
    is_mode = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return is_mode or (
        first is None and not {word.arg for word in call.keywords} - {"mode", "newline", "encoding"}
    )


def _of_library(name: str) -> bool:
    return name.startswith(LIBRARIES) and name not in HARMLESS


def sources() -> Iterator[Path]:
    """The shipped source."""
    yield from sorted(ROOT.glob("*.py"))
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_files_are_opened_by_the_writer_and_the_reader_alone() -> None:
    found = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        calls = set(accesses(path.read_text(encoding="utf-8"))) - ALLOWED.get(name, set())
        if calls and name != WRITER_FILE:
            found[name] = sorted(calls)
    assert found == {}, "use joule.storage.files to write and joule.storage.reader to read"


def test_what_is_allowed_is_used() -> None:
    for name, allowed in ALLOWED.items():
        assert allowed <= set(accesses((ROOT / name).read_text(encoding="utf-8"))), name


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "path.open()",
        "path.open('w')",
        "path.open(newline='', encoding='utf-8')",
        "Path(a).write_text(b)",
        "page.read_text(encoding='utf-8')",
        "figure.savefig(path)",
        "imageio.get_writer(path)",
        "iio.imwrite(path, frame)",
        "os.open(path, flags)",
        "os.replace(a, b)",
        "part.replace(path)",
        "from os import open as o",
        "from shutil import copy",
        "shutil.copytree(a, b)",
        "import tempfile",
        "from tempfile import mkstemp",
        "np.save(path, array)",
        "from numpy import load",
        "torch.save(weights, path)",
        "save_file(arrays, path)",
        "safetensors.numpy.save_file(arrays, path)",
        "SummaryWriter(folder)",
    ],
)
def test_every_access_is_seen(line: str) -> None:
    assert list(accesses(line))


def test_what_opens_no_file_is_not() -> None:
    harmless = "Run.open(path); run.save(path); text.replace(a, b); os.path.exists(p); shutil.which('x')"
    assert not list(accesses(harmless))
