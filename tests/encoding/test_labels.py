"""HuBERT's labels: one command finds clusters, names them and trains; an iteration learns the clusters of the one before."""

import math
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from foresay.corpora import labels
from foresay.corpora.labels import FrameLabels
from foresay.corpora.manifest import Manifest
from foresay.encoding import labels as workflow
from foresay.encoding.labels import make_labels
from foresay.encoding.passes import CorpusPasses
from foresay.encoding.recordings import Recording
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings
from foresay.quantizers.kmeans import KMeans
from foresay.settings import read_toml
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import rehearse
from reference.levels import write_corpus

TINY = [
    "model.channels=16",
    "model.size=16",
    "model.inner=32",
    "model.layers=2",
    "model.heads=2",
    "model.target_size=8",
    "model.classes=8",
    "model.position_kernel=8",
    "model.position_groups=2",
    "parts.labels.clusters=8",
    "data.seconds=6",
    "trainer.steps=4",
    "trainer.save_every=2",
    "trainer.validate_every=2",
    "trainer.validate_batches=1",
]


@pytest.fixture
def manifests(tmp_path: Path) -> dict[str, Manifest]:
    return {name: write_corpus(tmp_path / f"{name}.jsonl", 8, seed=seed) for seed, name in enumerate(("train", "valid"))}


def fitted(manifest: Manifest, of: str = "mfcc", layer: str = "mfcc", clusters: int = 8) -> KMeansUnits:
    units = KMeansUnits(KMeansUnitsSettings(layer, clusters), load(of))
    units.fit(CorpusPasses(manifest, 0))
    return units


@pytest.fixture
def units(manifests: dict[str, Manifest]) -> KMeansUnits:
    return fitted(manifests["train"])


def test_every_frame_has_the_cluster_nearest_to_it(tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits) -> None:
    found = make_labels(units, manifests, tmp_path / "labels")
    centers = units.kmeans.centers.numpy()
    mfcc = load("mfcc")
    for name, manifest in manifests.items():
        for item in range(len(manifest)):
            waveform = manifest.read(item, 16_000)
            features = mfcc.features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])).values["mfcc"][0].numpy()
            times = (79 + 160 * np.arange(len(features))) / 16_000
            nearest = ((features[:, None].astype(np.float64) - centers) ** 2).sum(-1).argmin(1)
            assert (found[name].at(item, times) == nearest).mean() > 0.995  # but for ties in float32


def test_their_agreement_with_the_phones_is_reported(tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits) -> None:
    found = make_labels(units, manifests, tmp_path / "labels")["train"]
    pairs: Counter[tuple[str, int]] = Counter()
    for place, item in enumerate(manifests["train"]):
        times = (79 + 160 * np.arange(int(item.duration * 100))) / 16_000
        for time, code in zip(times.tolist(), found.at(place, times).tolist(), strict=True):
            pairs.update((phone.label, code) for phone in item.phones or () if phone.start <= time < phone.end)
    total = sum(pairs.values())
    phones, codes = Counter[str](), Counter[int]()
    for (phone, code), times_seen in pairs.items():
        phones[phone] += times_seen
        codes[code] += times_seen
    shared = sum(n / total * math.log(n * total / (phones[phone] * codes[code])) for (phone, code), n in pairs.items())
    entropy = -sum(n / total * math.log(n / total) for n in phones.values())
    about = read_toml((tmp_path / "labels" / "train" / "labels.toml").read_text(), "labels.toml")
    assert about["pnmi"] == pytest.approx(shared / entropy, abs=1e-3)
    assert about["pnmi_interval"][0] <= about["pnmi"] <= about["pnmi_interval"][1]


