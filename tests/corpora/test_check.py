"""The check finds what is wrong, each thing under its name, and nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from foresay.corpora.check import HARMLESS, MISPLACED, REMARKS, Finding, Report, check
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest

RATE = 8000
PHONES = (Interval(0.0, 0.5, "a"), Interval(0.5, 1.0, "b"))


def noise(seed: int, samples: int = RATE) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples)


def good(path: Path, seed: int) -> Item:
    """Write a second of noise; return its item, which lacks nothing."""
    soundfile.write(path, noise(seed), RATE)
    return Item(path.stem, audio=path, duration=1.0, sample_rate=RATE, speaker="s", text="t", phones=PHONES, words=PHONES)


def checked(folder: Path, *items: Item) -> Report:
    write_manifest(folder / "manifest.jsonl", items)
    return check(Manifest.open(folder / "manifest.jsonl"))


def kinds(report: Report) -> dict[str, str]:
    return {finding.item: finding.kind for finding in report.findings}


def test_nothing_is_wrong(tmp_path: Path) -> None:
    report = checked(tmp_path, *(good(tmp_path / f"{n}.wav", n) for n in range(3)))
    assert report == Report(tmp_path.name, items=3, hours=3 / 3600, findings=())
    assert report.unusable == 0


@pytest.mark.parametrize(
    "fault", ["missing", "empty", "not audio", "truncated", "damaged", "not finite", "too short", "integers taken for full scale"]
)
def test_what_cannot_be_used(fault: str, tmp_path: Path) -> None:
    path = tmp_path / ("bad.flac" if fault == "damaged" else "bad.wav")
    item = good(path, seed=1)
    whole = path.read_bytes()
    if fault == "missing":
        path.unlink()
    elif fault == "not finite":
        soundfile.write(path, np.where(np.arange(RATE) == RATE // 2, np.nan, noise(1)), RATE, subtype="FLOAT")
    elif fault == "integers taken for full scale":
        soundfile.write(path, np.round(noise(1) * 32_767), RATE, subtype="FLOAT")
    elif fault == "too short":
        soundfile.write(path, noise(1)[: RATE // 2], RATE)
    else:
        path.write_bytes({"empty": b"", "not audio": b"MZ" + b"\0" * 999, "truncated": whole[:9000], "damaged": whole[:6000]}[fault])
    report = checked(tmp_path, good(tmp_path / "good.wav", seed=2), item)
    assert kinds(report) == {"bad": fault}
    assert report.findings[0].unusable
    assert path.name in report.findings[0].detail
    assert report.unusable == 1


def test_what_can_be_used_all_the_same(tmp_path: Path) -> None:
    def written(name: str, samples: npt.NDArray[np.float64], rate: int = RATE) -> Item:
        item = good(tmp_path / f"{name}.wav", seed=0)
        soundfile.write(tmp_path / f"{name}.wav", samples, rate)
        return item

    loud = 4 * noise(7)
    items = [
        good(tmp_path / "good.wav", seed=1),
        written("silent", np.zeros(RATE)),
        written("hushed", noise(3) / 1000),
        written("clipped", np.clip(np.repeat(loud[: RATE // 4], 4), -1, 1)),
        written("stereo", np.stack([noise(4), noise(4) / 2], axis=1)),
        written("channels differ", np.stack([noise(14), noise(5)], axis=1)),
        written("wrong sample rate", noise(6, 2 * RATE), 2 * RATE),
        written("longer", noise(8, 2 * RATE)),
        replace(good(tmp_path / "labels beyond the audio.wav", 9), words=(Interval(0.5, 1.1, "a"),)),
        replace(good(tmp_path / "labels overlap.wav", 10), words=(Interval(0, 0.6, "a"), Interval(0.5, 1, "b"))),
        replace(good(tmp_path / f"{MISPLACED}.wav", 16), phones=(Interval(0, 0.6, "a"), Interval(0.5, 1, "b"))),
        *(replace(good(tmp_path / f"no {key}.wav", 11 + n), **{key: None}) for n, key in enumerate(("speaker", "text", "phones", "words"))),
    ]
    shutil.copy(tmp_path / "good.wav", tmp_path / "duplicate.wav")
    items.append(replace(items[0], id="duplicate", audio=tmp_path / "duplicate.wav"))
    report = checked(tmp_path, *items)
    assert kinds(report) == {"hushed": "silent"} | {item.id: item.id for item in items if item.id not in {"good", "hushed"}}
    assert set(kinds(report).values()) == set(REMARKS) - {"grey", "transparent"}  # of pictures
    assert report.unusable == 0
    assert report.misplaced == 1
    assert dict(report.doubtful) == {kind: 1 + (kind == "silent") for kind in set(kinds(report).values()) - HARMLESS - {MISPLACED}}
    details = {finding.item: finding.detail for finding in report.findings}
    assert details["duplicate"] == "of good"
    assert details["wrong sample rate"] == "8000 Hz in the manifest, 16000 Hz in the file"
    assert details["longer"] == "2.000 s, not 1.000 s"
    assert details["stereo"] == "2 channels, correlation 1.00"
    assert details["silent"] == "every sample is zero"
    assert details["hushed"] == "the peak is -66 dBFS"
    assert details["labels beyond the audio"] == "words from 0.500 to 1.100 s, audio to 1.000 s"


def test_turns_may_overlap_but_end_with_the_audio(tmp_path: Path) -> None:
    together = (Interval(0.2, 1.0, "anna"), Interval(0.1, 0.6, "hans"))
    good_turns = replace(good(tmp_path / "good.wav", 1), turns=together)
    beyond = replace(good(tmp_path / "beyond.wav", 2), turns=(*together, Interval(0.5, 1.1, "hans"), Interval(0.6, 0.7, "anna")))
    report = checked(tmp_path, good_turns, beyond)
    assert [(one.item, one.kind, one.detail) for one in report.findings] == [
        ("beyond", "labels beyond the audio", "turns from 0.100 to 1.100 s, audio to 1.000 s")
    ]


def test_a_peak_at_full_scale_is_not_clipped(tmp_path: Path) -> None:
    item = good(tmp_path / "loud.wav", seed=1)
    samples = noise(1)
    samples[[100, 101, 2000]] = 1.0
    soundfile.write(tmp_path / "loud.wav", samples, RATE)
    assert checked(tmp_path, item).findings == ()
    samples[102] = 1.0
    soundfile.write(tmp_path / "loud.wav", samples, RATE)
    assert checked(tmp_path, item).findings == (Finding("loud", "clipped", "in 1 places"),)


def test_parts_of_a_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.stack([noise(1, 3 * RATE), np.zeros(3 * RATE)], axis=1), RATE)
    part = Item("0", audio=tmp_path / "long.wav", duration=1.0, sample_rate=RATE, channel=0)
    parts = [replace(part, id=str(n), start=float(n)) for n in range(3)]
    assert checked(tmp_path, *parts).findings == ()
    report = checked(
        tmp_path, *parts, replace(part, id="end", start=2.5), replace(part, id="other", channel=1), replace(part, id="third", channel=2)
    )
    assert kinds(report) == {"end": "too short", "other": "silent", "third": "no such channel"}


def test_labels_a_frame_beyond_the_audio_are_no_matter(tmp_path: Path) -> None:
    item = replace(good(tmp_path / "a.wav", 1), phones=(Interval(0.0, 1.01, "a"),))
    assert checked(tmp_path, item).findings == ()


@pytest.mark.parametrize(
    "phones",
    [
        (Interval(0, 500, "a"), Interval(500, 1000, "b")),  # milliseconds
        (Interval(0, 0.5, "a"), Interval(0.5, 1.2, "b")),
        (Interval(-0.5, 0.5, "a"),),
        (Interval(0, 0.9, "a"), Interval(0.1, 0.5, "b")),
    ],
)
def test_phones_that_no_measure_takes(phones: tuple[Interval, ...], tmp_path: Path) -> None:
    report = checked(tmp_path, good(tmp_path / "a.wav", 1), replace(good(tmp_path / "b.wav", 2), phones=phones))
    assert kinds(report) == {"b": MISPLACED}
    assert (report.unusable, report.misplaced, dict(report.doubtful)) == (0, 1, {})


def test_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, mode, color in (("good", "RGB", "red"), ("grey", "L", 9), ("transparent", "RGBA", (0, 0, 0, 7))):
        image.new(mode, (4, 4), color).save(tmp_path / f"{name}.png")
    image.new("RGB", (4, 4), "red").save(tmp_path / "duplicate.bmp")
    (tmp_path / "empty.png").touch()
    names = ("good.png", "grey.png", "transparent.png", "duplicate.bmp", "empty.png", "none.png")
    report = checked(tmp_path, *(Item(name, image=tmp_path / name) for name in names))
    assert kinds(report) == {
        "grey.png": "grey",
        "transparent.png": "transparent",
        "duplicate.bmp": "duplicate",
        "empty.png": "no picture",
        "none.png": "missing",
    }
    assert report.unusable == 2


def test_many_items_are_all_looked_at_in_order(tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(80), RATE)
    report = checked(tmp_path, *(Item(f"{n:03d}", audio=silence, duration=0.01, sample_rate=RATE) for n in range(600)))
    assert [finding.item for finding in report.findings] == [f"{n:03d}" for n in range(600)]
