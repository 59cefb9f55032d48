"""What does `torch.compile` make of each model? Graph breaks, recompilations over lengths, and with --speed a step beside the plain one.

    python benchmarks/compile.py                       the tiny recipes of all families: a few minutes
    python benchmarks/compile.py --speed hubert-tiny   programs are made and timed, too, which takes a C++ compiler (on a GPU Triton)

`breaks`: of the forward pass, its draws included, as `torch._dynamo.explain` counts them; one is the draw itself, before all computation.
`graphs`: how many are made for batches of several lengths, kinds of batches being those of one or several groups of utterances, equally
long or not. `later`: how many more for other lengths, once each kind was met. Recurrent contexts break a graph in two: PyTorch does not
compile them. With --speed, seconds a step take turns: their ratio holds whatever else the machine does.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from families import TINY

from foresay.contracts import Batch, SpeechModel
from foresay.training.compiling import compile_model
from foresay.training.recipe import Recipe, read_recipe

SECONDS = ((2.0, 2.6, 3.1, 4.4), (2.3, 3.7, 5.3, 2.9))
"""Of the longest utterance of a batch: to warm up, and later."""


def a_batch(model: SpeechModel, groups: int, seconds: float, *, unequal: bool, device: str = "cpu") -> Batch:
    """Make noise: so many groups of utterances."""
    size, samples = groups * max(model.group, 2), round(seconds * model.sample_rate)
    lengths = torch.full((size,), samples)
    if unequal:
        lengths = lengths - model.sample_rate // 10 * (torch.arange(size) % 3)
    frames = int(model.frame_count(lengths, model.layer_names[-1]).max())
    waveforms = 0.1 * torch.randn(size, samples) * (torch.arange(samples) < lengths[:, None])
    labels = torch.arange(size * frames).view(size, frames) % 50
    return Batch(tuple(map(str, range(size))), waveforms, lengths, torch.arange(size), labels=labels).to(device)


def batches(model: SpeechModel, recipe: Recipe, seconds: tuple[float, ...], device: str = "cpu") -> Iterator[Batch]:
    """Make batches of all kinds and lengths that a recipe gives: windows are all alike."""
    if recipe.data.sampler != "utterances":
        for _ in seconds:
            yield a_batch(model, 1, recipe.data.window / recipe.data.sample_rate, unequal=False, device=device)
        return
    for length in seconds:
        for groups in (1, 2):
            for unequal in (True, False):
                yield a_batch(model, groups, length, unequal=unequal, device=device)


def breaks(recipe: Recipe) -> int:
    """Count the graph breaks of a forward pass."""
    torch._dynamo.reset()  # noqa: SLF001 - its public name
    model = recipe.build_model().train()
    batch = next(batches(model, recipe, SECONDS[0]))
    return int(torch._dynamo.explain(lambda given: model(given, 1).total())(batch).graph_break_count)  # noqa: SLF001


def graphs(recipe: Recipe) -> tuple[int, int]:
    """Count the graphs that are made for batches of several lengths, and how many more for others."""
    torch._dynamo.reset()  # noqa: SLF001
    made: list[int] = []

    def counting(graph: torch.fx.GraphModule, _given: list[Any]) -> Callable[..., Any]:
        made.append(len(graph.graph.nodes))
        return graph.forward

    model = recipe.build_model().train()
    compile_model(model, any_length=recipe.data.sampler == "utterances", backend=counting)
    counts = []
    for seconds in SECONDS:
        for step, batch in enumerate(batches(model, recipe, seconds), start=1):
            model(batch, step).total().backward()
        counts.append(len(made))
    return counts[0], counts[1] - counts[0]


def speed(recipe: Recipe, device: str, rounds: int) -> tuple[float, float, float]:
    """Return seconds of the first compiled step, of a later one, and of one that is not compiled: medians, taking turns."""
    torch._dynamo.reset()  # noqa: SLF001
    plain, compiled = (recipe.build_model().to(device).train() for _ in range(2))
    compiled.load_state_dict(plain.state_dict())
    compile_model(compiled, any_length=recipe.data.sampler == "utterances")
    batch = replace(next(batches(plain, recipe, (4.0,), device)))

    def took(model: SpeechModel) -> float:
        begin = time.perf_counter()
        model(batch, 1).total().backward()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    first = took(compiled)
    took(plain)
    times = [(took(compiled), took(plain)) for _ in range(rounds)]
    fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
    return first, fast, slow


def main() -> None:
    """Print a line for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=[*TINY, "acpc-bidirectional"])
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"{'':20}" + ("first s  compiled ms  plain ms  times faster" if options.speed else "breaks  graphs  later"))
    for name in options.recipes:
        recipe = read_recipe(name)
        if options.speed:
            first, fast, slow = speed(recipe, options.device, options.rounds)
            print(f"{name:20}{first:7.1f}{1000 * fast:13.0f}{1000 * slow:10.0f}{slow / fast:14.2f}", flush=True)
        else:
            print(f"{name:20}{breaks(recipe):6}{'':2}{'{:6}  {:5}'.format(*graphs(recipe))}", flush=True)


if __name__ == "__main__":
    main()
