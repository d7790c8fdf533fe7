"""Several environments of one kind, stepped side by side by gymnasium's vector environments.

`sync` steps them in turn in this process; a snapshot holds every one of them, so that a resume is exact.
`async` gives each a process of its own, for environments whose step takes longer than the hand-over (about
0.2 ms).
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.async_vector_env import _async_worker

from envs.env_spec import EnvSpec
from envs.faults.boundary import DIVERGED_KEY, DRAWN_KEY
from envs.faults.errors import EnvError, EnvFailure, EnvFault
from envs.safe_env import SafeEnv
from envs.state.snapshot_schema import counters_in
from envs.wrappers import FRAMES_KEY
from joule_errors import JouleError
from joule_errors.remote import cause, failure
from joule_schema.arrays import under

Mode = Literal["sync", "async"]
_OF_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that the processes of environments ignore."""
_QUIET = "ignore:resource_tracker"
OWN_KEYS = (FRAMES_KEY, DIVERGED_KEY, DRAWN_KEY)
"""What `info` tells an agent."""
Result = tuple[np.ndarray, float, bool, bool, dict[str, Any]]


class ProcessFault(EnvFailure):
    """A fault of an environment that runs in a process of its own; the message is one sentence."""

    answer: Mapping[str, Any] = {}
    """What `joule_errors.remote.failure` says of it."""


