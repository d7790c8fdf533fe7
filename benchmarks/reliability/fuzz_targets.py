"""What is fuzzed: a checkpoint with the agent and environment that it is restored into, the settings of a run,
and the files that `compare` reads.

A target forges one of its files, reads it as a command would, and uses what was read. Any exception that is not
one of Joule's own is a fault. So is a load that gave an environment an attribute that it does not have, or that
replaced one of its methods.
"""

from __future__ import annotations

import hashlib
import json
import random
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import joule
from agent.cost.readouts import Readouts
from benchmarks.reliability.array_forger import Arrays, forged_arrays, forged_rows
from benchmarks.reliability.forger import JsonForger, changed_bytes, forged_table
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from joule.agents import build_agent
from joule.memory_budget import check_budget
from joule.memory_estimate import estimate
from joule.storage import arrays as array_file
from joule.storage import checkpoint
from joule.storage.agent_checkpoint import named_checkpoint, restore_checkpoint, restore_env
from joule.storage.checkpoint import ARRAYS, DIGEST, MANIFEST, META
from joule.storage.env_spec import spec_of_run
from joule.storage.run_folder import Run
from joule.training_envs import make_envs
from joule_errors import JouleError

RESEALED = 0.9
"""Share of the forged checkpoints whose hashes are made valid."""
USED = 0.04
"""Share of the loads after which the agent learns on for a moment."""
NEW_ENV = 0.1
"""Share of the attempts with an environment that was not reset yet, as in a resume."""
BUILT_BYTES, BUILT = 32 << 20, 0.2
"""Of the settings that load, those of a small agent, a share of which is built."""
DRAWN = 0.005
"""Share of the comparisons that load whose page and figure are made."""
ROWS = "replay"
"""Name of the replay rows among the files of a checkpoint."""

Outcome = tuple[str, str]
"""The file that was forged; and "loaded", "refused", or the fault."""


class Target(Protocol):
    """Something that reads files."""

    def attempt(self, rng: random.Random) -> Outcome:
        """Forges a file, reads it, and puts the valid one back."""


def outcome_of(call: Callable[[], None]) -> str:
    """How a call ends: "loaded", "refused" by one of Joule's errors, or a description of the fault."""
    try:
        call()
    except FloatingPointError:  # learning that is no longer finite: a run stops
        return "refused"
    except JouleError as error:
        return "refused" if "\n" not in str(error) else f"a sentence of several lines: {error!r:.200}"
    except Exception as error:  # noqa: BLE001  any other exception is a fault, which is reported
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:100]}"
    return "loaded"


