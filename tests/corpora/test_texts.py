"""Text files as corpora."""

from pathlib import Path

import pytest

from foresay.corpora.manifest import Item, write_manifest
from foresay.corpora.texts import opened_texts
from foresay.errors import UserError


def test_each_line_is_an_item(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" One cat.\n\n  \nDéjà vu\u2028twice", encoding="utf-8")
    with opened_texts(tmp_path / "a.txt") as manifest:
        assert [(item.id, item.text) for item in manifest] == [("1", "One cat."), ("4", "Déjà vu\u2028twice")]
        assert (manifest.name, manifest.given) == ("a.txt", str(tmp_path / "a.txt"))
        digest = manifest.digest
        assert manifest.durations.sum() == 0
    with opened_texts(tmp_path / "a.txt") as again:
        assert again.digest == digest


def test_a_manifest_is_opened_as_it_is(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [Item("x", text="hello")])
    with opened_texts(tmp_path / "m.jsonl") as manifest:
        assert manifest.path == tmp_path / "m.jsonl"
        with pytest.raises(UserError, match="item 'x' has no audio"):
            manifest.read(0, 16_000)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "a.wav").write_bytes(b"RIFF\xff\xff\x00")
    for name, message in {"empty.txt": "is empty", "a.wav": "is not UTF-8", "none.txt": "there is no manifest", "": "is a folder"}.items():
        with pytest.raises(UserError, match=message), opened_texts(tmp_path / name):
            pass
