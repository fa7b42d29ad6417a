"""The end of a command by a signal, and of the processes it started with it.

A command may end anywhere: its files are put in place whole, and training goes on from
the last checkpoint. So a signal ends it at once, in the middle of a compiled call too.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_WATCHES = "FDBPL_ENDS_WITH_STDIN"  # set for a process that `start` started
_started: set[subprocess.Popen] = set()


@dataclasses.dataclass
class _State:
    watched: bool = False  # another command started this one
    stop: Callable[[], None] | None = None  # of `stopping`
    number: int = 0  # of the signal that called it


_state = _State()


def end_by_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end this command: one line, status 128 + n.

    A command that another one started with `start` also ends with that one. Signals
    that are ignored, as `nohup` makes SIGHUP, stay so. For the main thread.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # A handler in Python waits until the main thread is out of a compiled call; the
    # interpreter writes the signal's number to this pipe at once.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    numbers = {getattr(signal, name) for name in _ENDING if hasattr(signal, name)}
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    _state.watched = os.environ.pop(_WATCHES, None) is not None
    _in_thread(_end_by, reader, numbers)
    if _state.watched:
        _in_thread(_end_with, 0)  # the standard input


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first signal call `stop`, from a thread; the block's end is then ours.

    A second signal ends the command at once.
    """
    _state.stop = stop
    try:
        yield
    finally:
        _state.stop = None
    if _state.number:
        _say_and_end(_state.number)


def start(
    command: Sequence[str], output: IO[Any] | None = None
) -> subprocess.Popen[bytes]:
    """Start another command of ours, which ends with this process, however it ends.

    Its output goes to a file, or where this process's goes.
    """
    # The system closes the pipe with this process; nothing is ever written to it.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=os.environ | {_WATCHES: "1"},
    )
    _started.add(process)
    return process


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process of `start`; its exit status, 128 + n after signal n."""
    status = process.wait()
    _started.discard(process)
    if process.stdin:
        process.stdin.close()
    return status if status >= 0 else 128 - status


def _in_thread(function: Any, *arguments: Any) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def _end_by(reader: int, numbers: set[signal.Signals]) -> None:
    number = _received(reader, numbers)
    if _state.stop:
        _state.number = number
        _state.stop()
        number = _received(reader, numbers)  # a second one does not wait
    _say_and_end(number)


def _received(reader: int, numbers: set[signal.Signals]) -> int:
    while (number := os.read(reader, 1)[0]) not in numbers:
        pass
    return number


def _say_and_end(number: int) -> None:
    # Of a command and those it started, which a terminal signals too, one line is said.
    if not _state.watched and sys.stderr is not None:
        name = signal.Signals(number).name
        text = f"stopped by {name}: run the same command again to go on\n"
        # Past the buffer, which the main thread may hold.
        os.write(sys.stderr.fileno(), text.encode())
    _end(128 + number)


def _end_with(parent: int) -> None:
    while os.read(parent, 1):
        pass
    _end(128 + signal.SIGTERM)


def _end(status: int) -> None:
    for process in tuple(_started):
        process.kill()
        process.wait()
    os._exit(status)
