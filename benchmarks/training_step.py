"""How fast is a training step, and how much memory does it want? Ours beside the plain one, which follows the reference code.

    python benchmarks/training_step.py                      batch 8, two threads, median of 20 steps: about four minutes
    python benchmarks/training_step.py --objective acpc     without CPC, whose plain step is slow: under two
    python benchmarks/training_step.py --loss 100           bf16 against the plain path: the loss over 100 steps
    python benchmarks/training_step.py --device cuda --batch 64

The plain step (tests/reference/plain_training.py) copies out every negative as a vector. CPC then multiplies them elementwise with each
prediction; ACPC scores them by products and is aligned by CTC. Its network is ours, its weights may be ours, its loss is ours.

Every contender is a process of its own; they take turns, so that what slows the machine down slows all of them, and each reports the most
memory that it ever held, Python and PyTorch included. "memory kept": with `keep_freed_memory`, as `foresay pretrain` trains on a CPU.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from timing import FRAMES, GROUP, MATCHED, NEGATIVES, POSITIONS, WARM_UP, paper_batch, paper_model, timed, times_faster
from torch import Tensor

from foresay.contracts import Batch
from foresay.training.devices import keep_freed_memory
from foresay.training.optimizers import OptimizerSettings, build_optimizer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference import plain_training


@dataclass(frozen=True)
class Contender:
    """A way to do a step."""

    path: str
    """ours, plain elementwise or plain CTC."""
    predictions: int
    precision: str = "fp32"
    keeps: bool = False
    """Whether the C library keeps freed memory."""

    def __str__(self) -> str:
        return f"{self.path}, {self.precision}{', memory kept' if self.keeps else ''}"


OBJECTIVES = {
    "cpc": [
        Contender("plain elementwise", 12),
        Contender("plain elementwise", 12, keeps=True),
        Contender("ours", 12),
        Contender("ours", 12, keeps=True),
    ],
    "acpc": [
        Contender("plain CTC", 8),
        Contender("plain CTC", 8, keeps=True),
        Contender("ours", 8),
        Contender("ours", 8, keeps=True),
        Contender("ours", 8, "bf16", keeps=True),
    ],
}
"""The first of each is what the others are compared with."""


def our_step(contender: Contender, device: str) -> Callable[[Batch], Tensor]:
    """Build the paper's network and return its step, which returns the loss."""
    model = paper_model(contender.predictions, device)
    optimizer = build_optimizer(OptimizerSettings(), model.parameters())

    def step(batch: Batch) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=contender.precision == "bf16"):
            loss = model(batch, 0).total()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def plain_step(contender: Contender, device: str) -> Callable[[Batch], Tensor]:
    """Build the plain network with the same weights and return its step."""
    ours = paper_model(contender.predictions, device)
    network = plain_training.plain_copy(ours, POSITIONS).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=OptimizerSettings().lr)

    def step(batch: Batch) -> Tensor:
        latents, predictions = network(batch.waveforms)
        rows = ours.negatives.drawn(latents.shape[1], batch.keys, POSITIONS, MATCHED, device=latents.device).rows
        negatives = plain_training.gather_negatives(latents, rows, GROUP)
        if contender.path == "plain CTC":
            loss = plain_training.ctc_acpc_loss(predictions, latents, negatives, MATCHED)
        else:
            loss = plain_training.elementwise_cpc_loss(predictions, latents, negatives)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def make_step(contender: Contender, device: str) -> Callable[[Batch], Tensor]:
    """Return a contender's step."""
    if contender.keeps and device == "cpu":
        keep_freed_memory()
    return (our_step if contender.path == "ours" else plain_step)(contender, device)


