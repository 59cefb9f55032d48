"""Vector quantization: the nearest, straight through, and codewords that become the means of what they stand for."""

import torch

from foresay.quantizers.moving_codebook import MovingCodebook

PLACES = torch.tensor([[-3.0, 0.0], [0.0, 3.0], [3.0, 0.0]])


def _points(count: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return (PLACES.repeat(count, 1) + 0.1 * torch.randn(3 * count, 2, generator=drawn))[None]


def _learn(codebook: MovingCodebook, steps: int, seed: int = 0) -> None:
    for step in range(steps):
        points = _points(8, step)
        codebook.wait(points, codebook(points).codes, torch.tensor([points.shape[1]]))
        codebook.after_step(seed, step)


def test_the_nearest_codeword_stands_for_a_vector_and_its_gradient_goes_on() -> None:
    codebook = MovingCodebook(3, 2)
    codebook.codewords.copy_(PLACES)
    vectors = _points(2).requires_grad_()
    found = codebook(vectors)
    nearest = torch.cdist(vectors[0], PLACES).argmin(-1)
    assert torch.equal(found.codes[0], nearest)
    torch.testing.assert_close(found.values[0], PLACES[nearest])
    torch.testing.assert_close(found.distances[0], (vectors[0] - PLACES[nearest]).square().sum(-1))
    weights = torch.arange(12.0).view(1, 6, 2)
    (found.values * weights).sum().backward()
    assert torch.equal(vectors.grad, weights)  # type: ignore[arg-type]


def test_vectors_are_drawn_to_their_codewords() -> None:
    codebook = MovingCodebook(3, 2)
    codebook.codewords.copy_(PLACES)
    vectors = torch.tensor([[[1.0, 0.5]]], requires_grad=True)
    codebook(vectors).distances.sum().backward()
    torch.testing.assert_close(vectors.grad, torch.tensor([[[-4.0, 1.0]]]))


def test_codewords_become_the_means_of_clusters() -> None:
    codebook = MovingCodebook(3, 2, decay=0.9).train()
    codebook.codewords.copy_(PLACES / 2)
    codebook.sums.copy_(PLACES / 2)
    codebook.counts.fill_(1.0)
    _learn(codebook, 60)
    torch.testing.assert_close(codebook.codewords, PLACES, atol=0.1, rtol=0)
    torch.testing.assert_close(codebook.counts, torch.full((3,), 8.0), atol=0.1, rtol=0)


def test_a_moving_average_is_one() -> None:
    codebook = MovingCodebook(2, 1, decay=0.75).train()
    codebook.codewords.copy_(torch.tensor([[0.0], [10.0]]))
    codebook.counts.fill_(2.0)
    codebook.sums.copy_(torch.tensor([[0.0], [20.0]]))
    vectors = torch.tensor([[[1.0], [3.0], [9.0], [99.0]]])  # the last is padding
    codebook.wait(vectors, codebook(vectors).codes, torch.tensor([3]))
    codebook.after_step(0, 0)
    torch.testing.assert_close(codebook.counts, torch.tensor([2.0, 1.75]))
    torch.testing.assert_close(codebook.sums[:, 0], torch.tensor([0.25 * 4, 0.75 * 20 + 0.25 * 9]))
    torch.testing.assert_close(codebook.codewords[:, 0], torch.tensor([1 / 2, 17.25 / 1.75]))


def test_a_dead_codeword_starts_again_at_a_real_vector() -> None:
    codebook = MovingCodebook(2, 1, decay=0.5).train()
    codebook.codewords.copy_(torch.tensor([[0.0], [1e6]]))
    codebook.counts.copy_(torch.tensor([40.0, 0.5]))
    codebook.sums.copy_(torch.tensor([[0.0], [0.5e6]]))
    vectors = torch.tensor([[[1.0], [2.0], [77.0]]])
    codebook.wait(vectors, codebook(vectors).codes, torch.tensor([2]))
    codebook.after_step(0, 0)
    assert float(codebook.codewords[1]) in {1.0, 2.0}
    torch.testing.assert_close(codebook.counts, torch.tensor([21.0, 10.625]))


def test_one_that_is_used_a_little_is_not_dead() -> None:
    codebook = MovingCodebook(2, 1, decay=0.5).train()
    codebook.codewords.copy_(torch.tensor([[0.0], [50.0]]))
    codebook.counts.copy_(torch.tensor([40.0, 2.0]))
    codebook.sums.copy_(torch.tensor([[0.0], [100.0]]))
    vectors = torch.tensor([[[1.0], [2.0]]])
    codebook.wait(vectors, codebook(vectors).codes, torch.tensor([2]))
    codebook.after_step(0, 0)
    torch.testing.assert_close(codebook.codewords[1], torch.tensor([50.0]))


def test_codewords_start_at_different_vectors_of_the_first_batch() -> None:
    codebook = MovingCodebook(3, 2).train()
    points = _points(4)
    codebook.wait(points, codebook(points).codes, torch.tensor([12]))
    codebook.after_step(0, 0)
    nearest = torch.cdist(codebook.codewords, points[0]).min(1)
    torch.testing.assert_close(nearest.values, torch.zeros(3), atol=1e-5, rtol=0)
    assert len(nearest.indices.unique()) == 3


def test_the_draw_is_of_the_seed_and_the_update() -> None:
    first, second, third = (MovingCodebook(3, 2).train() for _ in range(3))
    for codebook, seed in ((first, 0), (second, 0), (third, 1)):
        _learn(codebook, 1, seed)
    assert torch.equal(first.codewords, second.codewords)
    assert not torch.equal(first.codewords, third.codewords)


def test_evaluation_and_what_is_not_finite_leave_no_trace() -> None:
    codebook = MovingCodebook(3, 2).train()
    _learn(codebook, 5)
    before = {name: value.clone() for name, value in codebook.state_dict().items()}
    _learn(codebook.eval(), 1)
    broken = torch.full((1, 4, 2), torch.nan)
    codebook.train().wait(broken, codebook(broken).codes, torch.tensor([4]))
    codebook.after_step(0, 9)
    assert all(torch.equal(before[name], value) for name, value in codebook.state_dict().items())
