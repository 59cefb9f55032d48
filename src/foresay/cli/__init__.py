"""The command line: one file per verb, imported only when it is asked for.

A verb is a module of this package, with an underscore behind it if it is a word of Python. The first line of its docstring is its line in
`foresay --help`; its function `run(arguments) -> int | None` does the work and returns the exit code (None is 0).

Exit codes: 0 done, 1 our mistake (a traceback), 2 the user's mistake (one message), 130 interrupted, 141 nobody reads on.
"""

import ast
import errno
import importlib
import io
import keyword
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from foresay.errors import UserError, nearest
from foresay.extras import install
from foresay.version import __version__

OK, OURS, YOURS, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

USAGE = """\
usage: foresay VERB …        foresay VERB --help shows the options of a verb, with an example

{verbs}

  --version   print the version
  --debug     anywhere: show the traceback of a mistake

Start with: foresay demo"""

FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; without `arguments`, those of the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may be bytes of another encoding, and the terminal of any
    try:
        code = _dispatch([word for word in words if word != "--debug"])
        sys.stdout.flush()  # or a broken pipe shows only after this function
    except KeyboardInterrupt as interrupt:
        _say(str(interrupt) or "interrupted")  # a verb that can go on says how
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains when it flushes at its end
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last place that can answer
        message = _what_the_user_can_do(error, words)
        if message is None or debug:
            traceback.print_exc()
        if message is None:
            _say("this is a mistake of Foresay's, not yours. Please report it with the lines above and what `foresay doctor` prints.")
            return OURS
        _say(message)
        return YOURS
    return code


def verbs() -> dict[str, str]:
    """Return the verbs and their lines of help, read from the files without importing them."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return {
        path.stem.removesuffix("_"): (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        for path in files
    }


def _dispatch(words: list[str]) -> int:
    """Do what the first word says."""
    lines = verbs()
    if not words or words[0] in {"-h", "--help", "help"}:
        width = max(map(len, lines)) + 2
        print(USAGE.format(verbs="\n".join(f"  {verb:{width}}{line}" for verb, line in lines.items())))
        return OK if words else YOURS
    if words[0] == "--version":
        print(f"foresay {__version__}")
        return OK
    if not all(words):
        msg = f"an empty word stands among {' '.join(map(shlex.quote, words))}: perhaps a variable of the shell that is not set"
        raise UserError(msg)
    verb, *rest = words
    if verb not in lines:
        msg = f"there is no verb {verb!r}: {nearest(verb, lines)}"
        raise UserError(msg)
    module = f"{verb}_" if keyword.iskeyword(verb) else verb
    return importlib.import_module(f"foresay.cli.{module}").run(rest) or OK


def _what_the_user_can_do(error: Exception, words: Sequence[str]) -> str | None:
    """Return the message for a mistake that the user can put right, None for one that is ours. `words`: of the command."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "foresay").startswith("foresay"):
        return _lacking(str(error.name))
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return f"a name is not UTF-8 and cannot be written: {error.object!a:.300}. Rename that file or folder"
    cause: BaseException | None = error
    while cause is not None:  # a library may wrap what the system said
        if message := _refusal(cause, words):
            return message
        cause = cause.__cause__ or cause.__context__
    return None


def _refusal(error: BaseException, words: Sequence[str]) -> str | None:
    """Say what the machine refused, if it is that."""
    number = error.errno if isinstance(error, OSError) else None
    if number in FULL_DISK or os.strerror(errno.ENOSPC) in str(error):
        return f"the disk is full ({error}). Free some space and give the same command again: a run goes on from its last checkpoint."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in _TOO_MUCH):
        why = (str(error).splitlines() or ["it is used up"])[0]
        return f"not enough memory ({why}). Ask for less at once: of the settings and options, try the largest number first."
    if number in FORBIDDEN:
        return f"not allowed: {error}. Choose another folder, or change the permissions of this one."
    if isinstance(error, OSError) and (path := _given(error, words)):
        return f"{path}: {_WHY.get(error.errno or 0, error.strerror)}. This command was asked to read or write there."
    return None


def _lacking(module: str) -> str:
    """Say what to do where a module is missing."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return (
            f"the Python of this command, {sys.executable}, lacks its own module {module!r}: it was built without what that needs, or its "
            "files may not be read. Use another Python, or build this one again"
        )
    return f"the package {module!r} is not installed. In the environment of this command: {install()}"


_TOO_MUCH = ("can't allocate memory", "array is too big", "Storage size calculation overflowed", "Maximum allowed dimension exceeded")
"""Words of NumPy and PyTorch for what no memory holds; on a GPU it has a class."""

_WHY = {
    errno.EEXIST: "there is something else of that name, perhaps a file or a link that leads nowhere; choose another",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another",
    errno.EISDIR: "this is a folder, and a file is needed",
    errno.ENOENT: "this is not there, or a link that leads nowhere",
}


def _given(error: OSError, words: Sequence[str]) -> str | None:
    """Return the path that an error is about, if it is one that the user gave, or lies in or above such a one."""
    given = [Path(os.path.abspath(word.rpartition("=")[2])) for word in words[1:]]  # noqa: PTH100 - of links, what the user wrote
    for name in (error.filename2, error.filename):  # of a renaming, first where to
        if isinstance(name, str | bytes):
            path = Path(os.path.abspath(os.fsdecode(name)))  # noqa: PTH100
            if any(path.is_relative_to(one) or one.is_relative_to(path) for one in given):
                return os.fsdecode(name)
    return None


def _say(message: str) -> None:
    """Print a message for people, beside whatever the verb printed."""
    print(f"foresay: {message}", file=sys.stderr)
