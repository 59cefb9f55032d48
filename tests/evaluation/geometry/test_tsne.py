"""Maps of layers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.geometry import tsne
from foresay.evaluation.geometry.tsne import TSNE, MapProtocol, make_map
from foresay.evaluation.measure import Corpora
from reference.levels import trained, write_corpus


def test_what_is_apart_stays_apart_and_the_seed_decides_where() -> None:
    labels = torch.arange(120) % 3
    features = torch.eye(8)[labels] + 0.05 * torch.randn(120, 8)
    found = make_map(features, labels, ("a", "b", "c"), seed=1)
    places = np.array(found.details["points"])
    centers = np.stack([places[labels == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(places[:, None] - centers, axis=-1).argmin(axis=1)
    assert (nearest == labels.numpy()).all()
    assert 0.9 < found.value <= 1.0
    assert found.details["phones"] == ["a", "b", "c"]
    assert found.details["labels"] == labels.tolist()
    assert make_map(features, labels, ("a", "b", "c"), seed=1).details == found.details


def test_what_collapsed_still_has_a_map() -> None:
    found = make_map(torch.ones(50, 4), torch.zeros(50), ("a",))
    assert np.isfinite(found.details["points"]).all()


def test_too_few_points_and_a_missing_extra_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="40 points or more, but there are 39"):
        make_map(torch.randn(39, 4), torch.zeros(39), ())
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(UserError, match="sklearn, which is not installed: pip install"):
        make_map(torch.randn(50, 4), torch.zeros(50), ())


def test_points_are_means_of_spoken_phones(tmp_path: Path) -> None:
    corpora = Corpora(write_corpus(tmp_path / "test.jsonl", 4))
    said = sum(len(item.phones or ()) for item in corpora.test)
    model = Subject("levels", trained(), ("level",), 3)
    (every,) = TSNE(MapProtocol("phones", "phones"))([model], corpora)
    assert len(every.details["points"]) == said  # of 20 ms or more, so that each has a frame
    assert np.bincount(every.details["labels"]).tolist() == [
        sum(phone.label == label for item in corpora.test for phone in item.phones or ()) for label in "abcd"
    ]
    (some,) = TSNE(MapProtocol("phones", "phones", points=50))([model], corpora)
    assert len(some.details["points"]) == 50
    (frames,) = TSNE(MapProtocol("frames", "frames", points=60))([model], corpora)
    assert len(frames.details["points"]) == 60
    assert (frames.metric, frames.low, frames.step) == ("trustworthiness of the map", None, 3)


def test_phones_are_needed_for_phones_only(tmp_path: Path) -> None:
    bare = Corpora(write_corpus(tmp_path / "bare.jsonl", 3, labelled=False))
    with pytest.raises(UserError, match="no phone times.*tsne:frames"):
        TSNE(MapProtocol("phones", "phones"))([Subject("levels", trained(), ("level",))], bare)
    (found,) = TSNE(MapProtocol("frames", "frames", points=50))([Subject("levels", trained(), ("level",))], bare)
    assert set(found.details["labels"]) == {-1}


def test_a_long_map_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    @contextmanager
    def going_on(what: str) -> Iterator[None]:
        said.append(what)
        yield

    monkeypatch.setattr(tsne, "going_on", going_on)
    make_map(torch.randn(48, 3, generator=torch.Generator().manual_seed(0)), np.zeros(48, dtype=int), ["a"])
    assert said == ["t-SNE of 48 points"]
