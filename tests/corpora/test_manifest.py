"""Manifests: what goes in comes out, what is wrong is named with its line, and a million lines are no matter."""

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.errors import AudioError, UserError

FULL = Item(
    id="anna/001",
    audio=Path("audio/001.wav"),
    image=Path("images/001.png"),
    duration=2.5,
    sample_rate=16_000,
    start=1.25,
    channel=1,
    speaker="anna",
    language="de",
    text='sie sagte: „so“, "ja" ]]',
    label="3",
    target="she said so",
    phones=(Interval(0.0, 0.5, "z"), Interval(0.5, 1.25, "i:")),
    words=(Interval(0.0, 1.25, "sie"),),
    turns=(Interval(0.0, 2.0, "anna"), Interval(1.5, 2.5, "]] hans"), Interval(1.75, 2.0, "anna")),
)


def line(**changes: Any) -> str:  # noqa: ANN401 - anything may stand in a file
    """Return a good line with some values replaced, or left out where they are `...`."""
    record = {"id": "a", "audio": "a.wav", "duration": 1.0, "sample_rate": 100, **changes}
    return json.dumps({key: value for key, value in record.items() if value is not ...}) + "\n"


def opened(folder: Path, text: str | bytes) -> Manifest:
    path = folder / "manifest.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Manifest.open(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    items = [
        Item(id="least", audio=tmp_path / "sounds" / "a.wav", duration=1.5, sample_rate=8000),
        Item(**{f: getattr(FULL, f) for f in FULL.__slots__} | {"audio": tmp_path / "b.wav", "image": tmp_path / "b.png"}),
        Item(id="picture", image=tmp_path / "c.png"),
    ]
    write_manifest(tmp_path / "new" / "corpus" / "train.jsonl", items, phone_set="sampa")
    manifest = Manifest.open(tmp_path / "new" / "corpus" / "train.jsonl")
    assert manifest.phone_set == "sampa"
    assert manifest.name == "corpus/train"
    assert manifest.ids == ["least", "anna/001", "picture"]
    for came, went in zip(manifest, items, strict=True):
        for name in went.__slots__:
            value = getattr(came, name)
            assert (value.resolve() if isinstance(value, Path) else value) == getattr(went, name)
    assert list(manifest) == [manifest[0], manifest[1], manifest[2]] == list(manifest[:])
    assert manifest[-1].id == "picture"
    assert manifest.phone_labels() == ("i:", "z")
    with pytest.raises(IndexError):
        manifest[3]


def test_what_is_not_known_is_not_written(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [Item(id="a", audio=tmp_path / "a.wav", duration=1.0, sample_rate=100)])
    assert json.loads((tmp_path / "m.jsonl").read_text()) == {"id": "a", "audio": "a.wav", "duration": 1.0, "sample_rate": 100}


def test_columns(tmp_path: Path) -> None:
    lines = [
        line(id="2", speaker="eva", duration=2, language="sw", corpus="voices"),
        line(id="1", speaker="adam", duration=0.25, language="en"),
        line(id="3"),
        line(id="4", speaker="eva"),
    ]
    manifest = opened(tmp_path, "".join(lines))
    assert manifest.name == tmp_path.name
    assert manifest.phone_set is None
    assert manifest.durations.tolist() == [2.0, 0.25, 1.0, 1.0]
    assert manifest.sample_rates.tolist() == [100] * 4
    assert manifest.speakers == ("adam", "eva", "unknown")
    assert manifest.speaker_codes.tolist() == [1, 0, 2, 1]
    assert manifest.speaker_codes.dtype == np.int32
    assert (manifest.languages, manifest.language_codes.tolist()) == (("en", "sw", "unknown"), [1, 0, 2, 2])
    assert (manifest.corpora, manifest.corpus_codes.tolist()) == (("unknown", "voices"), [1, 0, 0, 0])
    assert manifest.lengths(16).tolist() == [32, 4, 16, 16]


