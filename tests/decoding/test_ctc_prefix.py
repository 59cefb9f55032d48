"""CTC prefix scores are sums over all paths, however long and however padded."""

import itertools

import pytest
import torch

from foresay.contracts import Emissions
from foresay.decoding.alignment import text_scores
from foresay.decoding.ctc_prefix import PrefixScores
from reference.spelling_loops import ctc_prefix, ctc_whole


def test_prefixes_are_summed_over_all_paths() -> None:
    torch.manual_seed(0)
    lengths = (4, 3)
    emissions = Emissions((2 * torch.randn(2, 4, 3)).log_softmax(-1), torch.tensor(lengths))
    scorer = PrefixScores(emissions)
    everything = torch.tensor([1, 2]).expand(2, 1, 2)
    for text in itertools.chain.from_iterable(itertools.product((1, 2), repeat=count) for count in range(3)):
        states, last = scorer.begin(1), 0
        for symbol in text:
            _, states = scorer.grow(states, torch.full((2, 1), last), torch.full((2, 1, 1), symbol))
            states, last = states[:, :, 0], symbol
        longer, _ = scorer.grow(states, torch.full((2, 1), last), everything)
        whole = scorer.whole(states)
        for row, length in enumerate(lengths):
            scores = emissions.log_probabilities[row, :length]
            assert float(whole[row, 0].exp()) == pytest.approx(torch.tensor(ctc_whole(scores, text)).exp().item(), rel=1e-5)
            for place, symbol in enumerate((1, 2)):
                expected = torch.tensor(ctc_prefix(scores, (*text, symbol))).exp().item()
                assert float(longer[row, 0, place].exp()) == pytest.approx(expected, rel=1e-5)


def test_a_long_recording_is_scored_as_its_alignment_is() -> None:
    torch.manual_seed(0)
    text = (torch.arange(150) % 7 + 1).tolist()
    emissions = Emissions((6 * torch.randn(1, 2000, 8)).log_softmax(-1), torch.tensor([2000]))
    scorer, last = PrefixScores(emissions), 0
    states = scorer.begin(1)
    for symbol in text:
        _, states = scorer.grow(states, torch.tensor([[last]]), torch.tensor([[[symbol]]]))
        states, last = states[:, :, 0], symbol
    assert float(scorer.whole(states)) == pytest.approx(float(text_scores(emissions, [text])), rel=1e-5)