def compete(contender: Contender, size: int, device: str, threads: int, line: Connection) -> None:
    """In a process of its own: do a step whenever asked to, report its seconds; at the end, the bytes held."""
    torch.set_num_threads(threads)
    step, batch = make_step(contender, device), paper_batch(size, device)
    while line.recv():
        line.send(timed(lambda: step(batch), device))
    on_device = torch.cuda.max_memory_allocated() if device != "cpu" else 0
    line.send(on_device or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def race(contenders: list[Contender], rounds: int, size: int, device: str, threads: int) -> Mapping[Contender, tuple[list[float], float]]:
    """Let all take turns; return the seconds of their steps and their peak memory in bytes."""
    processes = multiprocessing.get_context("spawn")
    lines, seconds, memory = [], [], []
    for contender in contenders:
        here, there = processes.Pipe()
        processes.Process(target=compete, args=(contender, size, device, threads, there), daemon=True).start()
        lines.append(here)
    for _ in range(WARM_UP + rounds):
        took = []
        for line in lines:
            line.send(True)  # noqa: FBT003 - "one more"
            took.append(line.recv())
        seconds.append(took)
    for line in lines:
        line.send(False)  # noqa: FBT003
        memory.append(line.recv())
    return dict(zip(contenders, zip(map(list, zip(*seconds[WARM_UP:], strict=True)), memory, strict=True), strict=True))


def noise_and_tones(size: int, number: int, device: str) -> Batch:
    """Windows that can be learned from: chords of a tenth of a second or so, in noise; new ones every step."""
    generator = torch.Generator().manual_seed(number)
    chords = torch.rand(12, 3, generator=torch.Generator().manual_seed(0)) * 3000 + 100  # Hz
    chosen = torch.randint(12, (size, 13), generator=generator).repeat_interleave(1600, dim=1)[:, :20_480]
    phases = 2 * torch.pi * torch.arange(20_480)[:, None] * chords[chosen] / 16_000
    waveforms = 0.05 * phases.sin().sum(-1) + 0.02 * torch.randn(size, 20_480, generator=generator)
    keys = torch.randint(2**62, (size,), generator=generator)
    return Batch(("tones",) * size, waveforms, torch.full((size,), 20_480), keys=keys).to(device)


def compare_losses(steps: int, size: int, device: str) -> None:
    """Train the plain path and ours from the same weights on the same windows and negatives; ours in both precisions, dropout alike."""
    names = [Contender("plain CTC", 8, keeps=True), Contender("ours", 8, keeps=True), Contender("ours", 8, "bf16", keeps=True)]
    contenders = [make_step(name, device) for name in names]
    losses = torch.zeros(steps, len(names))
    for number in range(steps):
        batch = noise_and_tones(size, number, device)
        for place, step in enumerate(contenders):
            torch.manual_seed(number)
            losses[number, place] = step(batch)
    print(f"{'loss':24}{'first':>9}{'last':>9}{'apart from plain: most':>25}{'mean':>9}{'from ours, fp32: most':>25}{'mean':>9}")
    for place, name in enumerate(names):
        apart = [(losses[:, place] / losses[:, other] - 1).abs() for other in (0, 1)]
        columns = "".join(f"{one.max():25.2%}{one.mean():9.2%}" for one in apart)
        print(f"{name!s:24.24}{losses[0, place]:9.3f}{losses[-1, place]:9.3f}{columns}")


def main() -> None:
    """Print a table for each objective, or compare losses."""
    parser = argparse.ArgumentParser(description="A training step, ours beside the plain one.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--objective", choices=OBJECTIVES, help="only this one")
    parser.add_argument("--loss", type=int, metavar="STEPS", help="compare losses over so many steps instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.loss:
        compare_losses(options.loss, options.batch, options.device)
        return
    for objective in [options.objective] if options.objective else OBJECTIVES:
        contenders = OBJECTIVES[objective]
        found = race(contenders, options.steps, options.batch, options.device, options.threads)
        plain, kept = (found[contender][0] for contender in contenders[:2])
        print(f"\n{objective}, K = {contenders[0].predictions}, batch {options.batch} x 1.28 s, {FRAMES} frames, {NEGATIVES} negatives")
        print(f"{'':34}{'s a step':>10}{'x plain':>10}{'x plain, memory kept':>22}{'peak GB':>9}")
        for contender, (seconds, memory) in found.items():
            ratios = f"{times_faster(plain, seconds):10.2f}{times_faster(kept, seconds):22.2f}"
            print(f"{contender!s:34}{statistics.median(seconds):10.3f}{ratios}{memory / 1e9:9.2f}")


if __name__ == "__main__":
    main()