@pytest.mark.parametrize("text", [b"", b"\n", b'{"foresay": 1}\n'])
def test_no_items(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.jsonl has no items"):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    "text", [line() + "\n" + line(id="b"), "\ufeff" + line() + line(id="b"), (line() + line(id="b")).replace("\n", "\r\n")]
)
def test_blank_lines_byte_order_marks_and_windows_ends_do_no_harm(text: str, tmp_path: Path) -> None:
    manifest = opened(tmp_path, text)
    assert manifest.ids == ["a", "b"]
    assert [item.id for item in manifest] == ["a", "b"]
    assert manifest[1].duration == 1.0


@pytest.mark.parametrize(
    "phones",
    [
        [[0.0, 0.5, "]]"], [0.5, 1.0, "x"]],
        [[0.0, 0.5, '"words": [['], [0.5, 1.0, "]"]],
        [[0.0, 0.5, 'phones": [['], [0.5, 1.0, "[["]],
        [[0.0, 0.75, '"turns": [['], [0.5, 1.0, "]]"]],
        [],
    ],
)
def test_labels_may_look_like_anything(phones: list[list[Any]], tmp_path: Path) -> None:
    manifest = opened(tmp_path, line(phones=phones, words=phones, turns=phones, speaker="s") + line(id="b", text='"phones": [[0, 1, "a"]]'))
    assert manifest.ids == ["a", "b"]
    assert manifest.speakers == ("s", "unknown")
    assert manifest[0].phones == manifest[0].words == manifest[0].turns == tuple(Interval(*phone) for phone in phones)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("oops\n", "line 2: this is not JSON"),
        (line(id="b")[:-5], "line 2: this is not JSON .* cut short"),
        (line(id="b", phones=[[0, 1, "a"]])[:-6], "line 2: this is not JSON"),
        (b"\xff\xfe\xfd\n", "line 2: this is not JSON"),
        ("[1, 2]\n", r"line 2: \[1, 2\] is no item: a manifest has one JSON object a line"),
        (line(id=...), 'line 2: an item lacks the key "id"'),
        (line(id=7), 'line 2: an item has "id": 7; it must be a string'),
        (line(id="b", audio=...), "line 2: item 'b' lacks the key \"audio\""),
        (line(id="b", duration=...), "line 2: item 'b' lacks the key \"duration\"; it must be seconds"),
        (line(id="b", duration="1.0"), "item 'b' has \"duration\": '1.0'; it must be seconds"),
        (line(id="b", duration=0), "item 'b' has \"duration\": 0;"),
        (line(id="b", duration=float("nan")), "item 'b' has \"duration\": nan;"),
        (line(id="b", sample_rate=...), "item 'b' lacks the key \"sample_rate\""),
        (line(id="b", sample_rate=44.1), "item 'b' has \"sample_rate\": 44.1; it must be a whole number of Hz"),
        (line(id="b", sample_rate=True), "item 'b' has \"sample_rate\": True"),
        (line(id="b", speaker=26), "item 'b' has \"speaker\": 26; it must be a string"),
        (line(id="b", language=7), "item 'b' has \"language\": 7; it must be a string"),
        ('{"foresay": 1, "phone_set": "x"}\n', 'line 2: an item lacks the key "id"'),
        (line(), "lines 1 and 2 have the same id 'a'"),
    ],
)
def test_a_wrong_line_is_named(wrong: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.jsonl.*" + message):
        opened(tmp_path, line().encode() + (wrong if isinstance(wrong, bytes) else wrong.encode()))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"text": 5}, "line 3: item 'b' has \"text\": 5; it must be a string"),
        ({"phones": [[0, 1]]}, r'line 3: "phones" must be a list of \[start, end, label\]'),
        ({"phones": [[0, 1, 2]]}, r"an interval ends after it starts, and its label is a string"),
        ({"words": [[1, 0.5, "a"]]}, r'line 3: "words" holds \[1.0, 0.5, \'a\'\]'),
        ({"words": 1}, r'line 3: "words" must be a list'),
        ({"turns": [[0, 1]]}, r'line 3: "turns" must be a list of \[start, end, label\]'),
        ({"turns": [[0, 1, None]]}, r'line 3: "turns" holds \[0.0, 1.0, None\]'),
    ],
)
def test_what_is_not_looked_at_on_opening_is_named_when_it_is_read(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    manifest = opened(tmp_path, '{"foresay": 1}\n' + line() + line(id="b", **wrong))
    assert manifest[0].id == "a"
    with pytest.raises(UserError, match=message):
        manifest[1]
    with pytest.raises(UserError, match=message):
        list(manifest)


@pytest.mark.parametrize("key", ["phones", "words", "turns"])
def test_broken_intervals_are_named_when_they_are_read(key: str, tmp_path: Path) -> None:
    manifest = opened(tmp_path, line(id="b", **{key: [[0, 1, "a"]]}).replace("0, 1,", "0; 1;"))
    with pytest.raises(UserError, match="line 1: this is not JSON"):
        manifest[0]


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no manifest .*gone\.jsonl.*foresay corpus import"):
        Manifest.open(tmp_path / "gone.jsonl")
    for name in ("train", "test"):
        write_manifest(tmp_path / f"{name}.jsonl", [])
    with pytest.raises(UserError, match=r"is a folder; a manifest is a file\. Those in it: test\.jsonl, train\.jsonl"):
        Manifest.open(tmp_path)


def test_a_manifest_of_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="version 2; this Foresay reads version 1"):
        opened(tmp_path, '{"foresay": 2}\n' + line())


