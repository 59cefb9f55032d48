"""How fast does a language model of units generate, with what it has computed kept, and without? Units a second, by length and batch.

    python benchmarks/generation.py [RUN] [--lengths 50 200 500] [--batches 1 10] [--threads 1]

Without a cache the whole sequence is computed again for every unit. Both draw the same units. Without a run, a model of the size of
`unit-lm-tiny` is built, untrained, of 100 units.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foresay import draws
from foresay.contracts import Sampling
from foresay.decoding.sampling import draw, sample
from foresay.loading import load
from foresay.models.generation.transformer_lm import TransformerLM, TransformerLMSettings
from foresay.training.recipe import read_recipe


def network_of(run: str | None) -> TransformerLM:
    """Load the Transformer of a run, or build one."""
    if run is not None:
        found: TransformerLM = load(run).language_model
        return found
    s = read_recipe("unit-lm-tiny").model_settings
    units = tuple(map(str, range(100)))
    return TransformerLM(TransformerLMSettings(units, size=s.size, layers=s.layers, heads=s.heads, inner=s.inner)).eval()


@torch.no_grad()
def without_cache(network: TransformerLM, sampling: Sampling, keys: Sequence[int]) -> Tensor:
    """Draw from nothing as `sample` does, and compute everything again for each unit: (B, longest), the end being the unit V."""
    uniform = torch.from_numpy(np.array([draws.stream("sampled symbols", key).random(sampling.longest) for key in keys]))
    given = torch.full((len(keys), 1), network.edge)
    drawn = []
    for place in range(sampling.longest):
        scores = network.logits(given)[:, -1].log_softmax(-1)
        chosen = draw(torch.cat([scores[:, : network.unknown], scores[:, network.edge, None]], dim=1), sampling, uniform[:, place])
        drawn.append(chosen)
        given = torch.cat([given, torch.where(chosen < network.unknown, chosen, network.edge)[:, None]], dim=1)
    return torch.stack(drawn, dim=1)


def main() -> None:
    """Print a line a length and batch."""
    parser = argparse.ArgumentParser(description="Generation with and without a cache.")
    parser.add_argument("run", nargs="?")
    parser.add_argument("--lengths", type=int, nargs="*", default=[50, 200, 500])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = network_of(options.run)
    with torch.no_grad():
        network.bias[network.edge] = -1e9  # no end is drawn: all are as long as they may be
    print(f"{'batch':>5}{'units':>7}{'cached, units/s':>17}{'without, units/s':>18}{'times':>7}")
    for batch in options.batches:
        for length in options.lengths:
            sampling, keys = Sampling(1.0, longest=length), range(batch)
            network.train(mode=False)  # forgets what is kept
            begun = time.perf_counter()
            rows = sample(network, [[]] * batch, sampling, keys)
            cached = time.perf_counter() - begun
            begun = time.perf_counter()
            whole = without_cache(network, sampling, keys)
            plain = time.perf_counter() - begun
            for row, other in zip(rows, whole.tolist(), strict=True):
                if row != other:
                    sys.exit("what is drawn depends on the cache")
            count = sum(map(len, rows))
            print(f"{batch:>5}{count:>7}{count / cached:>17.0f}{count / plain:>18.0f}{plain / cached:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
