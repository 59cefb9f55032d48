"""What does a queue of 4,096 latents cost a step of multi-modal CPC, and what do all kinds of negatives in products of their own save?

    python benchmarks/hybrid_negatives.py [--device cuda] [--steps 20] [--batch 16] [--threads 2]

First the whole step on pairs (a second of sound, a picture of 128 x 128): forward, backward, Adam, queue; with the queue, full,
beside the same without. Then the loss alone, forward and backward, beside Algorithm 2 as written: all candidates copied into one matrix,
one product, one cross-entropy, the shuffled copies scored again.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timing import take_turns, times_faster
from torch import Tensor

from foresay.contracts import Batch
from foresay.models.representation.multimodal_cpc import MultimodalCPC, MultimodalCPCSettings
from foresay.objectives.hybrid_contrastive import HybridContrast
from foresay.training.devices import keep_freed_memory

SIZE, QUEUE, TEMPERATURE, SIGMA = 64, 4096, 0.1, 0.1
PATCHES = 64
LIMIT = 1.3
"""Times a step without a queue: the goal."""


def pairs(size: int, device: str) -> Batch:
    """Make noise as audio and as images."""
    random = torch.Generator().manual_seed(0)
    waveforms, images = 0.1 * torch.randn(size, 16_000, generator=random), torch.rand(size, 3, 128, 128, generator=random)
    return Batch(("noise",) * size, waveforms, torch.full((size,), 16_000), keys=torch.arange(size), images=images).to(device)


def step(queue: int, size: int, device: str) -> tuple[Callable[[], object], MultimodalCPC]:
    """Return a training step of a model with a queue of so many, which is filled as far as it gets."""
    torch.manual_seed(0)
    options = {"queue": queue}
    settings = MultimodalCPCSettings(negative_group=size, audio_negatives=options, image_negatives=options)
    model, batch = MultimodalCPC(settings).to(device).train(), pairs(size, device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def run() -> None:
        optimizer.zero_grad()
        model(batch, 0).total().backward()
        optimizer.step()
        model.after_step(0)

    return run, model


def losses(size: int, device: str) -> dict[str, Callable[[], object]]:
    """Return the ways from predictions and latents of pictures to their gradients, the queue full."""
    torch.manual_seed(0)
    heads = torch.randn(size, 1, PATCHES - 1, SIZE, device=device, requires_grad=True)
    latents = torch.randn(size, PATCHES, SIZE, device=device, requires_grad=True)
    others, keys = torch.randn(size, 50, SIZE, device=device), torch.arange(size)
    past = F.normalize(torch.randn(QUEUE, SIZE, device=device), dim=-1)
    contrast = HybridContrast(SIZE, size, queue=QUEUE).to(device)
    while contrast.queue is not None and len(contrast.queue.held()) < QUEUE:
        contrast.keep(contrast(heads.detach(), latents.detach(), contrast.draw(PATCHES, keys, device=device), others).candidates)
        contrast.after_step()

    def ours() -> object:
        term = contrast(heads, latents, contrast.draw(PATCHES, keys, device=device), others).term
        return torch.autograd.grad(term.sum / term.count, (heads, latents))

    def as_written() -> object:
        right = F.normalize(latents[:, 1:].flatten(0, 1), dim=-1)
        perturbed = F.normalize(right + SIGMA * torch.randn_like(right), dim=-1)
        shuffled = right[torch.randperm(len(right), device=device)]
        every: Tensor = torch.cat([right, past, perturbed, shuffled, F.normalize(others.flatten(0, 1), dim=-1)])
        logits = F.normalize(heads.flatten(0, 2), dim=-1) @ every.T / TEMPERATURE
        return torch.autograd.grad(F.cross_entropy(logits, torch.arange(len(right), device=device)), (heads, latents))

    return {"as written": as_written, "ours": ours}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="The cost of a queue, and of negatives of all kinds.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()

    (without, _), (with_queue, model) = step(0, options.batch, options.device), step(QUEUE, options.batch, options.device)
    contrasts = list(model.contrasts.values())
    while any(len(contrast.queue.held()) < QUEUE for contrast in contrasts):
        with_queue()
    seconds = take_turns({"no queue": without, f"queue of {QUEUE}": with_queue}, options.steps, options.device)
    ratio = times_faster(seconds[f"queue of {QUEUE}"], seconds["no queue"])
    print(f"\na step, batch {options.batch}, sound and picture")
    for name, times in seconds.items():
        print(f"{name:20}{statistics.median(times) * 1000:8.1f} ms")
    print(f"queue / none: {ratio:.2f} (goal: at most {LIMIT})")
    held = sum(buffer.numel() * buffer.element_size() for contrast in contrasts for buffer in contrast.queue.buffers())
    print(f"memory of both queues: {held / 2**20:.1f} MiB; scores against one: {options.batch * (PATCHES - 1) * QUEUE * 4 / 2**20:.0f} MiB")

    seconds = take_turns(losses(options.batch, options.device), options.steps, options.device)
    print(f"\nthe loss of pictures alone, batch {options.batch}, forward and backward, queue full")
    for name, times in seconds.items():
        print(f"{name:20}{statistics.median(times) * 1000:8.1f} ms{times_faster(seconds['as written'], times):8.2f} x")


if __name__ == "__main__":
    main()
