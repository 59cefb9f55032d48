"""Small files: what cannot be read is named with its line, what is written is whole."""

import errno
import os
from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.files import (
    finished,
    is_disk_full,
    make_folder,
    parse_json,
    parse_json_object,
    read_text,
    text_lines,
    write_list,
    write_text,
    writing,
)


@pytest.mark.parametrize("content, text", [(b"\xef\xbb\xbfone\r\ntwo", "one\r\ntwo"), ("año".encode(), "año"), (b"", "")])
def test_utf_8_is_read_with_or_without_its_mark(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_text(tmp_path / "file") == text


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "file.ctm").write_bytes("a\nb\naño\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"line 3: byte 0xf1 is not UTF-8.*iconv"):
        read_text(tmp_path / "file.ctm")


@pytest.mark.parametrize("name", ["missing", ".", "a\0b", "n" * 300])
def test_a_path_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path / name)


@pytest.mark.parametrize("text", ["{", "nul", "[" * 100_000])
def test_what_is_no_json_says_where(text: str) -> None:
    with pytest.raises(UserError, match=r"^line 7 "):
        parse_json(text, "line 7")


def test_an_object_is_asked_for() -> None:
    assert parse_json_object('{"a": 1}', "x") == {"a": 1}
    with pytest.raises(UserError, match="must hold a JSON object, not list"):
        parse_json_object("[1]", "x")


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "é")
    (tmp_path / ".unfinished-b").touch()
    assert finished(tmp_path.iterdir()) == [tmp_path / "a"]
    assert (tmp_path / "a").read_bytes() == "é".encode()


def test_numpys_own_words_for_a_full_disk_are_known() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
    assert is_disk_full(OSError("14935 requested and 1984 written"))
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))


def test_what_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "before")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "a") as file:
        file.write(b"half" * (1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert read_text(tmp_path / "a") == "before"


@pytest.mark.parametrize("name, why", [("file", "a file of that name"), ("file/below", "what is above it is a file")])
def test_a_folder_cannot_be_where_a_file_is(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=why):
        make_folder(tmp_path / name)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_ends_where_an_editor_ends_it(tmp_path: Path, end: str) -> None:
    lines = ["a\x0bb\x0cc", "", " d\u2028e\x85f\x1cg "]
    for ending in (end, ""):
        (tmp_path / "text").write_bytes((end.join(lines) + ending).encode())
        assert text_lines(tmp_path / "text") == lines


def test_what_is_no_file_keeps_its_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a device or a pipe"), ("folder", "a folder")):
        with pytest.raises(UserError, match=f"is {kind}, and a file is to be written"):
            write_text(tmp_path / name, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_list_has_a_line_for_each_and_holds_any_name(tmp_path: Path) -> None:
    write_list(tmp_path / "list", ["a\nb", "lat\udce9", "é"])
    assert (tmp_path / "list").read_text(encoding="utf-8") == "a b\nlat\\udce9\né\n"
