"""Matching of spoken queries against loops over cells, by hand, and by its laws."""

import pytest
import torch
from torch import Tensor

from foresay.evaluation.superb.matching import CELLS, Distance, FeatureMoments, match
from reference import matching_loops


def draw(*lengths: int, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 6, generator=random) for length in lengths]


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("distance", ["cosine", "cosine_exp"])
def test_equals_a_loop_over_cells(distance: Distance, *, scaled: bool) -> None:
    queries, documents = draw(5, 9, 14, seed=1), draw(1, 2, 3, 30, 7, 1, 18, seed=2)
    found = match(queries, documents, distance=distance, scaled=scaled)
    exponential = distance == "cosine_exp"
    expected = [
        [matching_loops.score(query.tolist(), document.tolist(), exponential=exponential, scaled=scaled) for document in documents]
        for query in queries
    ]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_documents_are_matched_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = draw(5, 8, seed=3), draw(4, 9, 2, 40, 1, 1, 6, seed=4)
    whole = match(queries, documents, distance="cosine_exp", scaled=True)
    for cells in (1, 8 * 15):
        monkeypatch.setitem(CELLS, "cpu", cells)
        torch.testing.assert_close(match(queries, documents, distance="cosine_exp", scaled=True), whole)


def test_a_query_that_a_document_holds_matches_wherever_it_stands_and_however_fast() -> None:
    (query,), noise = draw(12, seed=5), draw(20, 20, 20, 20, seed=6)
    slow, fast = query.repeat_interleave(3, dim=0), query[::2]
    held = [torch.cat([noise[0], query]), torch.cat([query, noise[1]]), torch.cat([noise[2][:4], slow, noise[2]])]
    scores = match([query], [*held, *noise], distance="cosine", scaled=False)[0]
    torch.testing.assert_close(scores[:2], torch.zeros(2), rtol=0.0, atol=1e-6)
    assert scores[2] < -0.1  # three times as slow: a frame of the query stands for one of a document, and skips one at most
    assert scores[3:].max() < scores[2]
    assert match([slow], [query], distance="cosine", scaled=False)[0, 0] == pytest.approx(0.0, abs=1e-6)  # it may stand still
    assert match([fast], [torch.cat([noise[3], query])], distance="cosine", scaled=False)[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_by_hand() -> None:
    """Frames of three kinds, at a distance of 1 from each other."""
    kinds = torch.eye(3)
    query = kinds[[0, 0, 1, 1, 2]]
    documents = [kinds[[2, 0, 1, 2, 0]], kinds[[2, 1, 0]], kinds[[0, 2, 1, 0, 2]], kinds[[1]], kinds[[0]], kinds[[1, 2]]]
    found = match([query], documents, distance="cosine", scaled=False)
    assert (-5 * found[0]).round().tolist() == [0, 3, 0, 3, 3, 2]


def test_documents_do_not_run_into_each_other() -> None:
    kinds = torch.eye(3)
    query = kinds[[0, 0, 0, 1, 2]]
    for cut in ([kinds[[0]], kinds[[1, 2]]], [kinds[[0, 1]], kinds[[2]]]):
        assert match([query], cut, distance="cosine", scaled=False).max() < 0
    assert match([query], [kinds[[0, 1, 2]]], distance="cosine", scaled=False).max() == 0


def test_short_queries_score_0() -> None:
    queries, documents = draw(4, 5, seed=7), draw(9, 3, seed=8)
    found = match(queries, documents, distance="cosine_exp", scaled=True)
    assert found[0].tolist() == [0.0, 0.0]
    assert (found[1] < 0).all()


def test_halves_are_matched_in_single_precision() -> None:
    queries, documents = ([clip.half() for clip in draw(*lengths)] for lengths in ((6, 7), (20, 30)))
    found = match(queries, documents, distance="cosine", scaled=False)
    single = match([q.float() for q in queries], [d.float() for d in documents], distance="cosine", scaled=False)
    torch.testing.assert_close(found, single, rtol=0.0, atol=0.0)


def test_standardized_features_have_mean_0_and_deviation_1_over_all_clips() -> None:
    queries, documents = ([3.0 * clip + 5.0 for clip in draw(*lengths, seed=9)] for lengths in ((6, 7), (20, 30)))
    queries = [torch.cat([clip, torch.ones(len(clip), 1)], dim=1) for clip in queries]
    documents = [torch.cat([clip, torch.ones(len(clip), 1)], dim=1) for clip in documents]
    moments = FeatureMoments.of(queries).plus(FeatureMoments.of(documents))
    frames = torch.cat([moments.standardized(clip) for clip in [*queries, *documents]])
    assert (moments.frames, frames.dtype) == (63, torch.float32)
    torch.testing.assert_close(frames.mean(dim=0), torch.zeros(7), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(frames[:, :6].std(dim=0), torch.ones(6))
    assert frames[:, 6].tolist() == [0.0] * 63  # what never changes says nothing
