"""One process at a time in a folder: a lock that a crash releases, and that names who holds it."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from foresay.errors import UserError
from foresay.files import UNFINISHED, make_folder

LOCK = f"{UNFINISHED}lock"
"""The file in the folder that is locked; it is there as long as somebody works, and after a crash."""
UNKNOWN_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What file systems answer that have no locks."""


@contextlib.contextmanager
def exclusive(folder: Path, way_out: str, lock: str = LOCK) -> Iterator[None]:
    """Work in a folder, made if it is not there, that no other process works in. Where the file system knows no locks, say so and go on.

    `way_out`: what the message advises. `lock`: the file that is locked, where it is less than the folder that nobody else may use.

    Raises:
        UserError: another process works there.
    """
    make_folder(folder)
    path = folder / lock
    descriptor = _locked(path, way_out)
    try:
        yield
    finally:
        try:
            path.unlink(missing_ok=True)  # while it is still ours
        finally:
            os.close(descriptor)


def _locked(path: Path, way_out: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{path.parent} is in use by {_holder(descriptor)}. {way_out}."
            os.close(descriptor)
            raise UserError(msg) from error
        except OSError as error:
            if error.errno not in UNKNOWN_HERE:
                os.close(descriptor)
                raise
            tqdm.write(f"{path.parent} cannot be locked ({error.strerror}): see that no other process works in it", file=sys.stderr)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        os.close(descriptor)  # of one that has just ended, and taken the file away
    os.truncate(descriptor, 0)
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(" ", "seconds")}
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def _holder(descriptor: int) -> str:
    """Say who holds a lock, by what they wrote."""
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {holder['process']} on {holder['host']}, since {holder['since']}"
    except (KeyError, TypeError, ValueError):  # it is just about to write
        return "another process"
