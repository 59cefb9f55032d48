"""Item files, and tokens made of a corpus's phone times."""

from pathlib import Path

import numpy as np
import pytest

from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.errors import UserError
from foresay.evaluation.abx.items import HEADER, Items, Token, items_of, read_items

LINES = ["a 0.0100 0.2500 AH0 W N 84", "b 0.1000 0.1500 N AH0 # 174"]


def manifest(tmp_path: Path, phones: list[tuple[float, float, str]] | None, speaker: str | None = "kim") -> Manifest:
    intervals = None if phones is None else tuple(Interval(*phone) for phone in phones)
    write_manifest(
        tmp_path / "manifest.jsonl",
        [Item("one", audio=tmp_path / "one.wav", duration=2.0, sample_rate=16000, speaker=speaker, phones=intervals)],
    )
    return Manifest.open(tmp_path / "manifest.jsonl")


def tokens(items: Items) -> list[tuple[float, float, str, str, str]]:
    columns = (items.onset, items.offset, items.previous, items.phone, items.next)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_an_item_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "dev.item").write_text("\n".join([HEADER, *LINES, ""]))
    items = read_items(tmp_path / "dev.item")
    assert items.file.tolist() == ["a", "b"]
    assert tokens(items) == [(0.01, 0.25, "W", "AH0", "N"), (0.1, 0.15, "AH0", "N", "#")]
    assert items.speaker.tolist() == ["84", "174"]
    assert len(items.select(np.array([True, False]))) == 1


@pytest.mark.parametrize(
    "before",
    ["", f"{HEADER}\n", f"\ufeff{HEADER}\n", "\n", HEADER.replace("#", "") + "\r\n", "#file_id onset offset #phone p n who\n", "# ours\n"],
)
def test_the_first_line_is_not_lost_where_there_is_no_header(tmp_path: Path, before: str) -> None:
    (tmp_path / "dev.item").write_text(before + "\n".join(LINES), encoding="utf-8")
    assert read_items(tmp_path / "dev.item").file.tolist() == ["a", "b"]


def test_an_id_may_begin_with_a_hash(tmp_path: Path) -> None:
    (tmp_path / "dev.item").write_text("\n".join(f"#{line}" for line in LINES))
    assert read_items(tmp_path / "dev.item").file.tolist() == ["#a", "#b"]


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "there is no item file"),
        (HEADER, "holds no tokens"),
        (f"{HEADER}\na 0.1 0.2 AH0 W N", "line 2 is 'a 0.1 0.2 AH0 W N'; a line of an item file is"),
        (f"{HEADER}\n{LINES[0]}\na x 0.2 AH0 W N 84", "line 3"),
        ("a 0.1 0.2\n", "line 1 is 'a 0.1 0.2'; a line of an item file is"),
        ("#file onset offset #phone next-phone prev-phone speaker\n" + LINES[0], "line 1 names the columns"),
        ("file speaker onset offset phone prev-phone next-phone\n" + LINES[0], "line 1 names the columns"),
        (f"{HEADER}\n\n{LINES[0]}\na b\n", "line 4 is"),
        (f"{HEADER}\na 0.2 0.2 AH0 W N 84", "from 0.2 s to 0.2 s cannot be"),
        (f"{HEADER}\na -1 0.2 AH0 W N 84", "cannot be"),
        (f"{HEADER}\na 0.1 nan AH0 W N 84", "cannot be"),
    ],
)
def test_what_is_no_item_file_is_reported(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "dev.item").write_text(text)
    with pytest.raises(UserError, match=message):
        read_items(tmp_path / "dev.item")


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "dev.item").write_bytes(f"{HEADER}\na 0.1 0.2 ø W N 84".encode("latin-1"))
    with pytest.raises(UserError, match=r"dev.item, line 2: byte 0xf8 is not UTF-8"):
        read_items(tmp_path / "dev.item")


PHONES = [(0.0, 0.2, "sil"), (0.2, 0.3, "b"), (0.3, 0.5, "e"), (0.5, 0.6, "g"), (0.7, 0.8, "a"), (0.8, 0.9, "b")]


def test_whole_phones_are_all_that_are_phones(tmp_path: Path) -> None:
    assert tokens(items_of(manifest(tmp_path, PHONES), "phone")) == [
        (0.2, 0.3, "sil", "b", "e"),
        (0.3, 0.5, "b", "e", "g"),
        (0.5, 0.6, "e", "g", "a"),
        (0.7, 0.8, "g", "a", "b"),
        (0.8, 0.9, "a", "b", "#"),
    ]


def test_a_triphone_has_phones_around_it_without_a_gap(tmp_path: Path) -> None:
    assert tokens(items_of(manifest(tmp_path, PHONES), "triphone")) == [(0.2, 0.6, "b", "e", "g")]


def test_what_is_no_phone_can_be_said(tmp_path: Path) -> None:
    found = items_of(manifest(tmp_path, PHONES), "phone", no_phones=("b", "e", "g"))
    assert found.phone.tolist() == ["sil", "a"]


@pytest.mark.parametrize("phones", [None, []])
def test_a_corpus_without_phones_is_reported(tmp_path: Path, phones: list | None) -> None:
    with pytest.raises(UserError, match=r"has no phone times.*--phones timit39.*abx.items="):
        items_of(manifest(tmp_path, phones), "phone")


def test_a_corpus_without_neighbors_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no two neighboring phones"):
        items_of(manifest(tmp_path, PHONES[:2]), "triphone")


def test_a_corpus_without_speakers_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not say who speaks in 1 recordings \(one"):
        items_of(manifest(tmp_path, PHONES, speaker=None), "phone")


def test_columns_are_of_one_kind() -> None:
    items = Items.of([Token("a", 0.0, 1.0, "b", "c", "d", "e")])
    assert items.onset.dtype == np.float64
    assert items.speaker.tolist() == ["e"]
