"""How long do scores and alignment take alone, forward and backward? Ours beside the plain ways.

    python benchmarks/scoring.py [--device cuda] [--steps 20] [--batch 8] [--threads 2]

From given predictions and latents, negatives drawn anew each time, to the gradients of both. Ours scores each prediction against all
frames of its group in one product, and reads the drawn ones from there; the plain ways copy out every negative of every position.
All keep freed memory, and so share one process: the plain ways are slower without.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from timing import FRAMES, GROUP, MATCHED, POSITIONS, paper_batch, paper_model, take_turns, times_faster
from training_step import plain_training

from foresay.objectives.aligned_contrastive import Lattice, aligned_contrastive_loss
from foresay.objectives.contrastive import contrastive_scores
from foresay.training.devices import keep_freed_memory


def contenders(predictions: int, size: int, device: str) -> dict[str, Callable[[], object]]:
    """Return the ways from (B, K, W, D) predictions and (B, T, D) latents to their gradients."""
    model, keys = paper_model(predictions, device), paper_batch(size, device).keys
    heads = torch.randn(size, predictions, POSITIONS, model.settings.channels, device=device, requires_grad=True)
    latents = torch.randn(size, FRAMES, model.settings.channels, device=device).relu().requires_grad_()

    def ours(precision: str) -> Callable[[], object]:
        def run() -> object:
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                drawn = model.negatives.drawn(latents.shape[1], keys, POSITIONS, MATCHED, device=latents.device)
                scores = contrastive_scores(heads, latents, model.negatives(latents, drawn), MATCHED, "mean")
                term = aligned_contrastive_loss(scores, Lattice()).term
            return torch.autograd.grad(term.sum / term.count, (heads, latents))

        return run

    def plain(*, elementwise: bool) -> Callable[[], object]:
        def run() -> object:
            rows = model.negatives.drawn(latents.shape[1], keys, POSITIONS, MATCHED, device=latents.device).rows
            negatives = plain_training.gather_negatives(latents, rows, GROUP)
            if elementwise:
                loss = plain_training.elementwise_cpc_loss(heads.unbind(1), latents, negatives)
            else:
                loss = plain_training.ctc_acpc_loss(heads.unbind(1), latents, negatives, MATCHED)
            return torch.autograd.grad(loss, (heads, latents))

        return run

    ways = {"plain CTC": plain(elementwise=False), "ours, fp32": ours("fp32"), "ours, bf16": ours("bf16")}
    return {"plain elementwise": plain(elementwise=True), **ways} if predictions == MATCHED else ways


def main() -> None:
    """Print a table for K = M (CPC) and one for the paper's ACPC."""
    parser = argparse.ArgumentParser(description="Scores and alignment, ours beside the plain ways.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    for predictions in (MATCHED, 8):
        seconds = take_turns(contenders(predictions, options.batch, options.device), options.steps, options.device)
        references = [name for name in seconds if name.startswith("plain")]
        print(f"\nK = {predictions}, M = {MATCHED}, batch {options.batch}, forward and backward")
        print(f"{'':20}{'ms':>8}" + "".join(f"{'x ' + name:>22}" for name in references))
        for name, times in seconds.items():
            ratios = "".join(f"{times_faster(seconds[reference], times):22.2f}" for reference in references)
            print(f"{name:20}{statistics.median(times) * 1000:8.1f}{ratios}")


if __name__ == "__main__":
    main()