def test_nothing_is_made_twice_and_what_changed_is_made_anew(
    tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = workflow.encode_recordings

    def encodes(subject: Subject, manifest: Manifest, *rest: Any) -> Iterator[Recording]:  # noqa: ANN401 - passed on
        encoded.append(manifest.name)
        return encode(subject, manifest, *rest)

    monkeypatch.setattr(workflow, "encode_recordings", encodes)
    make_labels(units, manifests, tmp_path / "labels")
    make_labels(units, manifests, tmp_path / "labels")
    assert len(encoded) == 2
    write_corpus(tmp_path / "valid.jsonl", 4, seed=9)
    make_labels(units, {**manifests, "valid": Manifest.open(tmp_path / "valid.jsonl")}, tmp_path / "labels")
    assert len(encoded) == 3
    make_labels(fitted(manifests["train"], clusters=4), {"train": manifests["train"]}, tmp_path / "labels")
    assert len(encoded) == 4


def test_labels_of_an_older_version_are_not_taken_over(tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits) -> None:
    """They lay beside their frames after the first half minute."""
    make_labels(units, manifests, tmp_path / "labels")
    about = tmp_path / "labels" / "train" / "labels.toml"
    about.write_text(about.read_text().replace("version = 2\n", ""))
    with pytest.raises(UserError, match=r"older version of Foresay.*Delete .*train to make them again"):
        make_labels(units, manifests, tmp_path / "labels")
    with pytest.raises(UserError, match="older version"):
        FrameLabels(tmp_path / "labels" / "train", manifests["train"])


def test_label_making_that_was_killed_goes_on(
    tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_labels(units, manifests, tmp_path / "whole")
    encode, encoded = workflow.encode_recordings, list[int]()

    def counting(*of: Any) -> Iterator[Recording]:  # noqa: ANN401 - passed on
        for recording in encode(*of):
            encoded.append(recording.index)
            yield recording
            if len(encoded) == 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "encode_recordings", counting)
    with pytest.raises(KeyboardInterrupt):
        make_labels(units, manifests, tmp_path / "killed")
    assert not (tmp_path / "killed" / "train" / "labels.toml").exists()
    make_labels(units, manifests, tmp_path / "killed")
    assert encoded == [*range(5), *range(5, 8), *range(8)]  # those of `train` once, then those of `valid`
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "whole", tmp_path / "killed")
    ]
    assert files[0] == files[1]


