"""Pruned transducer: its lattices against explicit ones, its windows against their laws, its memory against what is taken."""

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.layers.joint_network import JointNetwork, StatelessPrediction
from foresay.objectives.pruned_transducer import PrunedLattice, additive_scores, check_windows, windows, within
from foresay.objectives.transducer import Arcs, WholeLattice, arc_posteriors, following, lattice_loss, scored, transducer_loss
from foresay.objectives.transducer_alignment import best_alignment
from reference.live_bytes import LiveBytes
from reference.transducer_loops import double_loop, windowed_score

FRAMES, COUNTS = torch.tensor([6, 4, 3]), torch.tensor([4, 2, 0])
V, J = 5, 6


def drawn(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def labels() -> Tensor:
    """(3, 4)."""
    return torch.randint(1, V, (3, 4), generator=torch.Generator().manual_seed(5))


def networks(positions: int) -> tuple[JointNetwork, PrunedLattice]:
    torch.manual_seed(0)
    joint = JointNetwork(StatelessPrediction(V, J, 2), J, V, J).double()
    return joint, PrunedLattice(J, V, positions=positions, warmup=10).double()


@pytest.mark.parametrize("positions", [5, 9])
def test_windows_of_the_whole_text_are_the_whole_lattice(labels: Tensor, positions: int) -> None:
    joint, pruned = networks(positions)
    frames, predicted = drawn(1, 3, 6, J).requires_grad_(), drawn(2, 3, 5, J).requires_grad_()
    weights = torch.tensor([1.0, -0.3, 2.0], dtype=torch.float64)
    found = []
    for objective in (pruned, WholeLattice(J, V)):
        loss = objective(joint, frames, predicted, labels, FRAMES, COUNTS, 0.2)["transducer"]
        found.append([loss, *torch.autograd.grad((weights * loss).sum(), [frames, predicted, *joint.output.parameters()])])
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_the_simple_lattice_is_that_of_its_explicit_logits(labels: Tensor) -> None:
    frames, prefixes = drawn(3, 3, 6, V).requires_grad_(), drawn(4, 3, 5, V).requires_grad_()
    loss, posteriors = lattice_loss(additive_scores(frames, prefixes, following(labels)), FRAMES, COUNTS)
    logits = frames[:, :, None] + prefixes[:, None]
    scores = logits.log_softmax(-1)
    sizes = zip(FRAMES.tolist(), COUNTS.tolist(), strict=True)
    loops = torch.stack([double_loop(scores[b, :t, : u + 1], labels[b, :u].tolist()) for b, (t, u) in enumerate(sizes)])
    torch.testing.assert_close(loss, loops, rtol=0, atol=1e-12)
    torch.testing.assert_close(posteriors, arc_posteriors(logits, labels, FRAMES, COUNTS), rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(one.sum(), [frames, prefixes], retain_graph=True) for one in (loss, loops)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_fast_emit_is_for_both_networks(labels: Tensor) -> None:
    joint, pruned = networks(3)
    frames, predicted = drawn(10, 3, 6, J).requires_grad_(), drawn(11, 3, 5, J)
    found = pruned(joint, frames, predicted, labels, FRAMES, COUNTS, 0.5)["simple"]
    logits = pruned.frame(frames)[:, :, None] + pruned.prefix(predicted)[:, None]
    whole = transducer_loss(logits, labels, FRAMES, COUNTS, 0.5)
    gradients = [torch.autograd.grad(loss.sum(), frames, retain_graph=True) for loss in (found, whole)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_half_precision_is_that_of_the_numbers_given_alone() -> None:
    frames, prefixes = drawn(12, 2, 6, 50).bfloat16(), drawn(13, 2, 5, 50).bfloat16()
    after = torch.ones(2, 5, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16):
        found = additive_scores(frames, prefixes, after)
    assert found.blank.dtype == torch.float32
    exact = additive_scores(frames.double(), prefixes.double(), after)
    torch.testing.assert_close(found.label, exact.label.float(), rtol=1e-5, atol=1e-5)


def test_no_probability_is_above_one_where_the_product_underflows() -> None:
    frames, prefixes = torch.zeros(1, 1, 3), torch.zeros(1, 2, 3)
    frames[..., 1], prefixes[..., 2] = 300, 300  # sure of different symbols: exp(-300) is 0 in float32
    given = frames.requires_grad_()
    scores = additive_scores(given, prefixes, torch.tensor([[1, 0]]))
    assert max(arcs.max().item() for arcs in scores) <= 0
    (gradient,) = torch.autograd.grad(torch.stack([*scores]).sum(), given)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("positions", [2, 3])
def test_the_loss_within_windows_is_the_sum_over_the_paths_within(labels: Tensor, positions: int) -> None:
    joint, pruned = networks(positions)
    frames, predicted = drawn(6, 3, 6, J), drawn(7, 3, 5, J)
    found = pruned(joint, frames, predicted, labels, FRAMES, COUNTS, 0.0)
    _, posteriors = lattice_loss(additive_scores(pruned.frame(frames), pruned.prefix(predicted), following(labels)), FRAMES, COUNTS)
    window = windows(posteriors, FRAMES, COUNTS, positions)
    scores = joint(frames, predicted).log_softmax(-1)
    for b, (t, u) in enumerate(zip(FRAMES.tolist(), COUNTS.tolist(), strict=True)):
        expected = -windowed_score(scores[b, :t, : u + 1].tolist(), labels[b, :u].tolist(), window[b, :t, 0].tolist(), positions)
        assert found["transducer"][b].item() == pytest.approx(expected, abs=1e-10)
    whole = transducer_loss(joint(frames, predicted), labels, FRAMES, COUNTS)
    assert (found["transducer"] >= whole - 1e-12).all()
    assert ((found["transducer"] > whole + 1e-3) == (positions < COUNTS + 1)).all()  # something was left out


def test_gradcheck(labels: Tensor) -> None:
    joint, pruned = networks(2)

    def both(frames: Tensor, predicted: Tensor) -> Tensor:
        losses = pruned(joint, frames, predicted, labels[:1, :3], torch.tensor([4]), torch.tensor([3]), 0.0)
        return losses["transducer"] + 0.5 * losses["simple"]

    assert torch.autograd.gradcheck(both, (drawn(8, 1, 4, J).requires_grad_(), drawn(9, 1, 4, J).requires_grad_()))


@pytest.mark.parametrize("positions", [2, 3, 5, 20])
def test_windows_begin_and_end_with_the_text_and_rise_without_a_gap(positions: int) -> None:
    frames, counts = torch.tensor([30, 12, 11, 9, 1]), torch.tensor([11, 11, 11, 3, 0])
    for seed in range(20):
        logits, labels = drawn(seed, 5, 30, 12, V, scale=4), torch.full((5, 11), 1)
        window = windows(arc_posteriors(logits, labels, frames, counts), frames, counts, positions)
        size = min(positions, 12)
        assert window.shape == (5, 30, size)
        begins = window[..., 0]
        assert torch.equal(window, begins[..., None] + torch.arange(size))
        assert not begins[:, 0].any()
        steps = begins.diff(dim=1)
        assert ((steps >= 0) & (steps < max(size, 2))).all()
        assert torch.equal(begins[torch.arange(5), frames - 1], (counts + 1 - size).clamp_min(0))
        assert window.max() <= 11


def test_windows_hold_the_best_path_of_a_peaked_lattice() -> None:
    labels, lengths = torch.full((1, 8), 1), (torch.tensor([20]), torch.tensor([8]))
    for seed in range(10):
        random = torch.Generator().manual_seed(seed)
        path = torch.arange(20).repeat(2)[torch.randperm(40, generator=random)[:8]].sort().values  # at most two symbols a frame
        logits = torch.zeros(1, 20, 9, V)
        for t in range(20):
            for u in range(9):
                logits[0, t, u, 1 if u < 8 and path[u] <= t else 0] = 8.0
        assert best_alignment(logits, labels, *lengths).tolist() == [path.tolist()]
        window = windows(arc_posteriors(logits, labels, *lengths), *lengths, 3)
        for t in range(20):
            passed = range(int((path < t).sum()), int((path <= t).sum()) + 1)
            assert window[0, t, 0] <= passed[0]
            assert passed[-1] <= window[0, t, -1]


def test_a_window_is_the_one_that_most_paths_do_not_leave() -> None:
    """Of three frames the middle one has a free choice of two windows: the share of paths within each is that of a lattice without more."""
    labels, frames, counts = torch.full((1, 2), 1), torch.tensor([3]), torch.tensor([2])
    chosen = set()
    for seed in range(20):
        logits = drawn(seed, 1, 3, 3, V)
        scores = scored(logits, labels)
        losses = []
        for begin in (0, 1):
            outside = torch.zeros(1, 3, 3, dtype=torch.bool)
            outside[0, 1, 2 - 2 * begin] = True  # the one node that is not in the window
            losses.append(lattice_loss(Arcs(*(arcs.masked_fill(outside, -1e30) for arcs in scores)), frames, counts)[0].item())
        best = losses.index(min(losses))
        assert windows(arc_posteriors(logits, labels, frames, counts), frames, counts, 2)[0, :, 0].tolist() == [0, best, 1]
        chosen.add(best)
    assert chosen == {0, 1}


def test_nodes_outside_of_windows_are_impossible() -> None:
    window = torch.tensor([[[0, 1], [1, 2]]])
    blank, label = within(Arcs(-torch.ones(1, 2, 2), -2 * torch.ones(1, 2, 2)), window, 4)
    assert blank.tolist() == [[[-1, -1, pytest.approx(-1e30), pytest.approx(-1e30)], [pytest.approx(-1e30), -1, -1, pytest.approx(-1e30)]]]
    assert torch.equal(label, torch.where(blank == -1, -2.0, blank))


def test_the_simple_network_leads_at_first() -> None:
    _, pruned = networks(3)
    for step, expected in ((0, (0.1, 1.0)), (5, (0.55, 0.75)), (10, (1.0, 0.5)), (99, (1.0, 0.5))):
        assert pruned.weights(step) == pytest.approx(dict(zip(("transducer", "simple"), expected, strict=True)))
    assert PrunedLattice(J, V, warmup=0).weights(0) == {"transducer": 1.0, "simple": 0.5}


def test_texts_through_which_no_window_leads_are_refused() -> None:
    _, pruned = networks(3)
    assert [pruned.frames_needed(symbols) for symbols in (0, 1, 2, 3, 4, 5)] == [1, 1, 1, 2, 2, 3]
    check_windows(torch.tensor([2]), torch.tensor([4]), 3)
    with pytest.raises(UserError, match="a text of 5 symbols does not fit into 2 frames with 3 positions"):
        check_windows(torch.tensor([9, 2]), torch.tensor([1, 5]), 3)
    for wrong in ({"positions": 1}, {"simple": -0.1}, {"warmup": -1}):
        with pytest.raises(UserError, match="positions is"):
            PrunedLattice(J, V, **wrong)


@pytest.mark.parametrize("symbols", [40, 1000])
def test_memory_is_what_is_counted(symbols: int) -> None:
    frames, texts, size = 60, 30, 32
    joint = JointNetwork(StatelessPrediction(symbols, size, 2), size, symbols, size)
    labels, lengths = torch.ones(1, texts, dtype=torch.int64), (torch.tensor([frames]), torch.tensor([texts]))
    taken = {}
    for objective in (WholeLattice(size, symbols), PrunedLattice(size, symbols)):
        given = torch.randn(1, frames, size).requires_grad_(), torch.randn(1, texts + 1, size).requires_grad_()
        for parameter in (*joint.parameters(), *objective.parameters()):
            parameter.grad = torch.zeros_like(parameter)
        with LiveBytes() as count:
            torch.stack([*objective(joint, *given, labels, *lengths, 0.0).values()]).sum().backward()
        taken[type(objective)] = count.most
        if symbols == 1000:
            assert 0.8 < count.most / (4 * objective.numbers(frames, texts)) <= 1.01
    assert taken[PrunedLattice] < taken[WholeLattice] / (4 if symbols == 1000 else 1)
