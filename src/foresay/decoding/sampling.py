"""Sampling from a language model: temperature, top-k and nucleus sampling (top-p).

Top-k: Fan et al. (arXiv:1805.04833). Nucleus: Holtzman et al., "The Curious Case of Neural Text Degeneration" (arXiv:1904.09751).

    log p of the next symbol, and of the end --> / temperature --> cut off --> drawn by a number of the sequence's own

What is drawn depends on a sequence's key and prompt, and not on the others of its batch. Any language model will do, n-grams too. Where it
reads only so many symbols at once, each is drawn by those of its window (`context_windows.py`).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foresay import draws
from foresay.contracts import LanguageModel, Sampling
from foresay.decoding.context_windows import in_window


@torch.no_grad()
def sample(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    keys: Sequence[int],
    device: torch.device | str = "cpu",
    window: int | None = None,
) -> list[list[int]]:
    """Continue each of B prompts, numbers of symbols, until its end is drawn, or for `sampling.longest` symbols; return what was drawn.

    `keys`: B, each the source of all that is drawn for a prompt; `device`: where the model is; `window`: symbols that the model reads at
    once, the begin counted; None: as many as there are.
    """
    texts = [list(prompt) for prompt in prompts]
    states = after_prompts(model, [in_window(text, window) for text in texts], device)
    numbers = np.array([draws.stream("sampled symbols", key).random(sampling.longest) for key in keys]).reshape(-1, sampling.longest)
    uniform = torch.from_numpy(numbers).to(device)  # (B, longest)
    going = torch.arange(len(prompts), device=device)
    for place in range(sampling.longest):
        if not len(going):
            break
        scores, after = model.advance_all(states)
        chosen = draw(torch.cat([scores, model.end(states)[:, None]], dim=1), sampling, uniform[going, place])
        goes_on = chosen < scores.shape[1]
        going, chosen = going[goes_on], chosen[goes_on]
        states = after[goes_on].gather(1, chosen[:, None])[:, 0]
        read = [(texts[row], len(in_window(texts[row], window))) for row in going.tolist()]
        for (text, _), symbol in zip(read, chosen.tolist(), strict=True):
            text.append(symbol)
        if any(len(in_window(text, window)) <= before for text, before in read):  # a new window begins
            states = after_prompts(model, [in_window(text, window) for text, _ in read], device)
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


def after_prompts(model: LanguageModel, prompts: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Tensor:
    """Return the state after each of B prompts, from the beginning of a sentence on: (B,)."""
    states = torch.full((len(prompts),), model.start, device=device)
    for place in range(max(map(len, prompts), default=0)):
        longer = [row for row, prompt in enumerate(prompts) if len(prompt) > place]
        symbols = torch.tensor([prompts[row][place] for row in longer], device=device)
        rows = torch.tensor(longer, device=device)
        states[rows] = model.advance(states[rows], symbols)[1]
    return states


def draw(scores: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """Draw a symbol from each distribution: log p (N, V) and numbers from 0 to below 1 (N,) -> (N,).

    `top_k` and `top_p` are both of the distribution at the temperature: where both are stated, what both leave is drawn from.
    """
    if sampling.temperature == 0:
        return scores.argmax(dim=-1)
    below = scores.double() - scores.amax(dim=-1, keepdim=True)  # of the likeliest: 0 at any temperature
    p = (below / sampling.temperature).softmax(dim=-1)
    ranked, order = p.sort(dim=-1, descending=True, stable=True)
    kept = torch.ones_like(ranked, dtype=torch.bool)
    if sampling.top_k is not None:
        kept[:, sampling.top_k :] = False
    if sampling.top_p is not None:
        kept &= ranked.cumsum(-1) - ranked < sampling.top_p  # whatever comes before it is not enough
    sums = (p * torch.zeros_like(kept).scatter(1, order, kept)).cumsum(-1)
    chosen: Tensor = torch.searchsorted(sums, uniform.to(sums)[:, None] * sums[:, -1:], right=True)[:, 0]
    return chosen