class Files:
    """The valid content of some files, which are replaced for an attempt."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths
        self.content = {name: path.read_bytes() for name, path in paths.items()}

    def attempt(self, changed: dict[str, bytes], call: Callable[[], None]) -> str:
        """Calls with changed files, and puts the valid ones back."""
        for name, data in changed.items():
            self.paths[name].write_bytes(data)
        try:
            return outcome_of(call)
        finally:
            for name in changed:
                self.paths[name].write_bytes(self.content[name])


class CheckpointTarget:
    """A checkpoint of a run, and the agent with its environment that is restored from it.

    Args:
        folder: the run.
        trusted: modules that its environment may import.
    """

    def __init__(self, folder: Path, trusted: list[str]) -> None:
        self.newest = newest_checkpoint(folder)
        self.run = Run.open(folder, trust_modules=trusted)
        self.agent: Any = None
        self.agent = joule.load(folder, trust_modules=trusted)
        self._renew_env()
        paths = {name: self.newest / name for name in (ARRAYS, MANIFEST, META, DIGEST)}
        self.manifest = json.loads(paths[MANIFEST].read_text())
        replay = self.manifest["files"].get("replay")
        if replay is not None:
            paths[ROWS] = folder / "replay" / replay["segments"][0]["name"]
            record = np.dtype([(name, kind, tuple(shape)) for name, kind, shape in replay["record"]])
            self.rows = np.fromfile(paths[ROWS], record)
        self.files = Files(paths)
        self.arrays: Arrays = array_file.unpack(self.files.content[ARRAYS])
        length = int.from_bytes(self.files.content[ARRAYS][:8], "little")
        self.header, self.data = (
            self.files.content[ARRAYS][: 8 + length],
            self.files.content[ARRAYS][8 + length :],
        )
        assert outcome_of(lambda: self._load(1.0)) == "loaded"
        self.attributes = [set(vars(env)) for env in self._own_envs()]

    def attempt(self, rng: random.Random) -> Outcome:
        """See `Target`."""
        kinds = ["header", ARRAYS, MANIFEST, META, DIGEST] + [ROWS] * (ROWS in self.files.paths)
        kind = rng.choices(kinds, [0.1, 0.3, 0.12, 0.38, 0.03, 0.07][: len(kinds)])[0]
        name, data = self._forged(kind, rng)
        resealed = kind == ROWS or rng.random() < RESEALED
        if rng.random() < NEW_ENV:
            self.agent.env.close()
            self._renew_env()
        used = rng.random() < USED
        found = self.files.attempt(self._changed(name, data, resealed), lambda: self._load(float(used)))
        if found == "loaded" and data != self.files.content[name] and (not resealed or name == DIGEST):
            found = "loaded although its hash is wrong"
        if found == "loaded":
            added = [
                sorted(set(vars(env)) - own)[:3]
                for env, own in zip(self._own_envs(), self.attributes, strict=True)
            ]
            found = f"the environment has new attributes: {added}" if any(added) else found
        return f"checkpoint: {kind}", found

    def _renew_env(self) -> None:
        """Gives the agent an environment that was not reset yet."""
        self.agent.env = make_envs(self.agent.config)

    def _own_envs(self) -> list[Any]:
        """The environments themselves, below all wrappers."""
        env = self.agent.env
        return (
            [env.unwrapped] if self.agent.config.num_envs == 1 else [one.unwrapped for one in env.vector.envs]
        )

    def _forged(self, kind: str, rng: random.Random) -> tuple[str, bytes]:
        """The name of a file and its forged content."""
        if kind == "header":
            if rng.random() < 0.5:
                value = json.loads(self.header[8:])
                text = JsonForger(value, rng).text()
                return ARRAYS, len(text).to_bytes(8, "little") + text + self.data
            return ARRAYS, changed_bytes(self.header, rng) + self.data
        if kind == ARRAYS:
            return ARRAYS, array_file.pack(forged_arrays(self.arrays, rng))
        if kind == ROWS:
            return ROWS, forged_rows(self.rows, rng).tobytes()
        if kind == DIGEST:
            return DIGEST, changed_bytes(self.files.content[DIGEST], rng)
        return kind, self._forged_json(kind, rng)

    def _forged_json(self, name: str, rng: random.Random) -> bytes:
        """A forged manifest or meta.json; of meta.json mostly one part, the environment's or the agent's."""
        value = json.loads(self.files.content[name])
        part = rng.choice(("env", "env", "agent", "")) if name == META else ""
        if not part or not value[part]:
            return JsonForger(value, rng).text()
        return json.dumps({**value, part: JsonForger(value[part], rng).forged()}).encode(
            errors="surrogatepass"
        )

    def _changed(self, name: str, data: bytes, resealed: bool) -> dict[str, bytes]:
        """The files that change: the forged one, and where it is resealed, those with its hashes."""
        changed = {name: data}
        if resealed and name in (ARRAYS, META, ROWS):
            manifest = json.loads(self.files.content[MANIFEST])
            digest = hashlib.sha256(data).hexdigest()
            if name == ROWS:
                rows = len(data) // self.rows.itemsize
                manifest["files"]["replay"]["segments"][0] |= {"rows": rows, "sha256": digest}
            else:
                manifest["members"][name] = {"size": len(data), "sha256": digest}
            changed[MANIFEST] = json.dumps(manifest).encode()
        if resealed and name != DIGEST and MANIFEST in changed:
            changed[DIGEST] = f"{hashlib.sha256(changed[MANIFEST]).hexdigest()}  {MANIFEST}\n".encode()
        return changed

    def _load(self, used: float) -> None:
        """Loads the checkpoint as a resume does; where it is used, the agent learns on for two frames."""
        checkpoint.kept_files(self.newest.parent)
        saved, logs = named_checkpoint(self.agent, self.run, self.newest)
        restore_checkpoint(self.agent, saved, logs)
        restore_env(self.agent, saved)
        if used:
            self.agent.predict(np.zeros(self.agent.env_spec.observation_size, np.float32))
            self.agent.learn(2)


class RunFilesTarget:
    """The record and the settings of a run, which have no hash; a small agent is built of those that load."""

    def __init__(self, folder: Path, trusted: list[str]) -> None:
        self.folder, self.trusted = folder, trusted
        self.files = Files({name: folder / name for name in ("run.json", "config.json")})
        assert outcome_of(lambda: self._open(True)) == "loaded"

    def attempt(self, rng: random.Random) -> Outcome:
        """See `Target`."""
        name = rng.choice(list(self.files.paths))
        data = JsonForger(json.loads(self.files.content[name]), rng).text()
        built = rng.random() < BUILT
        return name, self.files.attempt({name: data}, lambda: self._open(built))

    def _open(self, built: bool) -> None:
        with Run.open(self.folder, trust_modules=self.trusted) as run:
            spec = spec_of_run(run)
            check_budget(run.config, spec)
            Readouts(spec.readout_sizes, spec.derived_readouts)
            if built and estimate(run.config, spec).total < BUILT_BYTES:
                build_agent(run.config, spec, None)


class LogsTarget:
    """The tables of a run that a resume cuts back, and its summary."""

    def __init__(self, folder: Path, trusted: list[str]) -> None:
        self.folder, self.trusted = folder, trusted
        names = (
            "metrics.csv",
            "evaluations.csv",
            "forecasts.csv",
            "episodes.csv",
            "readouts.csv",
            "summary.json",
        )
        self.files = Files({name: folder / name for name in names if (folder / name).exists()})
        assert outcome_of(self._resume) == "loaded"
        self._put_back()

    def attempt(self, rng: random.Random) -> Outcome:
        """See `Target`."""
        name = rng.choice(list(self.files.paths))
        content = self.files.content[name]
        table = name.endswith(".csv")
        data = forged_table(content, rng) if table else JsonForger(json.loads(content), rng).text()
        found = self.files.attempt({name: data}, self._resume)
        self._put_back()
        return f"logs: {name}", found

    def _resume(self) -> None:
        with Run.open(self.folder, trust_modules=self.trusted) as run:
            run.finished_at()
            run.truncate_logs(60, 60)
            run.log({"surprise": 1.0, "a new metric": 2.0}, 70)

    def _put_back(self) -> None:
        for name, data in self.files.content.items():
            self.files.paths[name].write_bytes(data)


class CompareTarget:
    """What `compare` reads: run folders, a tree of results, and a page that gets the table.

    Args:
        folder: a run, in which files are forged.
        other: another run, to compare it with.
        place: an empty folder, for the tree, the page and the output.
    """

    def __init__(self, folder: Path, other: Path, place: Path) -> None:
        self.runs, self.place = [folder, other], place
        self.tree, self.page = place / "results", place / "page.md"
        seed = self.tree / "suite" / "joule" / "Env-v0" / "seed1.csv"
        seed.parent.mkdir(parents=True)
        # Another environment: the same results twice would be refused.
        text = (folder / "evaluations.csv").read_text()
        seed.write_text(text.replace(json.loads((folder / "config.json").read_text())["env"], "Env-v0"))
        self.page.write_text("# A page\n\n<!-- results:begin -->\n\n<!-- results:end -->\n")
        names = ("evaluations.csv", "forecasts.csv", "readouts.csv", "config.json", "command.txt")
        self.files = Files(
            {name: folder / name for name in names} | {seed.name: seed, self.page.name: self.page}
        )
        assert outcome_of(lambda: self._compare(True)) == "loaded"

    def attempt(self, rng: random.Random) -> Outcome:
        """See `Target`."""
        name = rng.choice(list(self.files.paths))
        content = self.files.content[name]
        if name.endswith(".csv"):
            data = forged_table(content, rng)
        elif name.endswith(".json"):
            data = JsonForger(json.loads(content), rng).text()
        else:
            data = changed_bytes(content, rng)
        drawn = rng.random() < DRAWN
        found = self.files.attempt({name: data}, lambda: self._compare(drawn))
        return f"compare: {name}", found

    def _compare(self, drawn: bool) -> None:
        from joule.commands.compare import compare, show
        from joule.report import forecasts, legibility, markdown_page, table
        from joule.report.results import gather

        if drawn:
            show(compare(self.runs, [self.tree], out=self.place / "comparison", readme=self.page))
            return
        found = gather(self.runs, [self.tree])
        rows = table.rows(found)
        notes = table.notes(rows, found)
        for run in found:
            legibility.read(run.source, int(run.frames[run.at()]))
            if (entries := forecasts.read(run.source, int(run.frames[run.at()]))) is not None:
                entries.of_returns(), entries.of_costs()
        table.pooled(rows), table.pair_sentences(table.pairs(rows)), table.comma_separated(rows)
        markdown_page.with_table(self.page, table.markdown(rows, notes))
