"""Export a trained agent as ONNX files: the policy, and the networks with which somebody can plan elsewhere.

python export.py RUN                       into RUN/export
python export.py RUN --out for-the-robot   into a new folder

Each file is run by onnxruntime and compared with the agent before anything is written. `export.json` beside them
has sizes, names, units, the bounds of actions, the rate of decisions and where the agent comes from. It needs the
extra `export`: pip install onnx onnxruntime.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.configurator import dotted_names
from agent.errors import ConfigError
from agent.memory.columns import sees_pictures
from joule import threads
from joule.arguments import as_path
from joule.cli import signals
from joule.cli.parser import Parser
from joule.cli.trained_options import add_run
from joule.command_record import Record
from joule.exporting.libraries import check_libraries
from joule.trained import Request

if TYPE_CHECKING:
    from agent.agent import WorldModelAgent
    from agent.interface import Agent
    from envs import SafeEnv

RECORD = "export.json"


def parser() -> Parser:
    """The options of this command."""
    p = Parser(prog="export.py", description=__doc__, operands="RUN")
    p.add_argument("--out", type=Path, metavar="DIR",
                   help="a folder that does not exist yet (default: RUN/export)")  # fmt: skip
    add_run(p)
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser().parse(arguments)
    threads.set_variables(threads.of_run(options.run))
    record = export(
        options.run,
        options.out,
        trust_modules=options.trust_module,
        trust_env_kwargs=options.trust_env_kwargs,
    )
    print(record)
    print("", record.paths[0], sep="\n")
    return 0


def export(
    trained: str | os.PathLike[str] | Agent,
    out: str | os.PathLike[str] | None = None,
    *,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
) -> Record:
    """Writes the networks of a trained agent as ONNX files, which need neither Joule nor torch.

    The files are float32 and take batches of any size: `policy` (observation -> action), `encoder` (observation ->
    latent), `prior` (latent -> the policy), `dynamics` (latent, action -> next latents), `cost`, `cost_to_go` and
    `readouts`. `export.json` describes them. The folder is complete or absent.

    Args:
        trained: a run folder, one of its checkpoints, or an agent.
        out: the folder, which must not exist. By default it is `export` in the run folder, or `export-step-<n>` for
            a checkpoint; an agent in memory needs one.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.

    Returns:
        The values of `export.json` by name. Its first path is the folder, the others are the files.

    Raises:
        Refused: for input that cannot be used, such as an agent of another kind, one that plans for a task that its
            networks have not learned, or a folder that exists.
        ExportError: where a file does not compute what the agent does; nothing is written then.
    """
    from_run = isinstance(trained, (str, os.PathLike))
    # The files are the same from every device, and the machine may have another one than that of the training.
    request = Request(
        trained,
        {"device": "cpu"} if from_run else {},
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
    )
    _check_kind(request)
    folder = _folder(request, out)
    check_libraries()

    # The imports of torch and MuJoCo take seconds; they follow once all of the above is checked.
    from joule.exporting.export_record import provenance
    from joule.report.export_text import shown

    loaded = request.load()
    agent = loaded.world_model
    assert agent is not None, "checked above"
    _check_agent(agent)
    origin = provenance(agent, None if request.run is None else request.run.id)
    # The reward is not needed, and that of a task in Python could not be made.
    env_config = dotted_names.replace(loaded.env_config, {"task": ""})
    env = dataclasses.replace(loaded, env_config=env_config).make_env()
    try:
        values, files = _files(agent, env, origin)
    finally:
        env.close()
    _write(folder, files)
    return Record(values, shown(values), (folder, *(folder / name for name in files)))


def _check_kind(request: Request) -> None:
    """Raises ConfigError for an agent that is not Joule's own."""
    kind = request.config.agent
    if kind != "joule":
        source = "the agent" if request.run is None else request.run.folder
        raise ConfigError(
            f"{source}: {kind} has no world model to export; export takes an agent of the kind joule"
        )


def _folder(request: Request, out: str | os.PathLike[str] | None) -> Path:
    """Where the files go. Raises ConfigError for a place that is taken or cannot be written to."""
    from joule.storage.files import why
    from joule.storage.links import check_inside

    if out is not None:
        folder = as_path("--out", out)
    elif request.run is None:
        raise ConfigError("out: an agent in memory has no run folder; give the folder to export into")
    else:
        of = "" if request.checkpoint is None else f"-{request.checkpoint.name}"
        folder = request.output_folder() / f"export{of}"
    if os.path.lexists(folder):
        raise ConfigError(f"--out: {folder} exists already; give a path that is free, or remove it first")
    try:
        check_inside(folder)
    except OSError as error:
        raise ConfigError(f"--out: {folder} cannot be written: {why(error)}") from error
    if not folder.parent.is_dir() or not os.access(folder.parent, os.W_OK):
        raise ConfigError(
            f"--out: {folder} cannot be written; give one whose parent folder can be written to"
        )
    return folder


def _check_agent(agent: WorldModelAgent) -> None:
    """Raises ConfigError for an agent that acts by more than its networks, or that has nothing to be checked on."""
    task_cost, buffer = agent.modules.task_cost, agent.modules.replay_buffer
    if task_cost is not None:
        raise ConfigError(
            f"export: the agent plans for the task {task_cost.name!r}, which its networks have not learned; "
            "learn_task learns it, and what it learned can be exported"
        )
    if sees_pictures(agent.env_spec):
        raise ConfigError("export: the agent observes pictures, and an export takes a flat state alone")
    if agent.config.perceive == "energy":
        raise ConfigError(
            "export: sensor-fault inference is not exported; load the agent with perceive encoder"
        )
    # The shared form has no replay; an agent that learned from data has frames and no decisions.
    if not buffer.held and not agent.frames:
        raise ConfigError(
            "export: the agent has no experience yet on which the files could be checked; train it"
        )
    if len(agent.env_spec.observation) > 1:
        raise ConfigError("export: an observation of several parts is not exported; one flat vector is")


def _files(
    agent: WorldModelAgent, env: SafeEnv, origin: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The values of export.json, and the contents of all files by name. Raises ExportError."""
    from joule.exporting.export_record import export_record
    from joule.exporting.onnx_file import check_against_agent, onnx_bytes
    from joule.exporting.parts import parts_of, samples_of
    from joule.storage.json_files import encode_object

    samples = samples_of(agent, env)
    parts = {f"{part.name}.onnx": part for part in parts_of(agent, env.own_action)}
    described = {
        f"joule.{name}": str(value) for name, value in origin.items() if isinstance(value, (str, int))
    }
    contents = {name: onnx_bytes(part, samples, described) for name, part in parts.items()}
    errors = {name: check_against_agent(part, contents[name], samples) for name, part in parts.items()}
    rows = len(samples["observation"])
    values = export_record(agent, env, parts, contents, errors, rows, origin)
    return values, {**contents, RECORD: encode_object(values)}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the folder, complete or not at all. Raises ConfigError where the disk refuses."""
    from joule.storage.files import DISK, why
    from joule.storage.new_folder import new_folder

    try:
        with new_folder(folder, "export") as temporary:
            DISK.make(temporary)
            for name, content in files.items():
                DISK.write(temporary / name, content)
            DISK.sync(temporary)
    except OSError as error:
        raise ConfigError(f"--out: {folder} cannot be written: {why(error)}") from error
