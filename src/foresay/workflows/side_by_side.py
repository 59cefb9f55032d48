"""Commands of this package, several at a time: each in a process of its own, with one thread, as many at once as there are processors.

Trainings of small networks hardly gain from a second thread; two of them side by side take the time of one.
"""

import os
import shlex
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from foresay.errors import UserError
from foresay.progress import say

LAST = 8
"""Lines of a command that failed, which are shown again."""


def side_by_side(commands: Sequence[Sequence[str]], at_once: int | None = None) -> None:
    """Run commands, the words after `foresay`; what they say of their progress is passed on.

    `at_once`: how many at a time; None: one for each processor.

    Raises:
        UserError: one of them failed; no other is begun after it, and those that run are ended.
    """
    stopped = Event()
    with ThreadPoolExecutor(at_once or os.cpu_count() or 1) as pool:
        futures = [pool.submit(_run, command, stopped) for command in commands]
        try:
            for future in futures:
                future.result()
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def written(command: Sequence[str]) -> str:
    """Write a command as one gives it to a shell."""
    return shlex.join(["foresay", *command])


def _run(command: Sequence[str], stopped: Event) -> None:
    if stopped.is_set():
        return
    words = [sys.executable, "-m", "foresay", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    last: deque[str] = deque(maxlen=LAST)
    with subprocess.Popen(  # noqa: S603 - a command of this package
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, encoding="utf-8", errors="replace"
    ) as process:
        try:
            for line in process.stderr or ():
                last.append(line.rstrip())
                say(line.rstrip())
                if stopped.is_set():
                    process.terminate()
        except BaseException:
            process.terminate()
            raise
    if process.returncode and not stopped.is_set():
        stopped.set()
        msg = "\n".join([f"`{written(command)}` ended with {process.returncode}:", *last])
        raise UserError(msg)