class SafeEnvs:
    """Environments of one kind.

    Args:
        makers: makes each of them; for `async` they are sent to the processes.
        mode: `sync` or `async`.

    Raises:
        EnvError: for another mode, and for makers that are none.

    Attributes:
        env_spec: what is fixed about each of them.
        num_envs: how many they are.
        mode: `sync` or `async`.
    """

    def __init__(self, makers: Sequence[Callable[[], SafeEnv]], mode: Mode = "sync") -> None:
        if mode not in get_args(Mode):
            raise EnvError(f"mode: found {mode!r:.80}; give sync or async")
        if not isinstance(makers, Sequence) or not makers or not all(map(callable, makers)):
            raise EnvError(
                f"makers: found {makers!r:.80}; give a list of functions that make an environment each, such as "
                '[partial(joule.make_env, "Hopper-v5")] * 4'
            )
        self.num_envs, self.mode = len(makers), mode
        self._makers = [_OwnInfo.around(maker) for maker in makers]
        self._name = "an environment"
        self._counted_before: dict[str, int] = {}
        """Of environments in other processes, whose episodes begin anew where a run goes on."""
        self._closed = True
        self._open()
        if mode == "async":
            # Python itself would end the processes by SIGTERM, which they ignore, and wait for ever. Functions
            # that are registered later run earlier.
            atexit.register(_close, weakref.ref(self))
        self.env_spec: EnvSpec = self.attribute("env_spec")[0]
        self._name = self.env_spec.env
        if any(len(part.shape) > 1 for part in self.env_spec.observation):
            self.close()
            raise EnvError(
                f"num_envs: {self._name} is seen in pictures, which are of one environment, or of one of each of "
                "the actors"
            )

    def _make(self) -> SyncVectorEnv | AsyncVectorEnv:
        if self.mode == "sync":
            return SyncVectorEnv(self._makers, autoreset_mode=AutoresetMode.DISABLED)
        return self._while_alive(
            lambda: _undisturbed(
                lambda: AsyncVectorEnv(
                    [_InProcess(maker) for maker in self._makers],
                    shared_memory=False,
                    context="spawn",  # a fork would copy the locks of torch's and MuJoCo's threads
                    autoreset_mode=AutoresetMode.DISABLED,
                    worker=_serve,
                )
            )
        )

    def reset(self, seeds: Mapping[int, int | None]) -> dict[int, np.ndarray]:
        """Begins an episode in each environment that `seeds` names; its first observation, by number."""
        mask = np.array([number in seeds for number in range(self.num_envs)])
        every = [seeds.get(number) for number in range(self.num_envs)]
        obs, _ = self._ask(lambda: self.vector.reset(seed=every, options={"reset_mask": mask}))
        return {number: np.array(obs[number]) for number in seeds}

    def step(self, actions: np.ndarray) -> list[Result]:
        """One decision in every environment, `actions` [envs, act]."""
        sent = np.asarray(actions, np.float32)
        obs, rewards, terminated, truncated, infos = self._ask(lambda: self.vector.step(sent))
        return [
            (np.array(obs[k]), float(rewards[k]), bool(terminated[k]), bool(truncated[k]), _info_of(infos, k))
            for k in range(self.num_envs)
        ]

    def readouts(self) -> np.ndarray:
        """[envs, readouts], float32"""
        return np.stack(self._ask(lambda: self.vector.call("readouts")))

    def attribute(self, name: str) -> list[Any]:
        """An attribute of each environment."""
        return list(self._ask(lambda: self.vector.get_attr(name)))

    @property
    def counters(self) -> dict[str, int]:
        """How often each survivable fault happened, over all environments."""
        total = dict(self._counted_before)
        for counters in self.attribute("counters"):
            for name, count in counters.items():
                total[name] = total.get(name, 0) + count
        return total

    def snapshot(self) -> dict[str, Any]:
        """Everything the future of these environments depends on, under the number of each."""
        saved = self._ask(lambda: self.vector.call("snapshot"))
        return {f"{k}/{name}": value for k, one in enumerate(saved) for name, value in one.items()}

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """Returns to a snapshot, where all environments are in this process.

        False where one of them could not be restored to the last bit: their episodes then begin anew.
        """
        self._open()
        if not isinstance(self.vector, SyncVectorEnv):
            self._counted_before = _counted_in(saved, self.num_envs)
            return False
        exact, own = True, []
        for number, env in enumerate(self.vector.envs):
            assert isinstance(env, _OwnInfo)
            own.append((env.safe_env, under(f"{number}/", saved)))
        for safe_env, part in own:  # all are checked before one is changed
            safe_env.check_restorable(part)
        for number, (safe_env, part) in enumerate(own):
            exact &= safe_env.restore(part)
            # Gymnasium returns the newest observations of all environments, also when it resets only one.
            self.vector._env_obs[number] = safe_env.observation.copy()  # type: ignore[call-overload]
        return exact

    def close(self) -> None:
        """Frees the simulators, and ends their processes. The next call makes new ones."""
        if self._closed:
            return
        self._closed = True
        if isinstance(self.vector, AsyncVectorEnv) and not all(
            process.is_alive() for process in self.vector.processes
        ):
            _kill(self.vector)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.vector.close()
            except (EOFError, ConnectionError):  # a process ended meanwhile
                assert isinstance(self.vector, AsyncVectorEnv)
                _kill(self.vector)

    def _open(self) -> None:
        """Makes the environments anew where they were closed."""
        if self._closed:
            self.vector: SyncVectorEnv | AsyncVectorEnv = self._make()
            self._closed = False

    def _ask(self, call: Callable[[], Any]) -> Any:
        """`call` of environments that are open; see `_while_alive`."""
        self._open()
        return call() if isinstance(self.vector, SyncVectorEnv) else self._while_alive(call)

    def _while_alive(self, call: Callable[[], Any]) -> Any:
        """`call`, where the end of a process is a fault that names the environment."""
        # Gymnasium prints the traceback of a process before it raises its error, and each % in it is a format.
        level, gymnasium.logger.min_level = gymnasium.logger.min_level, gymnasium.logger.ERROR + 1
        try:
            return call()
        except (EOFError, ConnectionError) as error:
            # A process closes its pipe and its sentinel a moment before its exit code can be read.
            raise ProcessFault(f"{self._name}: the process of {self._ended()} ended during a call") from error
        except ProcessFault as fault:  # around the one that was sent
            raise fault from cause(getattr(fault.args[0], "answer", {}))
        finally:
            gymnasium.logger.min_level = level

    def _ended(self) -> str:
        """Which processes have ended, in words."""
        if self._closed:  # they were about to be made
            return (
                'an environment that was being made (a script makes some below if __name__ == "__main__": alone, '
                "because each process reads it)"
            )
        processes = self.vector.processes if isinstance(self.vector, AsyncVectorEnv) else []
        closed = wait([process.sentinel for process in processes], timeout=5.0)
        ended = []
        for number, process in enumerate(processes):
            if process.sentinel in closed:
                process.join(5.0)
                ended.append(f"{number} (exit code {process.exitcode})")
        return f"environment {', '.join(ended)}" if ended else "an environment"


def _kill(vector: AsyncVectorEnv) -> None:
    """Ends the processes of environments one of which has ended. Gymnasium would wait for its answer."""
    for process, pipe in zip(vector.processes, vector.parent_pipes, strict=True):
        process.kill()
        process.join()
        if pipe is not None:
            pipe.close()
    vector.closed = True


