"""Signals: a command ends with 128 + the number, without a traceback, and leaves no incomplete file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from commands import ROOT, run_python

from joule.cli import signals

PROGRAM = """
import ctypes, os, signal, sys, time
from joule.cli import signal_watch, signals
from joule.cli.main import run_process

signal_watch.GRACE_SECONDS, signal_watch.LOST_SECONDS = 0.1, 0.3

def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0.15)

def at_once(arguments):
    try:
        send(signal.SIGUSR1)
    finally:  # no exception passes here: an import could lose it
        print("cleaned up")

@signals.unwinding()
def by_exception(arguments):
    part = open("part", "w")
    try:
        send(signal.SIGTERM)
    finally:
        os.remove("part")
        print("cleaned up")

@signals.unwinding()
def lost(arguments):
    try:
        send(signal.SIGTERM)
    except BaseException:
        print("lost")
    return 0

@signals.unwinding()
def lost_for_ever(arguments):
    while True:
        try:
            send(signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        except BaseException:
            time.sleep(0.2)

class Viewer:
    def __init__(self):
        send(signal.SIGTERM)
        self.context = []

    def __del__(self):
        self.context.clear()

@signals.unwinding()
def half_made(arguments):
    Viewer()

def later(arguments):
    with signals.deferred():
        send(signal.SIGXCPU, signal.SIGTERM)
        print("done")
    print("too late")

def told(arguments):
    numbers = []
    with signals.handled(numbers.append):
        send(signal.SIGINT, signal.SIGHUP, signal.SIGALRM)
    print(*numbers)
    return 0

def survives(arguments):
    signals.survive_hangup()
    send(signal.SIGHUP)
    print("goes on")
    return 0

def hung(arguments):
    with signals.handled(print):
        mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
        if os.fork() == 0:
            for _ in range(2):
                time.sleep(0.2)
                os.kill(os.getppid(), signal.SIGINT)
            os._exit(0)
        for _ in range(2):  # the second time, it waits for ever, and no signal interrupts it
            libc.pthread_mutex_lock(mutex)

for command in (at_once, by_exception, lost, lost_for_ever, half_made, later, told, survives, hung):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
        run_process(command)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(f"{command.__name__}: {code}", flush=True)
"""


def test_signals_to_a_process(tmp_path: Path) -> None:
    # From Python 3.12 on a fork in a process with threads warns.
    words = ["-W", "ignore::DeprecationWarning", "-c", PROGRAM]
    done = run_python(words, tmp_path, {"PYTHONPATH": str(ROOT)})
    assert done.stderr == ""
    usr1, xcpu = 128 + signal.SIGUSR1, 128 + signal.SIGXCPU
    told = f"{signal.SIGINT} {signal.SIGHUP} {signal.SIGALRM}"
    assert done.stdout.splitlines() == [
        f"at_once: {usr1}",
        "cleaned up", "by_exception: 143",
        "lost", "lost: 143",
        "lost_for_ever: 143",
        "half_made: 143",
        f"later: {xcpu}",
        told, "told: 0",
        "goes on", "survives: 0",
        "hung: 130",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_handlers_are_put_back_and_those_of_others_are_left_alone() -> None:
    mine = signal.signal(signal.SIGALRM, lambda *_: None)
    ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        before = {number: signal.getsignal(number) for number in signals.ENDING}
        came: list[int] = []
        with signals.handled(came.append):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGALRM)  # an environment may have an alarm of its own
            os.kill(os.getpid(), signal.SIGUSR2)  # as after `trap '' USR2`
        assert came == [signal.SIGINT]
        with signals.handled(came.append, enabled=False), signals.unwinding(), signals.deferred():
            signals.survive_hangup()  # in a program that is no command, nothing changes
            assert {number: signal.getsignal(number) for number in signals.ENDING} == before
        assert {number: signal.getsignal(number) for number in signals.ENDING} == before
    finally:
        signal.signal(signal.SIGALRM, mine)
        signal.signal(signal.SIGUSR2, ignored)


def test_the_end_is_no_exception_that_code_takes_for_a_fault() -> None:
    with pytest.raises(signals.Ended, match="ended by SIGTERM") as ended:
        signals.end_by_exception(signal.SIGTERM)
    assert ended.value.exit_code == 143
    assert ended.value.caught() == signal.SIGTERM
    assert not isinstance(ended.value, Exception)
