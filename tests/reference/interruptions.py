"""Kill -9 at any file operation, in process: what the dead process did not do is not done, and the next one finds what it left.

    with interrupted(after=3):        the fourth operation, and every one after it, does not happen
        work()                        -> Killed

Operations are what changes a disk: opening a file to write, renaming, linking, making and deleting. Python announces each before it happens
(`sys.addaudithook`), and what the hook raises takes its place. After the first, all raise: no `finally` can tidy up, as none can after a
kill. What a killed process wrote to an open file may be there in part: `tear` leaves a file so.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.copyfile", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Killed(BaseException):
    """Not an Exception: nobody may catch it."""


class _Hook:
    def __init__(self) -> None:
        self.left: int | None = None
        self.below = ""
        self.events: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left is None or not (event in CHANGES or (event == "open" and _writes(arguments))):
            return
        if not any(str(argument).startswith(self.below) for argument in arguments[:2] if isinstance(argument, str | os.PathLike)):
            return
        if self.left <= 0:
            raise Killed(event, *arguments)
        self.left -= 1
        self.events.append(f"{event} {arguments[0]}")


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & WRITING)


_HOOK = _Hook()


@contextmanager
def interrupted(below: Path, after: int) -> Iterator[list[str]]:
    """Let so many changes happen in a folder, and then no more; list those that did."""
    if _HOOK not in _installed:
        sys.addaudithook(_HOOK)  # there is no way to take it out again: it sleeps
        _installed.append(_HOOK)
    _HOOK.left, _HOOK.below, _HOOK.events = after, str(below), []
    try:
        yield _HOOK.events
    finally:
        _HOOK.left = None


_installed: list[_Hook] = []


def operations(work: Callable[[], object], below: Path) -> list[str]:
    """Do the work and list its changes in a folder."""
    with interrupted(below, sys.maxsize) as events:
        work()
    return list(events)


def kill(work: Callable[[], object], below: Path, after: int) -> bool:
    """Do the work as far as the kill; return whether it came so far."""
    try:
        with interrupted(below, after):
            work()
    except Killed:
        return True
    return False


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder, by their paths in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def tear(path: Path) -> None:
    """Cut the last line of a file in two."""
    content = path.read_bytes()
    begin = content.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(content[: begin + (len(content) - begin) // 2])
