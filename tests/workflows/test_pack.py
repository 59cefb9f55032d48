"""A packed corpus does what its files do, verb by verb, to the last bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from foresay.cli import main
from foresay.errors import UserError
from foresay.workflows.corpus import check_corpus, corpus_stats, pack_corpus
from foresay.workflows.evaluate import evaluate
from foresay.workflows.extract import extract
from foresay.workflows.pretrain import pretrain
from reference.levels import write_corpus
from reference.two_processes import SMALL
from reference.two_processes import write_corpus as write_noise

CLOCKS = {"audio_rate", "data_wait", "seconds"}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a corpus to train on, as files and packed into several shards."""
    manifest = write_noise(tmp_path_factory.mktemp("noise"))
    packed = manifest.parent.parent / "packed"
    done = pack_corpus(manifest, packed, shard="200kB")
    assert len(done.shards) > 2
    return manifest, done.manifests[0]


def lines(run: Path) -> list[dict[str, object]]:
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCKS} for line in read]


def weights(run: Path) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in load_file(run / "model" / "model.safetensors").items()}


def test_training_is_the_same_to_the_last_bit(noise: tuple[Path, Path], tmp_path: Path) -> None:
    settings = (*SMALL, "trainer.steps=4", "trainer.log_every=1", "trainer.validate_every=2")
    for name, manifest in zip(("files", "packed"), noise, strict=True):
        pretrain("cpc", manifest, tmp_path / name, valid=manifest, overrides=settings)
    assert lines(tmp_path / "files") == lines(tmp_path / "packed")
    assert weights(tmp_path / "files") == weights(tmp_path / "packed")


def test_a_run_goes_on_with_its_corpus_packed(noise: tuple[Path, Path], tmp_path: Path) -> None:
    files, packed = noise
    for name, manifest in (("files", files), ("moved", packed)):
        pretrain("cpc", files, tmp_path / name, overrides=(*SMALL, "trainer.steps=4", "trainer.save_every=2"))
        shutil.rmtree(tmp_path / name / "checkpoints" / "step-000004")
        pretrain("cpc", manifest, tmp_path / name, overrides=(*SMALL, "trainer.steps=4", "trainer.save_every=2"))
    assert weights(tmp_path / "files") == weights(tmp_path / "moved")


def test_all_other_verbs_give_the_same(tmp_path: Path) -> None:
    test = write_corpus(tmp_path / "corpus" / "test.jsonl", 6)
    train = write_corpus(tmp_path / "corpus" / "train.jsonl", 6, seed=1)
    packed = dict(zip(("test", "train"), pack_corpus([test.path, train.path], tmp_path / "packed").manifests, strict=True))
    assert corpus_stats(packed["test"]).seconds_per_item == corpus_stats(test.path).seconds_per_item
    before, after = check_corpus(test.path), check_corpus(packed["test"])
    assert (after.findings, after.hours) == (before.findings, before.hours)
    for name, manifest in (("a", test.path), ("b", packed["test"])):
        extract("mfcc", manifest, tmp_path / name, layer="mfcc")
    for path in (tmp_path / "a").glob("*.npy"):
        assert np.array_equal(np.load(path), np.load(tmp_path / "b" / path.name))
    asked = {"measures": ["similarity:cosine"]}
    sides = {"files": (test.path, train.path), "shards": tuple(packed.values())}
    results = {name: evaluate(["mfcc"], *corpora, **asked, out=tmp_path / f"out-{name}") for name, corpora in sides.items()}
    files, shards = ([(row.model, row.metric, row.layer, row.value, row.low) for row in rows] for rows in results.values())
    assert files == shards


def test_the_command_says_what_it_packed_and_what_not(noise: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(noise[0].parent, copy)
    next(iter(sorted(copy.rglob("*.wav")))).unlink()
    assert main(["corpus", "pack", str(copy / noise[0].name), str(tmp_path / "packed"), "--shard", "200kB"]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'packed'}: " in printed
    assert "shards, 0.00 GB" in printed
    assert "19 items" in printed
    assert f"left out 1 item, all listed in {tmp_path / 'packed' / 'skipped.txt'}:" in printed
    assert main(["corpus", "pack", str(copy / noise[0].name), str(tmp_path / "packed"), "--shard", "200kB"]) == 0
    assert "were there already" in capsys.readouterr().out


def test_sizes_and_arguments_that_make_no_sense_are_refused(
    noise: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in ("0", "-1GB", "much", "1XB", "nan", "0.1"):
        with pytest.raises(UserError, match="give a size above 0, such as 1GB"):
            pack_corpus(noise[0], tmp_path / "packed", shard=size)
    assert main(["corpus", "pack", str(noise[0])]) == 2
    assert "and the folder to write to" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()
