"""A packed corpus is the same corpus: the same items and samples, in files that any tar reads, however often somebody stopped it."""

import contextlib
import itertools
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay import shards
from foresay.audio.read import FaultyAudioError, audio_info
from foresay.corpora import packing
from foresay.corpora.check import check
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.corpora.packing import pack
from foresay.errors import UserError
from foresay.images.read import ImageError, read_pixels
from foresay.images.write import write_png
from foresay.locks import exclusive
from foresay.shards import digest_in_name, digest_of, part_of

RATE = 16_000
KINDS = {"wav": "PCM_16", "flac": "PCM_24", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III", "aiff": "FLOAT"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Clips of all kinds; a stereo recording that several items are parts of; pictures, one with sound."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "corpus"
    (folder / "audio").mkdir(parents=True)
    items = []
    for number, (kind, subtype) in enumerate(KINDS.items()):
        path = folder / "audio" / f"a clip.{number}.{kind}"
        soundfile.write(path, 0.3 * rng.standard_normal(RATE // 2 + 7 * number), RATE, subtype=subtype)
        phones = (Interval(0.0, 0.1, "a"), Interval(0.1, 0.2, "b"))
        info = audio_info(path)
        items.append(Item(f"clip/{number}", path, None, info.frames / RATE, RATE, speaker="anna", text="ab", phones=phones))
    long = folder / "audio" / "long.flac"
    soundfile.write(long, 0.3 * rng.standard_normal((8 * RATE, 2)), RATE)
    for start, channel in itertools.product((0, 2, 5), (0, 1)):
        items.append(Item(f"part/{start}/{channel}", long, None, 2.0, RATE, float(start), channel, speaker="otto"))
    write_png(folder / "picture.png", rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    items += [replace(items[0], id="pair", image=folder / "picture.png"), Item("picture", image=folder / "picture.png", label="7")]
    write_manifest(folder / "manifest.jsonl", items, phone_set="two")
    write_manifest(folder / "test.jsonl", items[3:6])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def waveforms(manifest: Manifest, rate: int = RATE) -> dict[str, bytes]:
    return {item.id: manifest.read(number, rate).tobytes() for number, item in enumerate(manifest) if item.audio}


def test_items_and_samples_are_the_same(corpus: Path, tmp_path: Path) -> None:
    done = pack([corpus / "manifest.jsonl"], tmp_path / "packed", 200_000)
    before, after = Manifest.open(corpus / "manifest.jsonl"), Manifest.open(done.manifests[0])
    assert after.digest == before.digest
    assert after.phone_set == "two"
    assert [replace(item, audio=None, image=None) for item in after] == [replace(item, audio=None, image=None) for item in before]
    for rate in (RATE, 11_025):
        assert waveforms(after, rate) == waveforms(before, rate)
    assert (after.read(5, RATE, 1000, 3000) == before.read(5, RATE, 1000, 3000)).all()
    for number in range(len(before)):
        if (image := before[number].image) and (packed := after[number].image):
            assert (read_pixels(packed) == read_pixels(image)).all()
            assert (read_pixels(packed, 16) == read_pixels(image, 16)).all()
    assert len(done.shards) > 1
    for shard in done.shards:
        with tarfile.open(shard) as tar:
            assert shard.stat().st_size <= 200_000 or len(tar.getnames()) == 1


def test_each_file_is_stored_once_for_all_manifests(corpus: Path, tmp_path: Path) -> None:
    done = pack([corpus / "manifest.jsonl", corpus / "test.jsonl"], tmp_path / "packed", 10**9)
    (shard,) = done.shards
    with tarfile.open(shard) as tar:
        stored = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    files = sorted(path.read_bytes() for path in corpus.rglob("*.*") if path.suffix != ".jsonl")
    assert sorted(stored.values()) == files
    assert min(stored) == "00000000-a_clip_0.wav"
    whole, part = map(Manifest.open, done.manifests)
    assert [item.audio for item in part] == [item.audio for item in whole][3:6]


def test_the_same_files_give_the_same_bytes_wherever_they_lie(corpus: Path, tmp_path: Path) -> None:
    manifests = [corpus / "manifest.jsonl", corpus / "test.jsonl"]
    pack(manifests, tmp_path / "one", 200_000)
    moved = corpus.rename(tmp_path / "elsewhere")
    for path in moved.rglob("*"):
        os.utime(path, (1, 1))
    pack([moved / path.name for path in manifests], tmp_path / "another", 200_000)
    assert contents(tmp_path / "one") == contents(tmp_path / "another")
    (tmp_path / "one").rename(tmp_path / "moved")
    assert not [finding for finding in check(Manifest.open(tmp_path / "moved" / "manifest.jsonl")).findings if finding.unusable]


def test_a_packed_corpus_can_be_packed_again(corpus: Path, tmp_path: Path) -> None:
    first = pack([corpus / "manifest.jsonl"], tmp_path / "one", 200_000)
    pack(first.manifests, tmp_path / "two", 10**9)
    direct = pack([corpus / "manifest.jsonl"], tmp_path / "direct", 10**9)
    assert contents(tmp_path / "two")[direct.shards[0].name] == direct.shards[0].read_bytes()
    assert waveforms(Manifest.open(tmp_path / "two" / "manifest.jsonl")) == waveforms(Manifest.open(corpus / "manifest.jsonl"))


def test_done_once_it_is_not_done_again(corpus: Path, tmp_path: Path) -> None:
    pack([corpus / "manifest.jsonl"], tmp_path / "packed", 200_000)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "packed").glob("*.tar")}
    again = pack([corpus / "manifest.jsonl"], tmp_path / "packed", 200_000)
    assert again.reused == len(before) == len(again.shards)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "packed").glob("*.tar")} == before