def test_what_cannot_be_read_is_left_out_of_the_labels_and_listed(
    tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits
) -> None:
    train = manifests["train"]
    for place in (2, 7):
        train[place].audio.write_bytes(b"no audio")
    found = make_labels(units, {"train": train}, tmp_path / "labels")["train"]
    assert [bool((found.at(place, np.array([0.5])) >= 0).all()) for place in range(8)] == [place not in {2, 7} for place in range(8)]
    listed = (tmp_path / "labels" / "train" / "left-out.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in listed] == ["train-2", "train-7"]
    valid = manifests["valid"]
    for item in valid:
        item.audio.unlink()
    with pytest.raises(UserError, match=r"no recording that can be read .* The first: there is no file"):
        make_labels(units, {"train": train, "valid": valid}, tmp_path / "labels")


def test_labels_say_which_weights_and_data_made_them(tmp_path: Path, manifests: dict[str, Manifest]) -> None:
    train = manifests["train"]
    fingerprints = set()
    for seed in (0, 1):
        pretrain("hubert-tiny", train.path, tmp_path / f"run-{seed}", overrides=[*TINY, f"trainer.seed={seed}", "trainer.steps=1"])
        shutil.rmtree(tmp_path / "teacher", ignore_errors=True)
        shutil.move(tmp_path / f"run-{seed}" / "model", tmp_path / "teacher")
        units = fitted(train, str(tmp_path / "teacher"), "L1")
        made = make_labels(units, {"train": train}, tmp_path / f"labels-{seed}")["train"]
        assert (made.about["data"], made.about["tokenizer"]) == (train.digest, units.fingerprint)
        fingerprints.add((made.about["tokenizer"], made.about["fingerprint"]))
    assert len({weights for weights, _ in fingerprints}) == len({stamp for _, stamp in fingerprints}) == 2


def test_a_full_disk_is_reported_and_nothing_is_lost(
    tmp_path: Path, manifests: dict[str, Manifest], units: KMeansUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def full(path: Path) -> Iterator[BinaryIO]:  # noqa: ARG001
        with Path("/dev/full").open("wb", buffering=0) as file:
            yield file

    monkeypatch.setattr(labels, "writing", full)
    with pytest.raises(OSError, match="No space left on device"):  # what the command line knows and reports
        make_labels(units, manifests, tmp_path / "labels")
    monkeypatch.undo()
    monkeypatch.setattr(KMeans, "assign", None)  # nothing is made again
    assert make_labels(units, {"train": manifests["train"]}, tmp_path / "labels")


def test_a_run_keeps_its_labels_whatever_becomes_of_their_source(tmp_path: Path, manifests: dict[str, Manifest]) -> None:
    train, valid = (manifests[name].path for name in ("train", "valid"))
    pretrain("hubert-tiny", train, tmp_path / "one", valid=valid, overrides=TINY)
    second = [*TINY, f"parts.labels.encoder={tmp_path / 'one'}", "parts.labels.layer=L1"]
    pretrain("hubert-tiny-2", train, tmp_path / "two", valid=valid, overrides=[*second, "trainer.save_every=4"])
    before = (tmp_path / "two" / "labels" / "train" / "codes.npy").read_bytes()
    shutil.rmtree(tmp_path / "one")
    shutil.rmtree(tmp_path / "two" / "checkpoints")
    pretrain("hubert-tiny-2", train, tmp_path / "two", valid=valid, overrides=[*second, "trainer.save_every=4"])
    assert (tmp_path / "two" / "labels" / "train" / "codes.npy").read_bytes() == before
    shutil.rmtree(tmp_path / "two" / "labels")  # the units are in the run, their encoder with them
    shutil.rmtree(tmp_path / "two" / "checkpoints")
    pretrain("hubert-tiny-2", train, tmp_path / "two", valid=valid, overrides=[*second, "trainer.save_every=4"])
    assert (tmp_path / "two" / "labels" / "train" / "codes.npy").read_bytes() == before


def test_two_iterations_from_the_command(tmp_path: Path, manifests: dict[str, Manifest]) -> None:
    train, valid = (manifests[name].path for name in ("train", "valid"))
    first = pretrain("hubert-tiny", train, tmp_path / "one", valid=valid, overrides=TINY)
    assert first.step == 4
    second = [*TINY, f"parts.labels.encoder={tmp_path / 'one'}", "parts.labels.layer=L1"]
    pretrain("hubert-tiny-2", train, tmp_path / "two", valid=valid, overrides=second)
    about = read_toml((tmp_path / "two" / "labels" / "train" / "labels.toml").read_text(), "labels.toml")
    assert (about["classes"], about["frame_rate"]) == (8, 50.0)
    units = load(tmp_path / "two" / "parts" / "labels")
    assert (units.settings.layer, units.fingerprint) == ("L1", about["tokenizer"])
    for name, weights in load(tmp_path / "one").state_dict().items():
        torch.testing.assert_close(units.encoder.state_dict()[name], weights, rtol=0, atol=0)
    again = pretrain("hubert-tiny-2", train, tmp_path / "two", valid=valid, overrides=[*second, "trainer.steps=4"])
    assert again.step == 4


def test_a_rehearsal_makes_no_labels(tmp_path: Path, manifests: dict[str, Manifest]) -> None:
    rehearse("pretrain", "hubert-tiny", manifests["train"].path, tmp_path / "run", overrides=TINY, updates=1)
    assert not (tmp_path / "run").exists()
    for override, message in (("parts.labels=mfcc", "must be a tokenizer, and mfcc is an MFCC"), ("model.classes=5", "5 classes")):
        with pytest.raises(UserError, match=message):
            rehearse("pretrain", "hubert-tiny", manifests["train"].path, tmp_path / "run", overrides=[*TINY, override], updates=1)


def test_what_cannot_be_labelled_is_explained(tmp_path: Path, manifests: dict[str, Manifest]) -> None:
    for override, message in (
        ("parts.labels.layer=mfc", 'did you mean "mfcc"'),
        ("parts.labels.clusters=1", "more than one cluster"),
        ("parts.labels.clusters=60_000", "too few to find 60000 clusters"),
        ("model.classes=5", r"parts\.labels\.clusters"),
        ("parts.labels=mfcc", "must be a tokenizer, and mfcc is an MFCC: fit one"),
        ("labels.of=mfcc", "a part now"),
    ):
        with pytest.raises(UserError, match=message):
            pretrain("hubert-tiny", manifests["train"].path, tmp_path / "run", overrides=[*TINY, override])
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
