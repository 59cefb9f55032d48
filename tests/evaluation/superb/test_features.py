"""Features that are encoded once: the same kept, streamed or pooled, and the disk is looked at before anything is encoded."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.superb import features as module
from foresay.evaluation.superb.features import FeatureStore, Stack, normalized
from reference.paired_levels import PairedLevels, pairs_of, subject, write_clips

LENGTHS = (4, 9, 3, 12, 7)
THIRD = 1 / 3
"""What half precision does not hold exactly."""


class Usage(NamedTuple):
    """As of `shutil`."""

    free: int


def write(folder: Path, name: str = "some", lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> Manifest:
    random = np.random.default_rng(seed)
    return write_clips(folder / f"{name}.jsonl", {f"{name}-{n}": random.integers(0, 8, (length, 2)) for n, length in enumerate(lengths)})


def frames_of(manifest: Manifest, place: int, scale: float = THIRD) -> Tensor:
    """What the model makes of a recording, in half precision: (T, 2, 8)."""
    return (scale * F.one_hot(pairs_of(manifest, place), 8)).half().float()


def encoded(one: Subject) -> int:
    assert isinstance(one.model, PairedLevels)
    return one.model.encoded


@pytest.mark.parametrize("gigabytes", [1.0, 0.0])
def test_frames_are_those_of_the_model_in_half_precision_kept_or_not(tmp_path: Path, gigabytes: float) -> None:
    manifest, one = write(tmp_path), subject(scale=THIRD)
    found = FeatureStore(one, folder=tmp_path, gigabytes=gigabytes).frames(manifest)
    assert found.places == tuple(range(5))
    assert encoded(one) == (5 if gigabytes else 0)
    for _ in range(2):
        features, lengths = found.batch([3, 0, 2])
        assert lengths.tolist() == [12, 4, 3]
        assert features.dtype == torch.float32
        assert features.shape == (3, 12, 2, 8)
        for row, place in enumerate((3, 0, 2)):
            assert torch.equal(features[row, : LENGTHS[place]], frames_of(manifest, place))
            assert not features[row, LENGTHS[place] :].any()
    assert encoded(one) == (5 if gigabytes else 6)
    assert not features[0, 0, 0].eq(THIRD).any()  # which is not what half precision holds


def test_kept_features_have_no_file_that_somebody_must_delete(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    found = FeatureStore(subject(), folder=folder).frames(write(tmp_path))
    assert not list(folder.iterdir())
    assert found.batch([0]).features.any()


@pytest.mark.parametrize("gigabytes", [1.0, 0.0])
def test_pooled_features_are_mean_and_deviation_of_frames_and_of_normalized_ones(tmp_path: Path, gigabytes: float) -> None:
    manifest, one = write(tmp_path), subject(scale=THIRD)
    store = FeatureStore(one, folder=tmp_path, gigabytes=gigabytes)
    if gigabytes:
        store.frames(manifest)
    pooled = store.pooled(manifest)
    assert encoded(one) == 5  # of frames that are kept, nothing is encoded again
    features, lengths = pooled.batch([2, 1])
    assert features.shape == (2, 2, 2, 2, 8)
    assert lengths.tolist() == [3, 9]
    for row, place in enumerate((2, 1)):
        frames = frames_of(manifest, place)
        standard = (frames - frames.mean(-1, keepdim=True)) / (frames.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(normalized(frames), standard)
        for kind, values in enumerate((frames, standard)):
            torch.testing.assert_close(features[row, kind, 0], values.mean(0))
            torch.testing.assert_close(features[row, kind, 1], values.std(0, correction=0))
    store.pooled(manifest)
    assert encoded(one) == 5


def test_what_two_manifests_share_is_encoded_once(tmp_path: Path) -> None:
    one = subject()
    store = FeatureStore(one, folder=tmp_path)
    whole, again = write(tmp_path), Manifest.open(tmp_path / "some.jsonl")
    store.frames(whole.without([0, 1]))
    assert encoded(one) == 3
    found = store.frames(again)
    assert encoded(one) == 5
    store.frames(whole)
    store.pooled(whole)
    assert encoded(one) == 5
    for place in range(5):
        assert torch.equal(found.batch([place]).features[0], frames_of(whole, place, 1.0))


def test_what_has_no_more_room_is_encoded_for_each_batch(tmp_path: Path) -> None:
    one = subject()
    first, second = write(tmp_path), write(tmp_path, "others", (5, 6), seed=1)
    size = sum(LENGTHS) * 2 * 8 * 2
    store = FeatureStore(one, folder=tmp_path, gigabytes=(size + 8) / 1e9)
    kept, streamed = store.frames(first), store.frames(second)
    assert encoded(one) == 5
    kept.batch([0, 1])
    assert encoded(one) == 5
    assert torch.equal(streamed.batch([1]).features[0], frames_of(second, 1, 1.0))
    assert encoded(one) == 6
    scanty = subject()
    FeatureStore(scanty, folder=tmp_path, gigabytes=(size - 8) / 1e9).frames(first)
    assert encoded(scanty) == 0


def test_a_disk_that_is_too_small_is_refused_before_anything_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def usage(folder: Path) -> Usage:
        asked.append(folder)
        return Usage(module.SPARE + needed - 1)

    needed = sum(LENGTHS) * 2 * 8 * 2
    monkeypatch.setattr("foresay.evaluation.superb.features.shutil.disk_usage", usage)
    manifest, one = write(tmp_path), subject(name="large")
    store = FeatureStore(one, folder=tmp_path)
    with pytest.raises(UserError, match=r"features of large take .* GB.*--cache DIR.*--layers.*--cache-gb"):
        store.frames(manifest)
    assert (encoded(one), asked) == (0, [tmp_path])
    needed += 1
    assert FeatureStore(one, folder=tmp_path).frames(manifest).places
    FeatureStore(one, folder=tmp_path, gigabytes=0).frames(manifest)  # needs no disk


def test_layers_of_another_size_or_rate_than_the_last_are_left_out() -> None:
    model = PairedLevels()
    assert Stack.of(model, ("wide", "slow", "first", "second")) == (("first", "second"), 8, ("wide", "slow"))
    assert Stack.of(model, ("first", "wide")) == (("wide",), 16, ("first",))
    assert Stack.of(model, ("first", "slow")) == (("slow",), 8, ("first",))


def test_the_layers_of_a_store_are_those_that_can_be_added(tmp_path: Path) -> None:
    one, manifest = subject("wide", "second", "first"), write(tmp_path)
    features = FeatureStore(one, folder=tmp_path).frames(manifest).batch([1]).features[0]
    assert torch.equal(features, frames_of(manifest, 1, 1.0).flip(1))


@pytest.mark.parametrize("gigabytes", [1.0, 0.0])
def test_recordings_without_a_frame_are_left_out(tmp_path: Path, gigabytes: float) -> None:
    """Two frames fit into 20 ms, but what lasts less than 25 ms is encoded nowhere."""
    manifest = write(tmp_path, lengths=(4, 2, 5))
    store = FeatureStore(subject(), folder=tmp_path, gigabytes=gigabytes)
    assert store.frames(manifest).places == store.pooled(manifest).places == (0, 2)
    assert store.frames(manifest).batch([2]).features.shape == (1, 5, 2, 8)


@pytest.mark.parametrize("pools", [True, False])
def test_root_mean_square_of_each_layer(tmp_path: Path, *, pools: bool) -> None:
    manifest = write_clips(tmp_path / "two.jsonl", {name: np.tile([3, 5], (6, 1)) for name in "ab"})
    store = FeatureStore(subject(scale=4.0), folder=tmp_path)
    found = (store.pooled if pools else store.frames)(manifest).rms()
    np.testing.assert_allclose(found, [(16 / 8) ** 0.5] * 2, rtol=1e-6)


@pytest.mark.parametrize("gigabytes", [1.0, 0.0])
def test_what_half_precision_cannot_hold_is_refused_by_name(tmp_path: Path, gigabytes: float) -> None:
    store = FeatureStore(subject(scale=1e5), folder=tmp_path, gigabytes=gigabytes)
    with pytest.raises(UserError, match=r"pairs has features that are .* beyond 65,504, .* in first, second: choose other layers"):
        store.frames(write(tmp_path)).batch([0])
    with pytest.raises(UserError, match="in first, second"):
        store.pooled(write(tmp_path))


def test_the_folder_for_features_is_made_unless_it_is_a_file(tmp_path: Path) -> None:
    manifest, (folder, file) = write(tmp_path), (tmp_path / "some" / "where", tmp_path / "file")
    assert FeatureStore(subject(), folder=folder).frames(manifest).places
    assert folder.is_dir()
    file.touch()
    with pytest.raises(UserError, match="file"):
        FeatureStore(subject(), folder=file).frames(manifest)
