"""Prediction heads: against one plain network per prediction, and the law that no prediction depends on a later context."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.predictors import transformer
from foresay.settings import find_class, list_names

SIZE, PREDICTIONS = 64, 3


def _predictor(name: str, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    predictor: nn.Module = find_class("foresay.predictors", name, nn.Module)(SIZE, SIZE, PREDICTIONS, dropout)
    return predictor


def _one_layer(p: transformer.TransformerPredictor, k: int, contexts: Tensor) -> Tensor:
    """Head k for one sequence (W, D), position by position and attention head by attention head."""
    size, head = contexts.shape[1], transformer.HEAD_SIZE
    w_q, w_k, w_v = p.query_key_value[k].split(size)
    queries, keys, values = contexts @ w_q.T, contexts @ w_k.T, contexts @ w_v.T
    mixed = torch.zeros_like(contexts)
    for h in range(size // head):
        part = slice(h * head, (h + 1) * head)
        for i in range(len(contexts)):
            logits = torch.stack(
                [
                    (queries[i, part] @ keys[j, part] + queries[i, part] @ p.relative[k, min(i - j, transformer.MAX_DISTANCE - 1)])
                    / math.sqrt(head)
                    for j in range(i + 1)
                ]
            )
            mixed[i, part] = logits.softmax(0) @ values[: i + 1, part]
    first = F.layer_norm(contexts + mixed @ p.output[k], (size,), p.attention_norm.weight[k, 0], p.attention_norm.bias[k, 0])
    hidden = F.relu(first @ p.inner[k] + p.inner_bias[k])
    return F.layer_norm(first + hidden @ p.outer[k] + p.outer_bias[k], (size,), p.final_norm.weight[k, 0], p.final_norm.bias[k, 0])


@pytest.mark.parametrize("positions", [1, 9, transformer.MAX_DISTANCE + 5])
def test_transformer_equals_a_plain_layer_per_prediction(positions: int) -> None:
    predictor = _predictor("transformer")
    assert isinstance(predictor, transformer.TransformerPredictor)
    with torch.no_grad():
        for norm in (predictor.attention_norm, predictor.final_norm):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-1, 1)
        contexts = torch.randn(2, positions, SIZE)
        found = predictor(contexts)
        for k in range(PREDICTIONS) if positions < 10 else [PREDICTIONS - 1]:
            torch.testing.assert_close(found[1, k], _one_layer(predictor, k, contexts[1]), atol=2e-5, rtol=1e-4)


def test_transformer_has_the_reference_count_of_parameters() -> None:
    predictor = transformer.TransformerPredictor(256, 256, 1, 0.1)
    # The reference's table of relative positions has 116 columns (sequence length 128 - 12); ours has 128.
    assert sum(p.numel() for p in predictor.parameters()) == 1_317_760 + 32 * (transformer.MAX_DISTANCE - 116)


@pytest.mark.parametrize("name", list_names("foresay.predictors"))
def test_no_prediction_depends_on_a_later_context(name: str) -> None:
    predictor = _predictor(name)
    contexts = torch.randn(2, 20, SIZE, requires_grad=True)
    predictor(contexts)[:, :, :12].sum().backward()
    assert contexts.grad is not None
    assert (contexts.grad[:, 12:] == 0).all()
    assert (contexts.grad[:, :12] != 0).any()


@pytest.mark.parametrize("name", list_names("foresay.predictors"))
def test_dropout_is_for_training_only(name: str) -> None:
    predictor, contexts = _predictor(name, dropout=0.5), torch.randn(2, 20, SIZE)
    assert not torch.equal(predictor(contexts), predictor(contexts))
    predictor.eval()
    assert torch.equal(predictor(contexts), predictor(contexts))


def test_linear_heads_are_matrices() -> None:
    predictor, contexts = _predictor("linear"), torch.randn(2, 5, SIZE)
    weight = predictor.heads.weight.view(PREDICTIONS, SIZE, SIZE)
    torch.testing.assert_close(predictor(contexts)[1, 2, 4], weight[2] @ contexts[1, 4], atol=1e-5, rtol=1e-4)


def test_feed_forward_heads_are_two_layers() -> None:
    predictor, contexts = _predictor("feed-forward"), torch.randn(2, 5, SIZE)
    weight, bias = predictor.hidden.weight.view(PREDICTIONS, SIZE, SIZE), predictor.hidden.bias.view(PREDICTIONS, SIZE)
    expected = F.relu(weight[2] @ contexts[1, 4] + bias[2]) @ predictor.weight[2] + predictor.bias[2, 0]
    torch.testing.assert_close(predictor(contexts)[1, 2, 4], expected, atol=1e-5, rtol=1e-4)


def test_transformer_says_what_sizes_it_needs() -> None:
    with pytest.raises(ValueError, match="a multiple of 32"):
        transformer.TransformerPredictor(256, 128, 2, 0.1)
