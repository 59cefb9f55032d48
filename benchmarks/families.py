"""How much audio a second does each family train on, what share of the machine's peak is that, and does the host keep up?

    python benchmarks/families.py                                                   this processor: the tiny recipes, fp32
    python benchmarks/families.py --device cuda --precision bf16 --seconds 90 wav2vec2-base hubert-base wavlm-base best-rq-base

Utterances of equal length, a step being forward, backward, clipping and the optimizer. Arithmetic is what torch counts of products and
convolutions, forward and backward; the peak is that of one large product, timed beside. The host's share is the time until all of a step is
asked for, of the time until it is done: near 1 the device waits for the host. On a CPU, where both are one, it is not printed.
Goals on one card of the class of an H100, in bf16: wav2vec 2.0 and HuBERT BASE 5,500 audio seconds a second, WavLM BASE 4,500.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from timing import large_product
from torch.utils.flop_counter import FlopCounterMode

from foresay.contracts import Batch, SpeechModel
from foresay.training.devices import keep_freed_memory
from foresay.training.optimizers import build_optimizer
from foresay.training.parallel import clip_gradient
from foresay.training.recipe import read_recipe

TINY = (
    "demo-cpc",
    "demo-acpc",
    "wav2vec-tiny",
    "vq-wav2vec-tiny",
    "wav2vec2-tiny",
    "hubert-tiny",
    "wavlm-tiny",
    "best-rq-tiny",
    "w2v-bert-tiny",
)
GOALS = {"wav2vec2-base": 5500, "hubert-base": 5500, "hubert-base-1": 5500, "wavlm-base": 4500, "wavlm-base-plus": 4500}
"""Audio seconds a second."""


def a_batch(model: SpeechModel, seconds: float, clip: float) -> Batch:
    """Make noise: whole groups of clips of `clip` seconds, `seconds` of them in all at most, or one group."""
    samples = round(clip * model.sample_rate)
    size = max(int(seconds / clip) // model.group, 1) * model.group
    lengths = torch.full((size,), samples)
    frames = int(model.frame_count(lengths, model.layer_names[-1])[0])
    labels = torch.arange(size * frames).view(size, frames) % 50
    return Batch(tuple(map(str, range(size))), 0.1 * torch.randn(size, samples), lengths, torch.arange(size), labels=labels)


def step_of(name: str, model: SpeechModel, batch: Batch, options: argparse.Namespace) -> Callable[[], None]:
    """Return a training step on the device."""
    optimizer = build_optimizer(read_recipe(name).optimizer, model.parameters())
    if options.compile:
        model.compile()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bf16"):
            losses = model(batch.to(options.device), 1)
        losses.total().backward()
        clip_gradient(list(model.parameters()), 1.0)
        optimizer.step()
        model.after_step(1)

    return step


def timed(step: Callable[[], None], rounds: int, *, on_gpu: bool) -> tuple[float, float]:
    """Return the medians of the seconds until a step was asked for, and until it was done."""
    asked, done = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        step()
        asked.append(time.perf_counter() - begin)
        if on_gpu:
            torch.cuda.synchronize()
        done.append(time.perf_counter() - begin)
    return statistics.median(asked), statistics.median(done)


def peak_speed(options: argparse.Namespace) -> float:
    """Return the operations a second of one large product."""
    product, operations = large_product(torch.bfloat16 if options.precision == "bf16" else torch.float32, options.device)
    product()
    return operations / timed(product, 5, on_gpu=options.device != "cpu")[1]


def line_of(name: str, options: argparse.Namespace, peak: float) -> str:
    """Measure a recipe."""
    on_gpu = options.device != "cpu"
    recipe = read_recipe(name)
    model = recipe.build_model().to(options.device).train()
    windowed = recipe.data.sampler in {"same-speaker", "same-recording", "uniform", "sequential"}
    batch = a_batch(model, options.seconds, recipe.data.window / recipe.data.sample_rate if windowed else options.clip)
    assert batch.waveforms is not None  # noqa: S101
    audio = batch.waveforms.numel() / model.sample_rate
    step = step_of(name, model, batch, options)
    with FlopCounterMode(display=False) as counted:
        step()
    step()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    asked, done = timed(step, options.rounds, on_gpu=on_gpu)
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if on_gpu else ""
    share = f"{asked / done:.2f}" if on_gpu else ""
    goal = f"{GOALS[name]:,}" if name in GOALS else ""
    reached = counted.get_total_flops() / done / peak
    return f"{name:18}{audio:9.1f}{1000 * done:10.0f}{audio / done:11,.1f}{goal:>8}{reached:8.0%}{memory:>9}{share:>8}"


def main() -> None:
    """Print a line for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=TINY)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seconds", type=float, default=16.0, help="audio an update")
    parser.add_argument("--clip", type=float, default=4.0, help="seconds of an utterance, where a recipe has no windows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(2)
        keep_freed_memory()
    peak = peak_speed(options)
    print(f"{'':18}{'audio s':>9}{'ms a step':>10}{'audio s/s':>11}{'goal':>8}{'of peak':>8}{'peak GB':>9}{'host':>8}")
    for name in options.recipes:
        print(line_of(name, options, peak), flush=True)


if __name__ == "__main__":
    main()
