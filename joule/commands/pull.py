"""Fetch a trained agent that somebody has shared, into a run folder that every command reads.

python pull.py name/halfcheetah                     into runs/halfcheetah
python pull.py name/halfcheetah --out cheetah       into another new folder
python pull.py name/halfcheetah --revision v2       a branch, a tag or a commit

Every file is checked before the folder appears, and nothing of it is executed. An environment in a module of its
own is not imported; the command says which option lets another command import it. It needs the extra `hub`:
pip install -e ".[hub]" in a checkout. HF_ENDPOINT names another server, HF_TOKEN opens private repositories.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.configurator.settings import NO_ENV
from joule import threads
from joule.arguments import as_path
from joule.cli import signals
from joule.cli.command_line import command_words, shell_line
from joule.cli.parser import Parser
from joule.command_record import Record

if TYPE_CHECKING:
    from joule.sharing.pulling import Pulled


def parser() -> Parser:
    """The options of this command."""
    p = Parser(prog="pull.py", description=__doc__, operands="REPO")
    p.add_argument("repo", metavar="REPO", help="the repository, such as name/halfcheetah")
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="a new folder (default: runs/ and the repository's name)"
    )
    p.add_argument(
        "--revision", metavar="NAME", help="a branch, a tag or a commit (default: the main branch)"
    )
    p.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser().parse(arguments)
    threads.set_variables(1)
    print(pull(options.repo, options.out, revision=options.revision))
    return 0


def pull(repo: str, out: str | os.PathLike[str] | None = None, *, revision: str | None = None) -> Record:
    """Fetches a shared agent into a new run folder. The folder is complete and verified, or absent.

    Nothing of the repository is executed, and no module that its environment names is imported.

    Args:
        repo: the repository, such as `name/halfcheetah`.
        out: the folder, which must not exist or be empty; by default `runs/` and the repository's name.
        revision: a branch, a tag or a commit; by default the main branch.

    Returns:
        `commit`, `hash` (SHA-256 of the agent), `env`, `frames`, and `trust`: the options that commands need to
        show it in its environment. Its first path is the folder.

    Raises:
        Refused: without huggingface_hub or network, for a repository that does not exist, may not be read, or holds
            no valid shared run, and for a folder that is not free.
    """
    from joule.sharing.hub import Hub
    from joule.storage.run_paths import check_replaceable
    from joule.storage.shipped import RUNS

    hub = Hub("joule pull")
    folder = RUNS / repo.rpartition("/")[2] if out is None else as_path("--out", out)
    check_replaceable(folder)

    # The imports of torch take seconds; they follow once all of the above is checked.
    from joule.sharing.pulling import pull_run
    from joule.storage.trust import flags_needed

    pulled = pull_run(hub, repo, revision, folder)
    flags = flags_needed(pulled.config)
    values = {
        "commit": pulled.commit,
        "hash": pulled.hash,
        "env": pulled.config.env,
        "frames": pulled.provenance["frames"],
        "trust": flags,
    }
    return Record(values, _text(pulled, flags), (pulled.folder,))


def _text(pulled: Pulled, flags: Sequence[str]) -> str:
    from joule.model_file import model_of, shown_name
    from joule.sharing.card import score
    from joule.storage.trust import modules_named

    config, values = pulled.config, pulled.provenance
    said = f" {score(values['evaluations'], config.unit)}" if values.get("evaluations") else ""
    lines = [
        f"{config.agent} in {shown_name(config)}, {values['frames']:,} {config.unit}.{said}",
        f"{len(values['files'])} files verified, nothing executed; SHA-256 of the agent {pulled.hash}",
    ]
    if modules := modules_named(config):
        said = ", and ".join(f"its {what} is in the module {module}" for module, what in modules.items())
        which, them = ("which was not", "it") if len(modules) == 1 else ("and they were not", "them")
        lines.append(f"{said}, {which} imported; if you trust {them}, commands need {' '.join(flags)}")
    elif robot := model_of(config):
        lines.append(
            f"its robot is the model file {robot}, which did not come with it; commands need {' '.join(flags)}"
        )
    elif flags:
        lines.append(
            f"its environment gets keyword arguments; if you trust them, commands need {' '.join(flags)}"
        )
    if pulled.ignored:
        names = ", ".join(pulled.ignored[:3]) + (", ..." if len(pulled.ignored) > 3 else "")
        lines.append(f"not downloaded, because no shared run has it: {names}")
    if config.env != NO_ENV:
        lines.append(f"film it: {shell_line(command_words('render', [str(pulled.folder), *flags]))}")
    lines.append(str(pulled.folder))
    return "\n".join(lines)
