"""Share a trained agent on the Hugging Face Hub: its networks and settings, with a model card made from the run.

python push.py RUN name/halfcheetah                    the newest checkpoint, into a repository of that name
python push.py RUN name/halfcheetah --private          into a private one
python push.py RUN name/halfcheetah --license mit      with a licence in the model card
python push.py RUN --out halfcheetah                   into a new folder of this machine instead

What is shared can act, be evaluated, filmed and explained by everybody who does `joule pull name/halfcheetah`, or
has the folder. It has no replay buffer, no optimisers and no logs. The Hub needs the extra `hub` (in a checkout:
pip install -e ".[hub]") and a token, by `hf auth login` or HF_TOKEN. HF_ENDPOINT names another server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.configurator.settings import NO_ENV
from agent.errors import ConfigError
from joule import threads
from joule.arguments import as_path
from joule.cli import signals
from joule.cli.command_line import command_words, shell_line
from joule.cli.parser import Parser
from joule.cli.trained_options import add_run
from joule.command_record import Record


def parser() -> Parser:
    """The options of this command."""
    p = Parser(prog="push.py", description=__doc__, operands="RUN [REPO]")
    add_run(p)
    p.add_argument(
        "repo",
        metavar="REPO",
        nargs="?",
        help="the repository, such as name/halfcheetah; it is made if needed",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="a new folder, in place of a repository")
    p.add_argument(
        "--private", action="store_true", help="make a private repository; refuse one that is public"
    )
    p.add_argument("--revision", metavar="BRANCH", help="the branch (default: the main one)")
    p.add_argument(
        "--license", metavar="ID", default="", help="a licence for the model card, such as mit or apache-2.0"
    )
    p.add_argument(
        "--message", metavar="TEXT", default="", help="of the commit (default: the agent and its return)"
    )
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser().parse(arguments)
    threads.set_variables(threads.of_run(options.run))
    record = push(
        options.run,
        options.repo,
        out=options.out,
        private=options.private,
        revision=options.revision,
        licence=options.license,
        message=options.message,
        trust_modules=options.trust_module,
        trust_env_kwargs=options.trust_env_kwargs,
    )
    print(record)
    return 0


def push(
    run: str | os.PathLike[str],
    repo: str | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    private: bool = False,
    revision: str | None = None,
    licence: str = "",
    message: str = "",
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
) -> Record:
    """Shares a trained agent, in the shared form of its run, with a model card.

    Args:
        run: a run folder, for its newest checkpoint that verifies, or one of its checkpoints.
        repo: the repository of the Hugging Face Hub, such as `name/halfcheetah`; it is made where there is none.
        out: a new folder that the shared form is written to, in place of a repository.
        private: whether a repository that is made is private. One that exists and is public is refused.
        revision: the branch; by default the main one.
        licence: an identifier for the model card, such as `mit`; by default the card says that none was chosen.
        message: of the commit.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.

    Returns:
        `hash` (SHA-256 of the agent), `bytes`, and `files` with their sizes, and of a repository `url` and
        `commit`. Where a folder was written, the first path is the folder.

    Raises:
        Refused: for a run that cannot be shared, for neither a repository nor a folder, or both, for a folder that
            is not free, and for a revision that is no name of a branch. For a repository that cannot be written,
            one that is public with `private`, and one without huggingface_hub, token or network.
    """
    from joule.sharing.branch_name import is_branch_name
    from joule.sharing.hub import Hub
    from joule.storage.run_folder import Run
    from joule.storage.run_paths import located

    if (repo is None) == (out is None):
        raise ConfigError("push: give a repository such as name/halfcheetah, or --out and a new folder")
    if licence and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", licence):
        raise ConfigError(
            f"--license: {licence!r:.80} is no identifier of a licence, such as mit or apache-2.0"
        )
    if revision is not None and not is_branch_name(revision):
        raise ConfigError(f"--revision: {revision!r:.80} is no name that git takes for a branch, such as v2")
    of_repository = {"private": private, "revision": revision, "message": message}
    target = None if out is None else _new_folder(out, of_repository)
    wanted = "the path of a run folder, such as that of agent.save(folder)"
    folder, chosen = located(as_path("run", run, wanted))
    opened = Run.open(folder, trust_modules=trust_modules, trust_env_kwargs=trust_env_kwargs)
    hub = None
    if repo is not None:
        hub = Hub("joule push")
        hub.check_token()

    # The imports of torch take seconds; they follow once all of the above is checked.
    from envs.registry import import_module_of
    from joule.model_file import model_of, shown_name
    from joule.sharing.card import score
    from joule.sharing.contents import PROVENANCE
    from joule.sharing.provenance import agent_hash, parsed
    from joule.sharing.shared_form import shared_files, write_shared
    from joule.storage.loading import restored
    from joule.storage.trust import flags_needed

    import_module_of(opened.config.env)
    agent, saved = restored(opened, chosen)
    files = shared_files(opened, agent, saved, repo=repo or "", licence=licence, revision=revision or "")
    values = parsed(repo or str(target), files[PROVENANCE])
    about = f"{agent.config.agent} in {shown_name(agent.config)}, {agent.frames:,} {agent.config.unit}"
    returned = f": {score(values['evaluations'], agent.config.unit)}" if values["evaluations"] else ""
    size, found = sum(map(len, files.values())), agent_hash(values["files"])
    lines = [
        f"{about}{returned}",
        f"{len(files)} files, {size / 1e6:.2f} MB, SHA-256 of the agent {found}",
    ]
    if robot := model_of(agent.config):
        lines.append(
            f"the robot's model file, {robot}, is not among them: whoever shows the agent needs it too"
        )
    sizes = {name: len(data) for name, data in files.items()}
    record = {"hash": found, "bytes": size, "files": sizes}
    if hub is not None and repo is not None:
        url, commit = hub.upload(repo, files, message or about, private=private, revision=revision)
        words = [repo] if revision is None else [repo, "--revision", revision]
        lines += [f"load it anywhere: {shell_line(command_words('pull', words))}", url]
        return Record({"url": url, "commit": commit, **record}, "\n".join(lines))
    assert target is not None, "one of the two was given"
    write_shared(target, files)
    if agent.config.env != NO_ENV:
        flags = flags_needed(agent.config)
        lines.append(f"film it: {shell_line(command_words('render', [str(target), *flags]))}")
    lines.append(str(target))
    return Record(record, "\n".join(lines), (target,))


def _new_folder(out: str | os.PathLike[str], of_repository: Mapping[str, object]) -> Path:
    """The folder to write, which is free.

    Raises:
        Refused: where it is not free, and for an option of a repository.
    """
    from joule.storage.run_paths import check_replaceable

    for option, given in of_repository.items():
        if given:
            raise ConfigError(f"--{option}: is of a repository, and --out writes a folder; leave it out")
    folder = as_path("--out", out)
    check_replaceable(folder)
    return folder
