"""The front of the command line: it starts fast, names what is near, and ends with the right code."""

import errno
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from foresay import cli
from foresay.errors import UserError
from foresay.version import __version__

FORESAY = [sys.executable, "-m", "foresay"]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[list[str]], int | None]], None]:
    """Put a verb called `test` in place of all others."""

    def use(run: Callable[[list[str]], int | None]) -> None:
        module = types.ModuleType("foresay.cli.test")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "foresay.cli.test", module)
        monkeypatch.setattr(cli, "verbs", lambda: {"test": "A verb of the tests."})

    return use


def _raising(error: BaseException) -> Callable[[list[str]], int | None]:
    def run(_: list[str]) -> None:
        raise error

    return run


def _once() -> float:
    start = time.perf_counter()
    subprocess.run([*FORESAY, "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def test_help_is_fast() -> None:
    assert min(_once() for _ in range(5)) < 0.5


@pytest.mark.parametrize("statement", ["import foresay.cli; foresay.cli.main(['--help'])", "import foresay; dir(foresay)"])
def test_neither_help_nor_import_loads_numbers(statement: str) -> None:
    code = f"import sys; {statement}; assert not {{'torch', 'numpy', 'tyro'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb, line in cli.verbs().items():
        assert line, f"{verb} has no docstring"
        assert f"{verb} " in shown
        assert line in shown


@pytest.mark.parametrize("verb", list(cli.verbs()))
def test_help_of_a_verb_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = cli.main([verb, "--help"])
    except SystemExit as end:  # tyro's way
        code = end.code
    assert code == 0
    shown = capsys.readouterr().out
    assert f"usage: foresay {verb}" in shown
    assert "Example:" in shown
    assert f"foresay {verb}" in shown.partition("Example:")[2]


def test_no_verb_is_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: foresay VERB" in capsys.readouterr().out


def test_an_empty_word_is_no_folder_of_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "runs/a", ""]) == 2
    assert "an empty word stands among report runs/a ''" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"foresay {__version__}\n"


def test_unknown_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["modles"]) == 2
    assert 'did you mean "models"?' in capsys.readouterr().err


def test_unknown_option_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["models", "--nonsense"])
    assert end.value.code == 2
    assert "--nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("returned, code", [(None, 0), (0, 0), (3, 3)])
def test_the_verb_says_how_it_ended(verb: Callable[..., None], returned: int | None, code: int) -> None:
    verb(lambda _: returned)
    assert cli.main(["test"]) == code


def test_the_verb_gets_its_words(verb: Callable[..., None]) -> None:
    seen: list[str] = []
    verb(seen.extend)
    cli.main(["test", "--a", "--debug", "b"])
    assert seen == ["--a", "b"]


def test_a_users_mistake_is_one_message(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    verb(_raising(UserError("no such corpus")))
    assert cli.main(["test"]) == 2
    assert capsys.readouterr().err == "foresay: no such corpus\n"


def test_debug_shows_the_traceback(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    verb(_raising(UserError("no such corpus")))
    assert cli.main(["--debug", "test"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("foresay: no such corpus\n")


def test_our_mistake_asks_for_a_report(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    verb(_raising(ZeroDivisionError("oops")))
    assert cli.main(["test"]) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: oops" in shown
    assert "report" in shown


@pytest.mark.parametrize("said", ["", "stopped at step 7, saved"])
def test_interrupted(verb: Callable[..., None], capsys: pytest.CaptureFixture[str], said: str) -> None:
    verb(_raising(KeyboardInterrupt(said) if said else KeyboardInterrupt()))
    assert cli.main(["test"]) == 130
    assert capsys.readouterr().err == f"foresay: {said or 'interrupted'}\n"


def _wrapped(cause: Exception) -> RuntimeError:
    error = RuntimeError("could not write the tensors")
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors")


@pytest.mark.parametrize(
    "error, words",
    [
        (FULL, "the disk is full"),
        (_wrapped(FULL), "the disk is full"),
        (RuntimeError(f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "not allowed"),
        (MemoryError(), "not enough memory (it is used up)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory ([enforce fail]"),
        (_wrapped(torch.OutOfMemoryError("CUDA out of memory.\nTried to")), "not enough memory (CUDA out of memory.)"),
        (ModuleNotFoundError("No module named '_lzma'", name="_lzma"), "lacks its own module '_lzma'"),
        (ModuleNotFoundError("No module named 'xml.sax'", name="xml.sax"), "lacks its own module 'xml.sax'"),
        (ModuleNotFoundError("No module named 'soxr'", name="soxr"), "the package 'soxr' is not installed"),
    ],
)
def test_what_the_machine_refuses_is_reported(
    verb: Callable[..., None], capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    verb(_raising(error))
    assert cli.main(["test"]) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_any_encoding_will_do(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([*FORESAY, "--help"], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "usage: foresay VERB …".encode(encoding, errors="backslashreplace") in done.stdout


def test_a_name_that_is_not_utf8_is_printed_escaped_and_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/lat\xe9")
    assert cli.main(["corpus", "stats", f"{folder}/manifest.jsonl"]) == 2
    assert "lat\\udce9/manifest.jsonl" in capsys.readouterr().err
    assert cli.main(["corpus", "make", "sines", folder, "--train", "2", "--test", "2"]) == 2
    printed = capsys.readouterr().err
    assert "a name is not UTF-8 and cannot be written" in printed
    assert "lat\\udce9" in printed


def test_a_closed_pipe_is_silent() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*FORESAY, "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""