def _undisturbed(start: Callable[[], AsyncVectorEnv]) -> AsyncVectorEnv:
    """Starts processes that no signal of the parent ends before they have come to ignore it.

    A new process has the mask of the thread that starts it. Python's own process, which removes semaphores that
    a killed command left, would also complain of them on the terminal.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_PARENT)
    sys.warnoptions.append(_QUIET)
    try:
        resource_tracker.ensure_running()  # it changes the mask
        signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_PARENT)
        return start()
    finally:
        sys.warnoptions.remove(_QUIET)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _counted_in(saved: Mapping[str, Any], environments: int) -> dict[str, int]:
    """The counters in a snapshot, over all environments."""
    total: dict[str, int] = {}
    for number in range(environments):
        for name, count in counters_in(under(f"{number}/", saved)).items():
            total[name] = total.get(name, 0) + count
    return total


def _close(reference: weakref.ref[SafeEnvs]) -> None:
    """Closes environments that still exist."""
    several = reference()
    if several is not None:
        several.close()


def _serve(
    index: int, maker: Any, pipe: Any, parent_pipe: Any, memory: Any, errors: Any, *others: Any
) -> None:
    """What a process of an environment does: gymnasium's worker, with a pipe whose end is no error.

    An environment that cannot be made in this process answers the first call with the reason.
    """
    quiet: Any = _Pipe(pipe)
    try:
        env = maker()
    except JouleError as error:
        quiet.recv()
        errors.put((index, ProcessFault, str(error), ""))
        quiet.send((None, False))
        return
    _async_worker(index, lambda: env, quiet, parent_pipe, memory, errors, *others)


class _Pipe:
    """A connection to the parent. When the parent has ended, so does this process, without a word."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def recv(self) -> Any:
        return self._while_connected(self.connection.recv)

    def send(self, message: Any) -> None:
        self._while_connected(lambda: self.connection.send(message))

    def close(self) -> None:
        self.connection.close()

    @staticmethod
    def _while_connected(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (EOFError, ConnectionError):
            raise SystemExit(0) from None  # no Exception, so that gymnasium does not report it


class _InProcess:
    """Makes an environment in a process of its own, whose faults reach the parent as one sentence."""

    def __init__(self, maker: Callable[[], _OwnInfo]) -> None:
        self.maker = maker

    def __call__(self) -> gymnasium.Env[Any, Any]:
        if multiprocessing.parent_process() is None:
            return self.maker()  # gymnasium makes one more in the parent, to read its spaces
        # Ctrl-C reaches every process of the terminal, and a cluster's signal every one of a job. The parent
        # decides when an environment ends.
        for number in _OF_THE_PARENT:
            signal.signal(number, signal.SIG_IGN)
        return _Reporting(self.maker())


class _OwnInfo(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps in `info` what Joule put there.

    Gymnasium joins the infos of several environments into arrays, and sends them from process to process. An
    environment's own may be anything: large, of another shape at each step, or nothing that can be sent.
    """

    def __init__(self, env: SafeEnv) -> None:
        super().__init__(env)
        self.safe_env = env

    @staticmethod
    def around(maker: Callable[[], SafeEnv]) -> Callable[[], _OwnInfo]:
        """A maker of the wrapped environment."""
        return partial(_made_with_own_info, maker)

    def reset(self, **how: Any) -> Any:
        return self.env.reset(**how)[0], {}

    def step(self, action: Any) -> Any:
        *result, info = self.env.step(action)
        return *result, {name: info[name] for name in OWN_KEYS if name in info}


def _made_with_own_info(maker: Callable[[], SafeEnv]) -> _OwnInfo:
    return _OwnInfo(maker())


class _Reporting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Raises faults as `ProcessFault`, which can be sent to another process and made again there."""

    def reset(self, **how: Any) -> Any:
        return self._told(lambda: self.env.reset(**how))

    def step(self, action: Any) -> Any:
        return self._told(lambda: self.env.step(action))

    def readouts(self) -> np.ndarray:
        return self._told(self.env.get_wrapper_attr("readouts"))  # type: ignore[no-any-return]

    def snapshot(self) -> dict[str, Any]:
        return self._told(self.env.get_wrapper_attr("snapshot"))  # type: ignore[no-any-return]

    @staticmethod
    def _told(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except EnvFault as fault:
            told = ProcessFault(str(fault))
            told.answer = failure(fault)
            raise told from None


def _info_of(infos: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The info of one environment, from gymnasium's dictionary of arrays with a mask beside each."""

    def own(name: str) -> Any:
        if name != DRAWN_KEY:
            return infos[name][number].item()
        drawn = infos[name].items()  # the names of drawn values begin with a letter, those of masks do not
        return {value: array[number].item() for value, array in drawn if not value.startswith("_")}

    return {name: own(name) for name in OWN_KEYS if name in infos and infos[f"_{name}"][number]}
