"""Frames that clusters are found with."""

from pathlib import Path

import torch

from foresay.encoding.fitted_clusters import draw_frames, fit_clusters
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from reference.levels import trained, write_corpus


def test_all_frames_are_kept_where_there_are_few_and_some_of_each_recording_where_there_are_many(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "train.jsonl", 6)
    subject = Subject("levels", trained(), ("nothing", "level"))
    heard = torch.cat([recording.features["level"] for recording in encode_recordings(subject, manifest)])
    assert draw_frames(subject, "level", manifest, len(heard), 0, "cpu").equal(heard)
    some, same, other = (draw_frames(subject, "level", manifest, 400, seed, "cpu") for seed in (0, 0, 1))
    assert 330 < len(some) < 470
    assert some.equal(same)
    assert not some.equal(other[: len(some)])


def test_each_number_of_clusters_is_fitted() -> None:
    frames = torch.eye(4).repeat(25, 1)
    fitted = fit_clusters(frames, (1, 2, 4), restarts=2, seed=0, title="frames")
    assert list(fitted) == [1, 2, 4]
    assert [kmeans.inertia(frames) < 1e-6 for kmeans in fitted.values()] == [False, False, True]
    assert fit_clusters(3.0 * frames, [2], spherical=True, restarts=1, seed=0, title="frames")[2].spherical