def test_a_manifest_that_changes_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    manifest = opened(tmp_path, line(id="a") + line(id="b"))
    opened(tmp_path, line(id="c") + line(id="d"))
    with pytest.raises(UserError, match="has changed since it was opened"):
        manifest[0]


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    item = Item(id="a", audio=tmp_path / "a.wav", duration=1.0, sample_rate=100)
    path = tmp_path / "m.jsonl"
    write_manifest(path, [item])
    before = path.read_bytes()

    def interrupted() -> Iterator[Item]:
        yield Item(id="b", audio=tmp_path / "b.wav", duration=1.0, sample_rate=100)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, interrupted())
    with pytest.raises(UserError, match=r"the same id 'a' \(.*a\.wav is the second\)"):
        write_manifest(path, [item, item])
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


def test_paths_hold_wherever_the_folders_are_linked_to(tmp_path: Path) -> None:
    audio, corpora = tmp_path / "disk" / "audio", tmp_path / "other" / "deep" / "corpora"
    audio.mkdir(parents=True)
    corpora.mkdir(parents=True)
    soundfile.write(audio / "a.wav", np.zeros(100), 100)
    (tmp_path / "sound").symlink_to(audio)
    (tmp_path / "mine").symlink_to(corpora)
    write_manifest(tmp_path / "mine" / "m.jsonl", [Item(id="a", audio=tmp_path / "sound" / "a.wav", duration=1.0, sample_rate=100)])
    for path in (tmp_path / "mine" / "m.jsonl", corpora / "m.jsonl"):
        assert len(Manifest.open(path).read(0, 100)) == 100
    assert json.loads((corpora / "m.jsonl").read_text())["audio"] == "../../../disk/audio/a.wav"


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000]),
    new_rate=st.sampled_from([8000, 16_000, 24_000]),
    begin=st.integers(0, 4990),
    frames=st.integers(1, 5000),
)
def test_an_item_has_as_many_samples_as_the_manifest_reckons(rate: int, new_rate: int, begin: int, frames: int, tmp_path: Path) -> None:
    audio = tmp_path / f"{rate}.wav"
    if not audio.exists():
        soundfile.write(audio, np.zeros(5000), rate)
    frames = min(frames, 5000 - begin)
    write_manifest(tmp_path / "m.jsonl", [Item(id="a", audio=audio, start=begin / rate, duration=frames / rate, sample_rate=rate)])
    manifest = Manifest.open(tmp_path / "m.jsonl")
    assert len(manifest.read(0, new_rate)) == manifest.lengths(new_rate)[0]
    assert abs(manifest.lengths(new_rate)[0] - frames * new_rate / rate) <= 0.5


