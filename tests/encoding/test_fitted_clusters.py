"""Frames that clusters are found with."""

from pathlib import Path

import torch

from foresay.encoding.fitted_clusters import FRAMES_HELD, draw_frames, fit_clusters, layers_together
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from reference.levels import trained, write_corpus


def test_all_frames_are_kept_where_there_are_few_and_some_of_each_recording_where_there_are_many(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "train.jsonl", 6)
    subject = Subject("levels", trained(), ("level",))
    encoded = torch.cat([recording.features["level"] for recording in encode_recordings(subject, manifest)])
    assert draw_frames(subject, manifest, len(encoded), 0, "cpu")["level"].equal(encoded)
    some, same, other = (draw_frames(subject, manifest, 400, seed, "cpu")["level"] for seed in (0, 0, 1))
    assert 330 < len(some) < 470
    assert some.equal(same)
    assert not some.equal(other[: len(some)])


def test_layers_drawn_in_one_pass_are_those_drawn_each_by_itself(tmp_path: Path) -> None:
    manifest, model = write_corpus(tmp_path / "train.jsonl", 6), trained()
    together = draw_frames(Subject("levels", model, ("nothing", "level")), manifest, 400, 0, "cpu")
    assert list(together) == ["nothing", "level"]
    for layer, frames in together.items():
        assert frames.equal(draw_frames(Subject("levels", model, (layer,)), manifest, 400, 0, "cpu")[layer])


def test_as_many_layers_at_once_as_their_frames_may_be_held_of() -> None:
    subject = Subject("levels", trained(), ("nothing", "level"))
    assert [some.layers for some in layers_together(subject, FRAMES_HELD // 2)] == [("nothing", "level")]
    assert [some.layers for some in layers_together(subject, FRAMES_HELD // 2 + 1)] == [("nothing",), ("level",)]
    assert [some.layers for some in layers_together(subject, FRAMES_HELD + 1)] == [("nothing",), ("level",)]


def test_each_number_of_clusters_is_fitted() -> None:
    frames = torch.eye(4).repeat(25, 1)
    fitted = fit_clusters(frames, (1, 2, 4), restarts=2, seed=0, title="frames")
    assert list(fitted) == [1, 2, 4]
    assert [kmeans.inertia(frames) < 1e-6 for kmeans in fitted.values()] == [False, False, True]
    assert fit_clusters(3.0 * frames, [2], spherical=True, restarts=1, seed=0, title="frames")[2].spherical
