"""Clusters of a language whose phones are points."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.clusters.clusters import CURVE, K50, K50_COSINE, ClusterProtocol, Clusters
from foresay.evaluation.measure import Corpora, find_measure
from foresay.results import Result
from reference.levels import PHONES, RATE, Levels, trained, write_corpus

FEW = ClusterProtocol("few", (2, 4, 6))
PHONE_METRICS = ("NMI", "PNMI", "phone purity", "cluster purity")
METRICS = ("inertia", "relative inertia", *PHONE_METRICS, "effective clusters", "share of clusters used")


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    return Corpora(test=write_corpus(tmp_path / "test.jsonl", 6, seed=2), train=write_corpus(tmp_path / "train.jsonl", 12, seed=1))


def levels() -> Subject:
    model = trained()
    copy = Levels(model.settings).eval()
    return Subject("levels", model, ("level", "nothing"), 500, Subject("levels (untrained)", copy, ("level", "nothing")))


def find(results: list[Result], metric: str, model: str = "levels", layer: str = "level") -> Result:
    (found,) = [r for r in results if (r.model, r.layer, r.metric) == (model, layer, metric)]
    return found


def test_phones_that_are_points_are_clusters_and_constant_features_have_none(corpora: Corpora) -> None:
    results = Clusters(replace(FEW, clusters=(4,)))([levels()], corpora)
    assert len(results) == 2 * 2 * len(METRICS)  # (trained and not) x layers x metrics
    found = {metric: find(results, metric) for metric in METRICS}
    for metric in (*PHONE_METRICS, "share of clusters used"):
        assert found[metric].value == pytest.approx(1.0)
    assert found["inertia"].value == pytest.approx(0.0, abs=1e-6)
    assert found["NMI"].low == pytest.approx(1.0)
    assert (found["NMI"].corpus, found["NMI"].step, found["NMI"].split) == (corpora.test.name, 500, "test")
    spoken = np.array([sum(p.end - p.start for item in corpora.test for p in item.phones or () if p.label == name) for name in PHONES])
    shares = spoken / spoken.sum()
    assert found["effective clusters"].value == pytest.approx(np.exp(-np.sum(shares * np.log(shares))), rel=0.01)
    assert corpora.train is not None
    details = found["NMI"].details
    assert details["frames"] == details["labelled_frames"] == sum(int(d * RATE) // 160 for d in corpora.test.durations)
    assert details["train_frames"] == sum(int(d * RATE) // 160 for d in corpora.train.durations)
    assert (details["trained_on"], details["phones"], details["clusters"]) == (corpora.train.name, 4, [4])

    arrays = found["NMI"].arrays
    assert arrays is not None
    assert arrays["phones"].tolist() == list(PHONES)
    assert sorted(arrays["contingency"].sum(axis=0)) == sorted(arrays["contingency"].max(axis=0))  # each phone has one cluster
    assert arrays["contingency"].sum() == details["frames"]
    assert [row.metric for row in results if row.arrays] == ["NMI"] * 4

    deaf = {metric: find(results, metric, "levels (untrained)").value for metric in METRICS}
    assert (deaf["NMI"], deaf["inertia"], deaf["relative inertia"], deaf["effective clusters"]) == (0.0, 0.0, 0.0, 1.0)
    assert find(results, "NMI", layer="nothing").value == 0.0


def test_a_curve_is_reported_as_its_mean_and_its_points(corpora: Corpora) -> None:
    results = Clusters(FEW)([levels()], corpora)
    inertia, nmi = (find(results, metric) for metric in ("relative inertia", "NMI"))
    for result in (inertia, nmi):
        assert result.details["clusters"] == [2, 4, 6]
        assert result.value == pytest.approx(np.mean(result.details["values"]))
        assert len(result.details["intervals"]) == 3
        assert result.low is not None
        assert result.low <= result.value <= result.high
    assert inertia.details["values"] == sorted(inertia.details["values"], reverse=True)
    assert inertia.details["values"][1] == pytest.approx(0.0, abs=1e-6)
    assert nmi.details["values"][0] < nmi.details["values"][1]
    alone = Clusters(replace(FEW, clusters=(2,)))([levels()], corpora)
    assert find(alone, "NMI").value == nmi.details["values"][0]
    assert [find(alone, "NMI").low, find(alone, "NMI").high] == pytest.approx(nmi.details["intervals"][0])
    json.dumps([{**asdict(result), "draws": None, "arrays": None} for result in results])
    arrays = nmi.arrays
    assert arrays is not None
    assert arrays["contingency"].shape == (6, 4)  # of the most clusters


def test_without_a_training_corpus_clusters_are_found_on_the_test(corpora: Corpora) -> None:
    results = Clusters(FEW)([levels()], Corpora(corpora.test))
    assert find(results, "NMI").details["trained_on"] == corpora.test.name


def test_without_phones_inertia_and_use_are_reported_and_what_is_missing(tmp_path: Path, corpora: Corpora) -> None:
    bare = write_corpus(tmp_path / "bare.jsonl", 4, labelled=False)
    results = Clusters(FEW)([levels()], Corpora(bare, corpora.train))
    assert {r.metric for r in results} == set(METRICS) - set(PHONE_METRICS)
    assert "has no phone times" in find(results, "inertia").details["missing"]


def test_directions_alone_can_be_clustered(corpora: Corpora) -> None:
    results = Clusters(replace(FEW, spherical=True))([levels()], corpora)
    assert find(results, "phone purity").details["values"][1] == 1.0


def test_a_seed_decides_everything(corpora: Corpora) -> None:
    measure = Clusters(replace(FEW, clusters=(3,), frames=500))
    first, same, other = (find(measure([levels()], corpora, seed=seed), "inertia") for seed in (0, 0, 1))
    assert (first.value, first.low) == (same.value, same.low)
    assert (first.value, first.low) != (other.value, other.low)


def test_too_few_frames_are_reported(tmp_path: Path) -> None:
    tiny = write_corpus(tmp_path / "tiny.jsonl", 1)
    with pytest.raises(UserError, match="frames cannot have 4096 centers"):
        Clusters(replace(FEW, clusters=(4096,)))([levels()], Corpora(tiny))


def test_protocols_are_found_and_changed_by_name() -> None:
    for protocol in (CURVE, K50, K50_COSINE):
        assert find_measure(f"clusters:{protocol.name}").protocol == protocol
    assert find_measure("clusters:k50", {"clusters": [100]}).protocol.clusters == (100,)
