"""Every context is causal, and gives chunk by chunk what it gives of the whole; the Transformer against plain loops."""

import math

import pytest
import torch

from foresay.context import Context
from foresay.context.transformer import SEEN, TransformerContext
from foresay.settings import find_class, list_names

SIZE = 64


def _context(name: str, layers: int = 2) -> Context:
    torch.manual_seed(0)
    context: Context = find_class("foresay.context", name, Context)(SIZE, SIZE, layers)
    return context.eval()


@pytest.mark.parametrize("name", list_names("foresay.context"))
def test_a_context_knows_nothing_of_the_future(name: str) -> None:
    latents = torch.randn(2, 200, SIZE, requires_grad=True)
    _context(name)(latents)[0][0, 150].sum().backward()
    assert latents.grad is not None
    reached = latents.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert reached.max() == 150
    assert reached.min() < 50
    assert not latents.grad[1].any()


@pytest.mark.parametrize("name", list_names("foresay.context"))
@torch.no_grad()
def test_chunk_by_chunk_is_the_whole(name: str) -> None:
    context, latents = _context(name), torch.randn(2, 300, SIZE)
    whole, _ = context(latents)
    state, chunks = None, []
    for chunk in latents.split([1, 7, 128, 100, 64], dim=1):
        contexts, state = context(chunk, state)
        chunks.append(contexts)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_transformer_attends_to_128_frames_as_defined() -> None:
    context = _context("transformer", layers=1)
    assert isinstance(context, TransformerContext)
    latents = torch.randn(1, 160, SIZE)
    found = context(latents)[0][0]
    layer = context.stack[0]
    for t in (0, 5, 140, 159):
        first = max(0, t - SEEN + 1)
        past = latents[0, first : t + 1]
        attended = []
        for head in range(SIZE // 32):
            part = slice(32 * head, 32 * head + 32)
            query = layer.query(latents[0, t])[part]
            logits = [
                (float(query @ layer.key(frame)[part]) + float(query @ layer.relative[t - first - i])) / math.sqrt(32)
                for i, frame in enumerate(past)
            ]
            weights = torch.tensor(logits).softmax(0)
            attended.append(sum(w * layer.value(frame)[part] for w, frame in zip(weights, past, strict=True)))
        frame = layer.attention_norm(latents[0, t] + layer.output(torch.cat(attended)))
        expected = layer.final_norm(frame + layer.feed_forward(frame))
        torch.testing.assert_close(found[t], expected, atol=1e-5, rtol=1e-4)


def test_a_transformer_of_two_sizes_is_explained() -> None:
    with pytest.raises(ValueError, match="one size"):
        TransformerContext(64, 32, 1)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", list_names("foresay.context"))
def test_half_precision_works_on_a_cpu(name: str, precision: torch.dtype) -> None:
    context, latents = _context(name), torch.randn(2, 20, SIZE, requires_grad=True)
    exact = context(latents)[0]
    with torch.autocast("cpu", precision):
        found = context(latents)[0]
    found.float().sum().backward()
    torch.testing.assert_close(found.float(), exact, atol=0.02, rtol=0)
