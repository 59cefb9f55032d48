"""Small files, read so that what is wrong with them is named, and written whole or not at all.

Whatever text the user or another program gives comes in through `read_text`, whatever must not be left half written goes out through
`write_bytes`. Nothing here imports torch.
"""

import codecs
import errno
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from foresay.errors import UserError

UNFINISHED = ".unfinished-"
"""What the names of files and folders begin with that are being written: to every reader they are not there."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def read_text(path: Path, *, otherwise: str | None = None) -> str:
    """Read a text file: UTF-8, with or without a byte order mark, or UTF-16 with one; any line ends.

    Args:
        path: of the file.
        otherwise: the encoding of what is not UTF-8, where a format has one, such as `latin-1`.

    Raises:
        UserError: it cannot be opened, or is neither; the message names the line.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        msg = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UserError(msg) from error
    encoding = "utf-16" if content[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if otherwise:
            return content.decode(otherwise)
        line = content.count(b"\n", 0, error.start) + 1
        msg = (
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {encoding.removesuffix('-sig').upper()}. The file is probably "
            f"in an older encoding (Latin-1), or is no text at all. If it is text: iconv -f latin1 -t utf-8 {path.name} > new, and give "
            f"the new file"
        )
        raise UserError(msg) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        msg = (
            f"{path}, line {line} holds a byte 0, which no text does. Perhaps it is UTF-16 without a mark: "
            f"iconv -f utf-16le -t utf-8 {path.name} > new, and give the new file"
        )
        raise UserError(msg)
    return text


def text_lines(path: Path, *, otherwise: str | None = None) -> list[str]:
    """Read the lines of a text file, as `read_text` does.

    A line ends where an editor ends it. `str.splitlines` cuts at form feeds, at U+0085 and at U+2028 too, which stand in texts and names.

    Raises:
        UserError: as `read_text`.
    """
    return [line.rstrip("\n") for line in io.StringIO(read_text(path, otherwise=otherwise), newline=None)]


def parse_json(text: str, where: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Parse JSON, or say where it is not JSON; `where` names the file (and line) in messages."""
    try:
        return json.loads(text)
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        msg = f"{where} is not JSON: {error}"
        raise UserError(msg) from error
    except RecursionError as error:
        msg = f"{where} is nested too deeply to be meant: was the file damaged?"
        raise UserError(msg) from error


def parse_json_object(text: str, where: str) -> dict[str, Any]:
    """Parse JSON that must be an object."""
    value = parse_json(text, where)
    if not isinstance(value, dict):
        msg = f"{where} must hold a JSON object, not {type(value).__name__}"
        raise UserError(msg)
    return value


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is whole after the block, or as it was before: a neighbor is written, then renamed.

    Raises:
        UserError: there is something of that name that is no file, such as a device, whose place must not be taken.
    """
    if path.exists() and not path.is_file():
        msg = f"{path} is a {'folder' if path.is_dir() else 'device or a pipe'}, and a file is to be written: choose another name"
        raise UserError(msg)
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, and flush it to the disk before it gets its name."""
    with writing(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8."""
    write_bytes(path, text.encode())


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a list for people, a line each, whole. Names that no text file can hold (bytes of an older encoding) are spelled out."""
    write_bytes(path, "".join(" ".join(line.split("\n")) + "\n" for line in lines).encode(errors="backslashreplace"))


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises:
        UserError: it, or one above it, is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        why = "there is a file of that name" if path.exists() else "what is above it is a file"
        msg = f"{path} cannot be a folder, for {why}: choose another"
        raise UserError(msg) from error


def finished(paths: Iterable[Path]) -> list[Path]:
    """Leave out what was being written when somebody stopped it; the rest in order."""
    return sorted(path for path in paths if not path.name.startswith(UNFINISHED))


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of space.

    NumPy's own error has no number, only words (`8192 requested and 4096 written`), nor have those of libraries that wrote it themselves.
    """
    number = error.errno if isinstance(error, OSError) else None
    return number in _FULL or (number is None and any(words in str(error) for words in ("requested and", os.strerror(errno.ENOSPC))))


def discard(folder: Path) -> None:
    """Delete a folder, if it is there. To every reader it is gone at once, however long it takes, and even if that is stopped."""
    if folder.exists():
        gone = folder.with_name(f"{UNFINISHED}gone-{folder.name}")
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
