"""How much audio a second is trained on, for K = 12, 8, 6 and 4? Of what the machine can do, which share is that, and where does it go?

    python benchmarks/throughput.py                                   this processor: batch 8, two threads, fp32
    python benchmarks/throughput.py --precision bf16 --compile
    python benchmarks/throughput.py --device cuda --batch 64 --precision bf16

First the whole step, in audio seconds a second, beside the arithmetic: the matrix products that a step needs (forward and backward), what
they are of K = 12, and what share of the speed of one large product, timed in the same rounds, the step reaches. On a GPU with and without
`torch.compile`. Then the parts of K = 8: forward and backward of each alone. The scores' share counts the scores that are drawn, not
those of frames that nobody drew, which come with them.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping

import torch
from timing import MATCHED, POSITIONS, SAMPLE_RATE, WINDOW, large_product, paper_batch, paper_model, products, take_turns
from torch import Tensor

from foresay.contracts import Batch
from foresay.objectives.aligned_contrastive import Lattice
from foresay.objectives.contrastive import contrastive_scores, log_probabilities
from foresay.training.devices import keep_freed_memory
from foresay.training.optimizers import OptimizerSettings, build_optimizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def step_of(predictions: int, batch: Batch, device: str, precision: str, *, compiled: bool) -> Callable[[], None]:
    """Return a training step of the paper's network."""
    model = paper_model(predictions, device)
    optimizer = build_optimizer(OptimizerSettings(), model.parameters())
    if compiled:
        model.compile()

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = model(batch, 0).total()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def print_steps(options: argparse.Namespace) -> None:
    """Print a line for each K. On a CPU they take turns; on a GPU, where memory is measured, one comes after the other."""
    device, batch = options.device, paper_batch(options.batch, options.device)
    audio, on_gpu = options.batch * WINDOW / SAMPLE_RATE, device != "cpu"
    needed = {k: sum(products(paper_model(k, "cpu"), options.batch).values()) for k in (12, 8, 6, 4)}
    print(f"{'':18}{'ms a step':>10}{'audio s/s':>11}{'x K = 12':>10}{'products, x K = 12':>20}{'share of peak':>15}{'peak GB':>9}")
    for compiled in [False, True] if on_gpu else [options.compile]:
        took, peaks, memory = {}, {}, dict.fromkeys(needed, "")
        for together in [[k] for k in needed] if on_gpu else [list(needed)]:
            steps = {str(k): step_of(k, batch, device, options.precision, compiled=compiled) for k in together}
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            found, peak = medians(steps, options)
            took |= {int(k): seconds for k, seconds in found.items()}
            peaks |= dict.fromkeys(together, peak)
            if on_gpu:
                memory[together[0]] = f"{torch.cuda.max_memory_allocated() / 1e9:.2f}"
        for k, flop in needed.items():
            name = f"K = {k}{', compiled' if compiled else ''}"
            ratios = f"{took[12] / took[k]:10.2f}{needed[12] / flop:20.2f}{flop / took[k] / peaks[k]:15.0%}"
            print(f"{name:18}{took[k] * 1000:10.1f}{audio / took[k]:11.1f}{ratios}{memory[k]:>9}")


def medians(contenders: Mapping[str, Callable[[], object]], options: argparse.Namespace) -> tuple[dict[str, float], float]:
    """Median seconds of each, and the operations a second of a large product that took turns with them."""
    product, flop = large_product(DTYPES[options.precision], options.device)
    seconds = take_turns({**contenders, "product": product}, options.steps, options.device)
    found = {name: statistics.median(times) for name, times in seconds.items()}
    return found, flop / found.pop("product")


def parts(batch: Batch, device: str, precision: str) -> dict[str, Callable[[], None]]:
    """Return forward and backward of each part of ACPC at K = 8, the gradient given."""
    model = paper_model(8, device)
    with torch.no_grad():
        latents = model.encoder(batch.waveforms)
        contexts = model.context(latents)[0]
        heads = model.predictor(contexts[:, :POSITIONS])
        drawn = model.negatives.drawn(latents.shape[1], batch.keys, POSITIONS, MATCHED, device=latents.device)
        negatives = model.negatives(latents, drawn)
        cells = log_probabilities(contrastive_scores(heads, latents, negatives, MATCHED, "mean"))

    def both_ways(forward: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], None]:
        leaves = [value.detach().requires_grad_() for value in inputs]

        def run() -> None:
            model.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                result = forward(*leaves)
            result.backward(torch.ones_like(result))

        return run

    def scored(heads: Tensor, latents: Tensor) -> Tensor:
        drawn = model.negatives.drawn(latents.shape[1], batch.keys, POSITIONS, MATCHED, device=latents.device)
        negatives = model.negatives(latents, drawn)
        return log_probabilities(contrastive_scores(heads, latents, negatives, MATCHED, "mean"))

    def encoded() -> Tensor:
        return model.encoder(batch.waveforms)

    return {
        "encoder": both_ways(encoded),
        "context": both_ways(lambda latents: model.context(latents)[0], latents),
        "heads": both_ways(lambda contexts: model.predictor(contexts[:, :POSITIONS]), contexts),
        "scores": both_ways(scored, heads, latents),
        "alignment": both_ways(lambda cells: Lattice().align_cells(cells).loss, cells),
    }


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description="Audio seconds a second, and the share of the machine's speed.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--compile", action="store_true", help="on a CPU; on a GPU both are measured")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device == "cpu":
        keep_freed_memory()
    machine = torch.cuda.get_device_name() if options.device != "cpu" else f"{options.threads} threads"
    print(f"{machine}, PyTorch {torch.__version__}, {options.precision}, batch {options.batch}")
    print_steps(options)
    found, peak = medians(parts(paper_batch(options.batch, options.device), options.device, options.precision), options)
    needed = products(paper_model(8, "cpu"), options.batch)
    print(f"\na large product: {peak / 1e12:.2f} TFLOP/s\n{'K = 8':18}{'ms':>10}{'of the parts':>14}{'share of peak':>15}")
    for name, took in found.items():
        share = f"{needed[name] / took / peak:15.0%}" if name in needed else f"{'no products':>15}"
        print(f"{name:18}{took * 1000:10.1f}{took / sum(found.values()):14.0%}{share}")


if __name__ == "__main__":
    main()
