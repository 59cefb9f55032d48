"""Lines of manifests: their content without their paths, and what other programs and bad disks may make of them."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresay.corpora.item import content_of, item_of
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.errors import UserError

ITEMS = [
    Item("a", Path("/one/a.wav"), duration=1.5, sample_rate=16_000, speaker="s", text='"ja", sagte ö', phones=(Interval(0.0, 0.5, "z"),)),
    Item("b", Path("/one/b.wav"), image=Path("/one/b.png"), duration=2.0, sample_rate=8_000, start=0.5, channel=1),
    Item("c", image=Path("/one/c.png"), label="3"),
]


def digest(folder: Path, items: list[Item], name: str = "manifest", **options: Any) -> str:  # noqa: ANN401 - of `write_manifest`
    write_manifest(folder / f"{name}.jsonl", items, **options)
    return Manifest.open(folder / f"{name}.jsonl").digest


def test_the_digest_is_of_all_but_the_paths(tmp_path: Path) -> None:
    original = digest(tmp_path, ITEMS)
    assert len(original) == 64
    moved = [
        replace(item, audio=item.audio and tmp_path / 'deep"er' / item.audio.name, image=item.image and Path("/x.png")) for item in ITEMS
    ]
    assert digest(tmp_path / "elsewhere", moved, "renamed") == original
    others = [
        ITEMS[::-1],
        ITEMS[:2],
        *([replace(ITEMS[0], **{key: value}), *ITEMS[1:]] for key, value in {
            "id": "A", "duration": 1.25, "sample_rate": 8_000, "start": 0.5, "channel": 0, "speaker": "t", "language": "de", "corpus": "x",
            "text": "nein", "label": "4", "target": "yes", "phones": (Interval(0.0, 0.5, "s"),), "words": (Interval(0.0, 1.0, "ja"),),
            "turns": (Interval(0.0, 1.0, "s"),),
        }.items()),
    ]  # fmt: skip
    found = [digest(tmp_path, other) for other in others] + [digest(tmp_path, ITEMS, phone_set="timit39")]
    assert len({original, *found}) == len(others) + 2


def test_the_digest_does_not_depend_on_who_wrote_the_lines(tmp_path: Path) -> None:
    original = digest(tmp_path, ITEMS)
    text = (tmp_path / "manifest.jsonl").read_text(encoding="utf-8")
    for number, separators in enumerate([(",", ":"), (" , ", " : ")]):
        other = tmp_path / f"{number}.jsonl"
        records = [{**json.loads(line), "text": json.loads(line).get("text")} for line in text.splitlines()]
        other.write_text("\n\n".join(json.dumps(r, separators=separators, ensure_ascii=True) for r in records), encoding="utf-8-sig")
        assert Manifest.open(other).digest == original


def test_a_path_out_of_the_folder_is_where_the_file_lies(tmp_path: Path) -> None:
    """Also where the folder is a link; within the folder a path is as it was written."""
    (tmp_path / "real" / "corpus").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "corpus")
    records = [{"id": name, "audio": name, "duration": 1.0, "sample_rate": 8000} for name in ("../b.wav", "c/../d.wav", "../../e/f.wav")]
    found = [item_of(record, tmp_path / "link").audio for record in records]
    assert found == [tmp_path / "real" / "b.wav", tmp_path / "link" / "c" / ".." / "d.wav", tmp_path / "e" / "f.wav"]
    assert item_of({**records[0], "audio": "../" * 50 + "g.wav"}, tmp_path).audio == Path("/g.wav")
    assert item_of({**records[0], "audio": "/h/g.wav"}, tmp_path).audio == Path("/h/g.wav")


def test_a_path_is_cut_out_whole_and_nothing_else() -> None:
    line = b'{"id": "a \\", \\"audio\\": \\"x", "audio": "b \\\\\\" , c.wav", "duration": 1.5, "text": "\\"audio\\": \\"d\\", "}\r\n'
    assert json.loads(content_of(line)) == {"id": 'a ", "audio": "x', "duration": 1.5, "text": '"audio": "d", '}


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "audio": 5, "duration": 1, "sample_rate": 8000}',
        '{"id": "a", "audio": null, "duration": 1, "sample_rate": 8000}',
        '{"id": "a", "audio": "a.wav", "duration": NaN, "sample_rate": 8000}',
        '{"id": "a", "audio": "a.wav", "duration": 1e300, "sample_rate": 8000}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 800000000000000000000}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "start": "x"}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "start": ""}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "start": []}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "start": false}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "speaker": 0}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "language": []}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "start": -1}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "channel": 1.5}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "phones": [[0, 1]]}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "phones": 3}',
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "phones": [[0, 1, "' + 1000 * "9" + '"], [1, 0, "a"]]}',
        '{"id": "\\ud800", "audio": "a.wav", "duration": 1, "sample_rate": 8000}',
        '{"id": "a", "audio": "\\uDfff.wav", "duration": 1, "sample_rate": 8000}',
        '{"id": ' + 100_000 * "[" + "}",
        '{"id": "a", "audio": "a.wav", "duration": 1, "sample_rate": 8000, "phones": ' + 100_000 * "[" + "}",
        "[1, 2]",
        "3",
    ],
)
def test_a_line_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"foresay": 1}\n' + line + "\n")
    with pytest.raises(UserError, match="line 2") as raised:
        list(Manifest.open(path))
    assert len(str(raised.value)) < 1000


def test_manifests_mutated_at_random_end_in_a_message(tmp_path: Path) -> None:
    write_manifest(tmp_path / "whole.jsonl", ITEMS, phone_set="timit39")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    drawn = random.Random(0)
    for _ in range(300):
        mutated = bytearray(whole)
        for _ in range(drawn.randint(1, 4)):
            at = drawn.randrange(len(mutated))
            mutated[at : at + drawn.randint(0, 3)] = drawn.choice([b"", b"\xff", b'"', b"[[", b"9" * 30, b"null", b"-", b"\\ud800", b"\n"])
        (tmp_path / "mutated.jsonl").write_bytes(mutated)
        try:
            manifest = Manifest.open(tmp_path / "mutated.jsonl")
            assert len(list(manifest)) == len(manifest)
            assert len(manifest.digest) == 64
            manifest.lengths(16_000)
        except UserError:
            pass