def test_a_part_of_a_recording_and_a_channel_are_read(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-99, 99, (1000, 2)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 100)
    items = [
        Item(id="a", audio=tmp_path / "a.wav", start=2.5, duration=4.0, sample_rate=100, channel=1),
        Item(id="b", image=tmp_path / "b.png"),
    ]
    write_manifest(tmp_path / "m.jsonl", items)
    manifest = Manifest.open(tmp_path / "m.jsonl")
    assert np.array_equal(manifest.read(0, 100) * 2**15, samples[250:650, 1])
    assert np.array_equal(manifest.read(0, 100, 10, 20) * 2**15, samples[260:270, 1])
    with pytest.raises(UserError, match="item 'b' has no audio"):
        manifest.read(1, 100)


def test_audio_that_is_gone_or_shorter_than_the_manifest_says(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(50), 100)
    manifest = opened(tmp_path, line(audio="gone.wav") + line(id="b", audio="short.wav"))
    with pytest.raises(AudioError, match=r"there is no file .*gone\.wav"):
        manifest.read(0, 100)
    with pytest.raises(AudioError, match=r"short\.wav has 50 samples at 100 Hz; samples 0 to 100 were asked for"):
        manifest.read(1, 100)
    assert len(manifest.read(1, 100, 0, 50)) == 50


def test_other_sound_behind_the_same_lines_is_noticed_though_they_are_the_same_data(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 300)).astype(np.float32)
    for name in ("here", "moved", "louder", "later"):
        (tmp_path / name).mkdir()
        changed = samples.copy()
        if name == "louder":
            changed[0] *= 1.5
        if name == "later":
            changed[:, :100] = 0  # the middle second is the same
        for place, row in enumerate(changed):
            soundfile.write(tmp_path / name / f"{place}.wav", row, 100, subtype="FLOAT")
        items = [Item(id=str(place), audio=tmp_path / name / f"{place}.wav", duration=3.0, sample_rate=100) for place in range(20)]
        write_manifest(tmp_path / name / "m.jsonl", [*items, Item(id="said", text="no audio")])
    here, moved, louder, later = (Manifest.open(tmp_path / name / "m.jsonl") for name in ("here", "moved", "louder", "later"))
    assert len({manifest.digest for manifest in (here, moved, louder, later)}) == 1
    assert here.sound == moved.sound == later.sound != louder.sound
    assert here.without([0]).sound != here.sound
    (tmp_path / "moved" / "0.wav").unlink()  # who needs it will say so
    assert Manifest.open(tmp_path / "moved" / "m.jsonl").sound != here.sound


def test_a_manifest_can_be_sent_to_another_process(tmp_path: Path) -> None:
    manifest = opened(tmp_path, line(speaker="eva") + line(id="b"))
    sent = pickle.loads(pickle.dumps(manifest))  # noqa: S301 - our own bytes
    assert list(sent) == list(manifest)
    assert sent.speakers == manifest.speakers


@pytest.mark.slow
def test_a_million_lines_open_in_seconds_within_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    with path.open("w") as file:
        for n in range(1_000_000):
            name = f"{n % 2400}-{n % 17}-{n:07d}"
            file.write(
                line(id=name, audio=f"../audio/{name}.flac", duration=10 + n % 7, sample_rate=16_000, speaker=str(n % 2400), text="A" * 80)
            )
    begin = time.perf_counter()
    manifest = Manifest.open(path)
    seconds = time.perf_counter() - begin
    assert len(manifest) == 1_000_000
    assert len(manifest.speakers) == 2400
    assert manifest[999_999].duration == 10 + 999_999 % 7
    assert seconds < 30  # 4 on an idle core
    code = f"import resource; from foresay.corpora.manifest import Manifest; Manifest.open({str(path)!r}); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peak = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert int(peak) * (1 if sys.platform == "darwin" else 1024) < 2**30
