"""What libmpg123 writes to the terminal on its own account, caught: it belongs into our messages, or nowhere.

libsndfile gives no way to silence it, so for the milliseconds of a decoding the whole process writes its errors into a file.
What others wrote meanwhile is passed on.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

STDERR = 2
LINE = re.compile(
    r"(?:\[[^\]\n]*libmpg123[^\]\n]*\] *(?P<kind>error|warning): *(?P<message>[^\n]*)"
    r"|Note: (?:Illegal|Trying to resync|Skipped|Hit end)[^\n]*|Warning: (?:Xing|Encountered)[^\n]*)\n"
)

_one_at_a_time = Lock()


@contextmanager
def caught_chatter() -> Iterator[list[str]]:
    """Catch what libmpg123 says in the block: afterwards the list holds its errors. One thread at a time; the others wait.

    Decode from memory in it: the disk should not keep the others waiting.
    """
    errors: list[str] = []
    with _one_at_a_time, tempfile.TemporaryFile() as file:
        try:
            terminal = os.dup(STDERR)
        except OSError:  # it is closed: nothing can be written there
            yield errors
            return
        os.dup2(file.fileno(), STDERR)
        try:
            yield errors
        finally:
            os.dup2(terminal, STDERR)
            os.close(terminal)
            file.seek(0)
            text = file.read().decode(errors="surrogateescape")
            errors += [line["message"] for line in LINE.finditer(text) if line["kind"] == "error"]
            if rest := LINE.sub("", text):
                os.write(STDERR, rest.encode(errors="surrogateescape"))
