"""The label of a frame is the phone at its center, in whatever window it stands."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.contracts import Frames
from foresay.corpora.batches import load_windows
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.corpora.plans.windows import BatchPlan, DataSettings, Segment, Window, recording_windows
from foresay.encoding.labelled_frames import PhoneLabels, encode_labelled
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from reference.levels import HOP, PHONES, RATE, Levels, trained, write_corpus

CLASSES = {name: index for index, name in enumerate(PHONES)}


@pytest.fixture
def boundaries(tmp_path: Path) -> PhoneLabels:
    """Two utterances of half a second, whose phones meet at 0.1 s and leave gaps."""
    phones = (Interval(0.0, 0.1, "a"), Interval(0.1, 0.2, "b"), Interval(0.3, 0.4, "c"))
    items = [Item(name, audio=tmp_path / name, duration=0.5, sample_rate=RATE, phones=phones) for name in ("x", "y")]
    write_manifest(tmp_path / "m.jsonl", items)
    return PhoneLabels(Manifest.open(tmp_path / "m.jsonl"), CLASSES)


def test_a_phone_holds_its_start_and_not_its_end(boundaries: PhoneLabels) -> None:
    centers = np.array([0, 1599, 1600, 3199, 3200, 4799, 4800, 6399, 6400], dtype=np.float64)
    labels, utterances = boundaries.of_window(Window(0, (Segment(0, 0, 8000),)), centers, RATE)
    assert labels.tolist() == [0, 0, 1, 1, -1, -1, 2, 2, -1]
    assert not utterances.any()


def test_a_center_in_a_joined_window_is_carried_back_to_its_utterance(boundaries: PhoneLabels) -> None:
    window = Window(0, (Segment(1, 6000, 8000), Segment(0, 0, 1700)))
    centers = np.array([0, 399, 400, 1999, 2000, 3599, 3600, 3700], dtype=np.float64)
    labels, utterances = boundaries.of_window(window, centers, RATE)
    assert labels.tolist() == [2, 2, -1, -1, 0, 0, 1, -1]
    assert utterances.tolist()[:7] == [1, 1, 1, 1, 0, 0, 0]


def test_an_utterance_on_its_own_clock(boundaries: PhoneLabels) -> None:
    first, second = boundaries.of_recordings()
    assert first.tolist() == second.tolist() == 10 * [0] + 10 * [1] + 10 * [-1] + 10 * [2] + 10 * [-1]


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_labels_of_any_window_are_the_levels_that_a_model_of_levels_encodes(tmp_path: Path, epoch: int) -> None:
    """Joined or not, offset or not: the class is always the level at the center."""
    manifest = write_corpus(tmp_path / "m.jsonl", 6)
    plan = BatchPlan(manifest, DataSettings(sampler="uniform", batch=4, window=8000), seed=1)
    joined = [window for step in range(plan.steps(epoch)) for window in plan.batch(epoch, step, 0).windows]
    assert any(len(window.segments) > 1 for window in joined)
    phones = PhoneLabels(manifest, CLASSES)
    for windows in (joined, recording_windows(manifest, 8000, RATE, 400)):
        (_, frames), *rest = encode_labelled(
            [Subject("levels", trained(), ("level",))], load_windows(manifest, windows, RATE), windows, phones
        )
        assert not rest
        assert torch.equal(frames.features.argmax(dim=1) - 1, frames.labels)
        assert len(frames.labels) == sum(sum(s.stop - s.start for s in window.segments) // HOP for window in windows)


def test_features_that_are_not_finite_name_the_utterance(tmp_path: Path) -> None:
    class Diverged(Levels):
        def features(self, *arguments: object) -> Frames:
            frames = super().features(*arguments)
            frames.values["level"][1, 2] = torch.nan
            return frames

    manifest = write_corpus(tmp_path / "m.jsonl", 3)
    windows = [Window(0, (Segment(item, 0, 8000),)) for item in range(3)]
    subject = Subject("broken", Diverged(trained().settings), ("level",))
    with pytest.raises(UserError, match="layer level of broken is not finite on m-1: the model has diverged"):
        list(encode_labelled([subject], load_windows(manifest, windows, RATE), windows, PhoneLabels(manifest, CLASSES)))


def test_a_layer_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="levels has no layer 'levle': did you mean \"level\""):
        Subject("levels", trained(), ("levle",))
