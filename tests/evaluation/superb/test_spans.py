"""Frames side by side as one: which, how many, and for models of any rate; and what is counted without a total."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.evaluation.superb.features import FeatureStore, spliced
from foresay.evaluation.superb.scores import Ratios
from reference.paired_levels import subject, write_clips


def test_frames_stand_side_by_side_layer_by_layer() -> None:
    frames = torch.arange(7 * 2 * 3.0).view(7, 2, 3)
    found = spliced(frames, 3)
    assert found.shape == (2, 2, 9)
    for frame in range(2):
        for layer in range(2):
            assert torch.equal(found[frame, layer], torch.cat([frames[3 * frame + n, layer] for n in range(3)]))
    assert torch.equal(spliced(frames, 1), frames)


@pytest.mark.parametrize("layer, seconds, span", [("first", None, 1), ("first", 0.03, 3), ("slow", 0.04, 2), ("slow", 0.005, 1)])
def test_a_span_is_about_as_long_as_asked_for_whatever_the_rate(layer: str, seconds: float | None, span: int) -> None:
    assert FeatureStore(subject(layer)).span(seconds) == span


def test_a_recording_shorter_than_a_span_is_left_out(tmp_path: Path) -> None:
    clips = {f"clip-{length}": np.ones((length, 2), dtype=int) for length in (2, 7, 9)}
    found = FeatureStore(subject(), folder=tmp_path).frames(write_clips(tmp_path / "some.jsonl", clips), 3)
    assert found.places == (1, 2)
    assert found.counts == {1: 2, 2: 3}
    features, lengths = found.batch([1, 2])
    assert features.shape == (2, 3, 2, 24)
    assert lengths.tolist() == [2, 3]
    assert found.rms() == pytest.approx([0.125**0.5] * 2)


def test_counts_without_a_total_move_the_interval() -> None:
    """Slots that are written where there are none: `bootstrap` would leave the utterance out."""
    totals, ids = np.array([[0.0, 10.0, 10.0, 10.0, 10.0, 10.0]]), [f"u{n}" for n in range(6)]
    with_errors, without = (Ratios(np.array([[count, 1.0, 1.0, 1.0, 1.0, 1.0]]), totals, ids) for count in (30.0, 0.0))
    interval = with_errors.interval([0], 0)
    assert with_errors.values.tolist() == [35 / 50]
    assert interval[1] > 1 > interval[0]
    assert len(interval.places) == 6
    assert without.interval([0], 0) == pytest.approx((0.1, 0.1))
