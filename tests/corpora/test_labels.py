"""Labels of frames: packed, found again at any time, and refused where they do not belong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresay.corpora.batches import BatchLoader, load_windows
from foresay.corpora.labels import Clock, FrameLabels, LabelWriter
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.corpora.plans.windows import BatchPlan, DataSettings, Window
from foresay.errors import UserError
from reference.levels import RATE, write_corpus

HUBERT = Clock(RATE, 200.0, 320.0, lambda samples: (samples - 400) // 320 + 1)


def about(manifest: Manifest, **changes: object) -> dict[str, object]:
    return {"classes": 5000, "frame_rate": 100.0, "first_center": 0.005, "data": manifest.digest, "fingerprint": "ours", **changes}


def write_labels(folder: Path, codes: list[np.ndarray], about: dict[str, object]) -> None:
    with LabelWriter(folder, "ours") as writer:
        for item, part in enumerate(codes):
            writer.add(item, part)
        writer.finish(len(codes), about)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return write_corpus(tmp_path / "m.jsonl", 5)


def labelled(folder: Path, manifest: Manifest) -> FrameLabels:
    """The label of a frame of 10 ms is its number, plus 1000 for each recording."""
    codes = [1000 * place + np.arange(int(item.duration * 100)) for place, item in enumerate(manifest)]
    write_labels(folder, codes, about(manifest))
    return FrameLabels(folder, manifest)


def test_each_time_has_the_label_of_the_nearest_frame(tmp_path: Path, manifest: Manifest) -> None:
    labels = labelled(tmp_path / "labels", manifest)
    random = np.random.default_rng(0)
    for item in range(len(manifest)):
        count = int(manifest[item].duration * 100)
        times = random.uniform(-0.1, manifest[item].duration + 0.1, size=200)
        centers = 0.005 + np.arange(count) / 100
        for time, found in zip(times, labels.at(item, times), strict=True):
            nearest = int(np.abs(centers - time).argmin())
            near = abs(centers[nearest] - time) <= 0.015
            assert found == (1000 * item + nearest if near else -1)


def test_a_window_is_labelled_at_the_models_frames_across_recordings(tmp_path: Path, manifest: Manifest) -> None:
    labels = labelled(tmp_path / "labels", manifest)
    window = Window(0, ((0, 4000, 12_000), (2, 0, 9000)))
    found = labels.of_window(window, HUBERT)
    assert len(found) == HUBERT.frame_count(17_000)
    for frame, label in enumerate(found.tolist()):
        center = 200 + 320 * frame
        item, sample = (0, center + 4000) if center < 8000 else (2, center - 8000)
        assert abs((label - 1000 * item) - (sample / 160 - 0.5)) <= 0.5


def test_the_loader_hands_them_to_the_model(tmp_path: Path, manifest: Manifest) -> None:
    labels = labelled(tmp_path / "labels", manifest)
    plan = BatchPlan(manifest, DataSettings(window=8000, batch=2), seed=0, group=1)
    with BatchLoader(manifest, plan, labels=labels.reader(HUBERT)) as loader:
        (update,) = [one for one, _ in zip(loader.updates(), range(1), strict=False)]
    (batch,) = update.batches
    assert batch.labels is not None
    expected = np.stack([labels.of_window(window, HUBERT) for window in update.planned.windows])
    np.testing.assert_array_equal(batch.labels.numpy(), expected)
    assert load_windows(manifest, update.planned.windows, RATE).labels is None


def test_what_has_no_frames_has_no_labels(tmp_path: Path, manifest: Manifest) -> None:
    codes = [np.zeros(0, np.int64), *[np.zeros(50, np.int64)] * 4]
    write_labels(tmp_path / "labels", codes, about(manifest))
    labels = FrameLabels(tmp_path / "labels", manifest)
    assert labels.at(0, np.array([0.1])).tolist() == [-1]
    assert labels.at(1, np.array([0.1])).tolist() == [0]


def test_labels_of_another_manifest_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    labelled(tmp_path / "labels", manifest)
    write_manifest(tmp_path / "fewer.jsonl", list(manifest)[:3])
    with pytest.raises(UserError, match="made for another manifest"):
        FrameLabels(tmp_path / "labels", Manifest.open(tmp_path / "fewer.jsonl"))
    with pytest.raises(UserError, match="holds no labels"):
        FrameLabels(tmp_path / "nowhere", manifest)


def test_labels_must_be_as_dense_as_the_frames(tmp_path: Path, manifest: Manifest) -> None:
    write_labels(tmp_path / "labels", [np.zeros(10, np.int64)] * 5, about(manifest, frame_rate=25.0))
    with pytest.raises(UserError, match="25 times a second"):
        FrameLabels(tmp_path / "labels", manifest).reader(HUBERT)


def test_labels_of_other_phones_are_of_another_manifest(tmp_path: Path, manifest: Manifest) -> None:
    """As many recordings, as many hours: before, that was enough."""
    labelled(tmp_path / "labels", manifest)
    items = [replace(item, id=f"other {item.id}") for item in manifest]
    write_manifest(tmp_path / "other.jsonl", items)
    with pytest.raises(UserError, match="made for another manifest"):
        FrameLabels(tmp_path / "labels", Manifest.open(tmp_path / "other.jsonl"))


@pytest.mark.parametrize("name", ["codes.npy", "ends.npy"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "lost", "text", "pickle", "another"])
def test_damaged_labels_are_named(tmp_path: Path, manifest: Manifest, name: str, damage: str) -> None:
    labelled(tmp_path / "labels", manifest)
    path = tmp_path / "labels" / name
    content = path.read_bytes()
    if damage == "pickle":
        np.save(path, np.array([{}]), allow_pickle=True)
    elif damage == "another":
        np.save(path, np.load(path)[:-1])
    elif damage == "lost":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-1], "emptied": b"", "text": b"no array"}[damage])
    with pytest.raises(UserError, match=r"labels in .* are damaged.*delete it to make them again"):
        FrameLabels(tmp_path / "labels", manifest)


@pytest.mark.parametrize("line", ["classes = 5000\n", 'fingerprint = "ours"\n', "frame_rate = 100.0\n", "first_center = 0.005\n"])
def test_a_description_that_lacks_something_is_named(tmp_path: Path, manifest: Manifest, line: str) -> None:
    labelled(tmp_path / "labels", manifest)
    about = tmp_path / "labels" / "labels.toml"
    assert line in about.read_text()
    about.write_text(about.read_text().replace(line, ""))
    with pytest.raises(UserError, match="does not say all that it should"):
        FrameLabels(tmp_path / "labels", manifest)


@pytest.mark.parametrize("cut", [(0, 0), (1, 0), (0, 1), (3, 5), (1000, 0), (0, 1000)])
def test_who_was_stopped_goes_on_where_he_was(tmp_path: Path, cut: tuple[int, int]) -> None:
    """At whichever byte of codes and ends a kill or a full disk came, what is written in the end is the same."""
    codes = [np.arange(place, place + count) for place, count in enumerate((3, 0, 70, 1, 5))]
    with LabelWriter(tmp_path / "whole", "made") as whole:
        for item, part in enumerate(codes):
            whole.add(item, part)
        whole.finish(7, {"classes": 80})
    with LabelWriter(tmp_path / "stopped", "made") as stopped:
        for item, part in enumerate(codes[:4]):
            stopped.add(item, part)
    for name, lost in zip(("codes", "ends"), cut, strict=True):
        path = tmp_path / "stopped" / f".unfinished-{name}"
        path.write_bytes(path.read_bytes()[: max(0, path.stat().st_size - lost)])
    with LabelWriter(tmp_path / "elsewhere", "made") as begun:
        begun.add(0, codes[0])
    with LabelWriter(tmp_path / "elsewhere", "of other weights") as anew:
        assert anew.done == 0
    with LabelWriter(tmp_path / "stopped", "made") as again:
        assert again.done == {(0, 0): 4, (1, 0): 3, (0, 1): 3, (3, 5): 2, (1000, 0): 0, (0, 1000): 0}[cut]
        for item in range(again.done, 5):
            again.add(item, codes[item])
        assert [part.tolist() for part in again.read()] == [part.tolist() for part in codes]
        again.finish(7, {"classes": 80})
    both = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "stopped")]
    assert both[0] == both[1]
    assert np.load(tmp_path / "whole" / "ends.npy").tolist() == [3, 3, 73, 74, 79, 79, 79]
    with LabelWriter(tmp_path / "stopped", "of something else") as other:
        assert other.done == 0
    assert not (tmp_path / "stopped" / "labels.toml").exists()