class Stopped(BaseException):
    """As a kill: nothing catches it, nothing is tidied up."""


def stopping(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the process end before one of its writes, renames or deletions, and do none of the tidying after it."""
    done = 0

    def counted(owner: object, name: str) -> None:
        original: Callable[..., object] = getattr(owner, name)

        def call(*arguments: object, **named: object) -> object:
            nonlocal done
            done += 1
            if done > after:
                raise Stopped
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (os, "fsync"), (packing, "_blocks")):
        counted(owner, name)


def test_stopped_anywhere_it_ends_in_the_same_bytes(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack([corpus / "manifest.jsonl"], tmp_path / "whole", 200_000)
    expected = contents(tmp_path / "whole")
    after, finished = 0, False
    while not finished:
        folder = tmp_path / f"stopped-{after}"
        with monkeypatch.context() as patched:
            stopping(patched, after)
            try:
                pack([corpus / "manifest.jsonl"], folder, 200_000)
                finished = True
            except Stopped:
                pass
        pack([corpus / "manifest.jsonl"], folder, 200_000)
        assert contents(folder) == expected, after
        after += 1
    assert after > 20


@pytest.mark.slow
def test_killed_anywhere_it_ends_in_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    manifest = corpus / "manifest.jsonl"
    pack([manifest], tmp_path / "whole", 200_000)
    code = "import sys; from pathlib import Path; from foresay.corpora.packing import pack; print('go', flush=True)\n"
    code += "pack([Path(sys.argv[1])], Path(sys.argv[2]), 200_000)"
    for milliseconds in range(0, 60, 3):
        folder = tmp_path / f"killed-{milliseconds}"
        process = subprocess.Popen([sys.executable, "-c", code, str(manifest), str(folder)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(milliseconds / 1000)
        process.kill()
        process.wait()
        process.stdout.close()
        pack([manifest], folder, 200_000)
        assert contents(folder) == contents(tmp_path / "whole")


def test_a_file_that_changed_meanwhile_is_packed_anew(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        stopping(patched, 12)
        with pytest.raises(Stopped):
            pack([corpus / "manifest.jsonl"], tmp_path / "packed", 20_000)
    assert list((tmp_path / "packed").glob("shard-00000-*.tar"))
    clip = corpus / "audio" / "a clip.0.wav"
    soundfile.write(clip, np.zeros(RATE // 2), RATE)  # of the same size
    pack([corpus / "manifest.jsonl"], tmp_path / "packed", 20_000)
    pack([corpus / "manifest.jsonl"], tmp_path / "anew", 20_000)
    assert contents(tmp_path / "packed") == contents(tmp_path / "anew")


def test_a_file_that_grows_is_reported(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin: Callable[..., object] = packing._begin

    def grow(*arguments: object) -> object:
        with (corpus / "audio" / "a clip.2.ogg").open("ab") as file:
            file.write(b"more")
        return begin(*arguments)

    monkeypatch.setattr(packing, "_begin", grow)
    with pytest.raises(UserError, match=r"a clip\.2\.ogg changed while it was packed: [\d,]+ bytes became"):
        pack([corpus / "manifest.jsonl"], tmp_path / "packed", 10**9)
    assert [path.name for path in (tmp_path / "packed").iterdir()] == ["pack.toml"]


def test_what_cannot_be_packed_is_left_out_counted_and_listed(corpus: Path, tmp_path: Path) -> None:
    manifest = Manifest.open(corpus / "manifest.jsonl")
    (corpus / "audio" / "a clip.1.flac").unlink()
    (corpus / "audio" / "a clip.3.mp3").unlink()
    (corpus / "audio" / "a clip.3.mp3").mkdir()
    (corpus / "audio" / "long.flac").rename(corpus / "audio" / "long.gsm")
    items = [replace(item, audio=item.audio.with_suffix(".gsm")) if item.audio and item.audio.stem == "long" else item for item in manifest]
    write_manifest(manifest.path, items)
    done = pack([manifest.path], tmp_path / "packed", 10**9)
    assert [line.partition(":")[0] for line in done.skipped][:2] == ["clip/1", "clip/3"]
    assert "known by the name of the file only" in done.skipped[2]
    assert "No such file" in done.skipped[0]
    assert "not a file" in done.skipped[1]
    assert (tmp_path / "packed" / "skipped.txt").read_text(encoding="utf-8").splitlines() == done.skipped
    assert Manifest.open(done.manifests[0]).ids == ["clip/0", "clip/2", "clip/4", "pair", "picture"]


def test_nothing_to_pack_writes_nothing(corpus: Path, tmp_path: Path) -> None:
    for path in [*corpus.rglob("*.*")]:
        if path.suffix != ".jsonl":
            path.unlink()
    with pytest.raises(UserError, match="nothing of manifest.jsonl can be packed. The first: clip/0: .*No such file"):
        pack([corpus / "manifest.jsonl"], tmp_path / "packed", 10**9)
    assert not (tmp_path / "packed").exists()


def test_a_folder_with_something_else_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    manifest = corpus / "manifest.jsonl"
    with pytest.raises(UserError, match="holds something else"):
        pack([manifest], corpus, 10**9)
    pack([manifest], tmp_path / "packed", 10**9)
    before = contents(tmp_path / "packed")
    for again, size in ((corpus / "test.jsonl", 10**9), (manifest, 1000)):
        with pytest.raises(UserError, match="holds another pack"):
            pack([again], tmp_path / "packed", size)
    with pytest.raises(UserError, match="two have the same name"):
        pack([manifest, tmp_path / "packed" / "manifest.jsonl"], tmp_path / "both", 10**9)
    assert contents(tmp_path / "packed") == before


def test_one_process_packs_into_a_folder(corpus: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path / "packed", ""), pytest.raises(UserError, match="is in use by process .* name another folder"):
        pack([corpus / "manifest.jsonl"], tmp_path / "packed", 10**9)
    pack([corpus / "manifest.jsonl"], tmp_path / "packed", 10**9)


def test_a_full_disk_is_reported_before(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda _: packing.shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(UserError, match=r"the shards need 0\.\d GB more, and 0\.0 GB are free"):
        pack([corpus / "manifest.jsonl"], tmp_path / "packed", 10**9)


@pytest.fixture
def packed(corpus: Path, tmp_path: Path) -> tuple[Manifest, Path]:
    done = pack([corpus / "manifest.jsonl"], tmp_path / "packed", 10**9)
    return Manifest.open(done.manifests[0]), done.shards[0]


def faults(manifest: Manifest) -> set[str]:
    return {finding.kind for finding in check(manifest).findings if finding.unusable}


def test_a_shard_of_other_bytes_is_found_by_check(packed: tuple[Manifest, Path]) -> None:
    manifest, shard = packed
    assert not faults(manifest)
    item = manifest[0]
    assert item.audio is not None
    place = part_of(item.audio)
    assert place is not None
    content = bytearray(shard.read_bytes())
    content[place.offset + 1000] ^= 1  # of a sample of a WAV file, which no decoder can notice
    shard.write_bytes(content)
    (finding,) = [finding for finding in check(manifest).findings if finding.unusable]
    assert finding.kind == "damaged"
    assert shard.name in finding.detail
    assert digest_of(shard) != digest_in_name(shard)


def test_a_cut_a_missing_and_another_shard_are_named(packed: tuple[Manifest, Path]) -> None:
    manifest, shard = packed
    whole = shard.read_bytes()
    picture = next(item.image for item in manifest if item.image)
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FaultyAudioError, match=f"{shard} ends after") as caught:
        manifest.read(5, RATE)
    assert caught.value.fault == "truncated"
    with pytest.raises(ImageError, match=f"{shard} ends after"):
        read_pixels(picture)
    assert "truncated" in faults(manifest)
    shard.write_bytes(bytes(512) + whole)
    with pytest.raises(FaultyAudioError, match="not the one that the manifest was written for") as caught:
        manifest.read(5, RATE)
    assert caught.value.fault == "damaged"
    assert "damaged" in faults(manifest)
    shard.unlink()
    shards._handle.cache_clear()  # another process, that has not read it before
    with pytest.raises(FaultyAudioError, match=f"there is no shard {shard}") as caught:
        manifest.read(5, RATE)
    assert caught.value.fault == "missing"
    assert faults(manifest) == {"missing"}
