"""Writing features to files: what is written, what is skipped, and that pieces make the whole."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
import torch

import foresay.workflows.extract as module
from foresay.audio.read import read_audio
from foresay.cli import main
from foresay.contracts import SpeechModel
from foresay.corpora.manifest import Manifest
from foresay.encoding import parts
from foresay.errors import UserError
from foresay.locks import exclusive
from foresay.workflows.extract import extract
from reference.levels import RATE, write_corpus
from reference.tiny_run import write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


def write_noise(path: Path, seconds: float, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=round(seconds * rate)), rate)
    return path


def lines(folder: Path) -> dict[str, dict]:
    return {line["id"]: line for line in map(json.loads, (folder / "index.jsonl").read_text().splitlines())}


@torch.no_grad()
def whole(model: SpeechModel, path: Path, layer: str) -> np.ndarray:
    waveform = torch.from_numpy(read_audio(path, model.sample_rate))
    return model.features(waveform[None], torch.tensor([len(waveform)])).values[layer][0].numpy()


def test_a_manifest_becomes_a_file_an_item_and_an_index(tmp_path: Path, run: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus" / "m.jsonl", 3)
    done = extract(run, manifest.path, tmp_path / "out", layer="c")
    assert (done.written, done.there, done.failures) == (3, 0, ())
    index = lines(tmp_path / "out")
    assert list(index) == manifest.ids
    model = module.load_extractor(run)
    for item in manifest:
        line = index[item.id]
        features = np.load(tmp_path / "out" / line["file"])
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, whole(model, item.audio, "c"))
        assert (line["frames"], line["frame_rate"], line["layer"]) == (len(features), 100.0, "c")
        assert line["first_center"] == 79 / RATE
    assert not list((tmp_path / "out").glob(".unfinished*"))


def test_a_folder_and_a_file(tmp_path: Path, run: Path) -> None:
    first = write_noise(tmp_path / "audio" / "anna" / "1.wav", 0.5)
    second = write_noise(tmp_path / "audio" / "eight.flac", 0.5, rate=8000)
    (tmp_path / "audio" / "notes.txt").write_text("not audio")
    extract(run, tmp_path / "audio", tmp_path / "out", layer="z")
    assert list(lines(tmp_path / "out")) == ["eight", "anna/1"]
    for name, path in (("anna/1", first), ("eight", second)):
        features = np.load(tmp_path / "out" / lines(tmp_path / "out")[name]["file"])
        np.testing.assert_array_equal(features, whole(module.load_extractor(run), path, "z"))
    extract("mfcc", first, tmp_path / "one", layer="mfcc")
    assert [(line["id"], line["frames"]) for line in lines(tmp_path / "one").values()] == [("1", 50)]


def test_a_long_recording_in_pieces_is_the_whole(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_noise(tmp_path / "long.wav", 3.217)
    monkeypatch.setattr(parts, "PART", 0.3)
    monkeypatch.setattr(parts, "CONTEXT", 0.12)
    pushed = []
    read = module.read_audio
    monkeypatch.setattr(module, "read_audio", lambda *of: pushed.append(of) or read(*of))
    for layer in ("z", "c"):
        extract(run, path, tmp_path / layer, layer=layer)
        np.testing.assert_allclose(np.load(tmp_path / layer / "long.npy"), whole(module.load_extractor(run), path, layer), atol=1e-5)
    assert len(pushed) == 2 * 11
    extract("logmel", path, tmp_path / "logmel", layer="logmel")  # which does not stream: in parts that overlap
    np.testing.assert_allclose(np.load(tmp_path / "logmel" / "long.npy"), whole(module.load_extractor("logmel"), path, "logmel"), atol=1e-5)
    assert len(pushed) == 3 * 11
    assert max(stop - start for *_, start, stop in pushed) <= (0.3 + 2 * 0.12) * RATE


def test_it_goes_on_where_it_was(tmp_path: Path, run: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus" / "m.jsonl", 4)
    out = tmp_path / "out"
    extract(run, manifest.path, out, layer="c")
    index = (out / "index.jsonl").read_text()
    kept, lost, *_ = (line["file"] for line in lines(out).values())
    before = (out / kept).stat().st_mtime_ns
    (out / lost).unlink()
    (out / "index.jsonl").write_text(index[:-10])  # killed in the middle of a line
    done = extract(run, manifest.path, out, layer="c")
    assert (done.written, done.there) == (2, 2)
    assert (out / kept).stat().st_mtime_ns == before
    assert sorted((out / "index.jsonl").read_text().splitlines()) == sorted(index.splitlines())


@pytest.mark.parametrize("change", ["layer", "weights", "settings"])
def test_two_things_do_not_mix_in_one_folder(tmp_path: Path, run: Path, change: str) -> None:
    path = write_noise(tmp_path / "a.wav", 0.5)
    extract(run, path, tmp_path / "out", layer="c")
    if change == "weights":
        write_run(run, seed=1)
    if change == "settings":  # with the weights that it had
        write_run(run, paddings=[0, 0, 0, 0, 0])
    with pytest.raises(UserError, match="holds layer c of .*choose another folder"):
        extract(run, path, tmp_path / "out", layer="z" if change == "layer" else "c")


def test_what_cannot_be_read_is_left_out_and_reported(tmp_path: Path, run: Path) -> None:
    audio = tmp_path / "audio"
    good = write_noise(audio / "good.wav", 0.5)
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("not audio at all")
    (audio / "cut.wav").write_bytes(good.read_bytes()[:8000])
    write_noise(audio / "blink.wav", 0.001)
    soundfile.write(audio / "nan.wav", np.array([0.0, np.nan] * 4000), RATE, subtype="FLOAT")
    done = extract(run, audio, tmp_path / "out", layer="c")
    assert (done.written, len(done.failures)) == (1, 5)
    assert [failure.partition(":")[0] for failure in done.failures] == ["blink", "cut", "empty", "nan", "text"]
    assert "too few for one frame" in done.failures[0]
    assert list(lines(tmp_path / "out")) == ["good"]
    assert (tmp_path / "out" / "left-out.txt").read_text().splitlines() == list(done.failures)
    for name in ("blink", "cut", "empty", "nan", "text"):
        (audio / f"{name}.wav").unlink()
    assert extract(run, audio, tmp_path / "out", layer="c").there == 1
    assert not (tmp_path / "out" / "left-out.txt").exists()


def test_a_recording_whose_features_are_not_finite_does_not_end_the_others(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 3)
    read = Manifest.read
    monkeypatch.setattr(Manifest, "read", lambda of, place, *rest: read(of, place, *rest) * (np.inf if place == 1 else 1.0))
    done = extract(run, manifest.path, tmp_path / "out", layer="c")
    assert (done.written, len(done.failures)) == (2, 1)
    assert "m-1: c is not finite" in done.failures[0]


def test_what_was_damaged_or_is_another_recording_now_is_extracted_again(tmp_path: Path, run: Path) -> None:
    for name in ("same", "cut", "other"):
        write_noise(tmp_path / "audio" / f"{name}.wav", 0.5)
    extract(run, tmp_path / "audio", tmp_path / "out", layer="c")
    expected = (tmp_path / "out" / "cut.npy").read_bytes()
    (tmp_path / "out" / "cut.npy").write_bytes(expected[:1000])
    write_noise(tmp_path / "audio" / "other.wav", 0.7)
    done = extract(run, tmp_path / "audio", tmp_path / "out", layer="c")
    assert (done.written, done.there) == (2, 1)
    assert (tmp_path / "out" / "cut.npy").read_bytes() == expected
    assert len(np.load(tmp_path / "out" / "other.npy")) == lines(tmp_path / "out")["other"]["frames"] == 70
    assert extract(run, tmp_path / "audio", tmp_path / "out", layer="c").there == 3


def test_a_full_disk_is_reported_and_what_is_written_is_kept(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 3)
    real = module.writing

    @contextmanager
    def full(path: Path) -> Iterator[BinaryIO]:
        if path.name == "m-1.npy":
            with Path("/dev/full").open("wb", buffering=0) as file:
                yield file
        else:
            with real(path) as file:
                yield file

    monkeypatch.setattr(module, "writing", full)
    assert main(["extract", str(run), str(manifest.path), str(tmp_path / "out"), "--layer", "c"]) == 2
    assert "the disk is full" in capsys.readouterr().err
    monkeypatch.undo()
    done = extract(run, manifest.path, tmp_path / "out", layer="c")
    assert (done.written, done.there) == (2, 1)


def test_an_index_that_is_none_is_named(tmp_path: Path, run: Path) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.jsonl").write_text('{"id": "m-0"}\n')
    with pytest.raises(UserError, match=r"index\.jsonl, line 1 is no line of this version's index"):
        extract(run, manifest.path, tmp_path / "out", layer="c")
    with pytest.raises(UserError, match="cannot be a folder"):
        extract(run, manifest.path, manifest.path, layer="c")


@pytest.mark.parametrize("name", ["../up", "a/b", "a%2Fb", "..", "x" * 500, "x" * 501, "ünï ©", 'q"?*', "CON"])
def test_any_id_is_a_safe_name(name: str) -> None:
    file = module.safe_name(name, "npy")
    assert Path(file).name == file
    assert len(file) < 255
    assert file.isascii()
    assert file != module.safe_name(name + "x", "npy")


def test_mistakes_are_named(tmp_path: Path, run: Path) -> None:
    path = write_noise(tmp_path / "a.wav", 0.5)
    with pytest.raises(UserError, match=r"has no layer 'cc': did you mean \"c\""):
        extract(run, path, tmp_path / "out", layer="cc")
    assert not (tmp_path / "out").exists()
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="there is no audio in"):
        extract(run, tmp_path / "nothing", tmp_path / "out", layer="c")
    write_noise(tmp_path / "twice" / "a.flac", 0.5)
    write_noise(tmp_path / "twice" / "a.wav", 0.5)
    with pytest.raises(UserError, match="differs from another file in its ending only"):
        extract(run, tmp_path / "twice", tmp_path / "out", layer="c")
    with pytest.raises(UserError, match="there is no manifest"):
        extract(run, tmp_path / "none.jsonl", tmp_path / "out", layer="c")
    assert extract(run, tmp_path / "none.wav", tmp_path / "out", layer="c").failures


def test_a_model_of_images_extracts_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pixels takes images and no audio"):
        extract("pixels", tmp_path, tmp_path / "out", layer="pixels")


def test_an_index_opens_as_a_list_of_features(tmp_path: Path, run: Path) -> None:
    """What the documentation shows."""
    manifest = Manifest.open(write_corpus(tmp_path / "m.jsonl", 2).path)
    index = extract(run, manifest.path, tmp_path / "out", layer="c").index
    features = {line["id"]: np.load(index.parent / line["file"]) for line in map(json.loads, index.read_text().splitlines())}
    assert {name: array.shape[1] for name, array in features.items()} == dict.fromkeys(manifest.ids, 8)


def test_two_do_not_write_into_one_folder(tmp_path: Path) -> None:
    write_corpus(tmp_path / "manifest.jsonl", 1)
    with exclusive(tmp_path / "out", "Wait"), pytest.raises(UserError, match="out is in use by process"):
        extract("mfcc", tmp_path / "manifest.jsonl", tmp_path / "out", layer="mfcc")


def test_names_that_are_not_utf8_are_extracted_and_reported(tmp_path: Path, run: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/lat\xe9"))
    source.mkdir()
    for name, samples in (("a", 16_000), (os.fsdecode(b"b\xe9"), 16_000), (os.fsdecode(b"bad\xe9"), 10)):
        content = io.BytesIO()  # soundfile itself writes no such names
        soundfile.write(content, np.random.default_rng(0).uniform(-0.5, 0.5, samples), 16_000, format="WAV")
        (source / f"{name}.wav").write_bytes(content.getvalue())
    done = extract(run, source, tmp_path / "out", layer="z")
    assert (done.written, len(done.failures)) == (2, 1)
    assert {path.name for path in (tmp_path / "out").glob("*.npy")} == {"a.npy", "b%E9.npy"}
    assert (tmp_path / "out" / "left-out.txt").read_text().startswith("bad\\udce9: ")
    assert extract(run, source, tmp_path / "out", layer="z").there == 2
