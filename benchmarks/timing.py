"""What the benchmarks of training share: the paper's batch and networks, contenders that take turns, and the machine's own speed."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from foresay.contracts import Batch
from foresay.models.representation.acpc import ACPC, ACPCSettings
from foresay.models.representation.cpc import CPC, CPCSettings

SAMPLE_RATE, WINDOW, FRAMES, MATCHED, NEGATIVES, GROUP = 16_000, 20_480, 128, 12, 128, 8
POSITIONS = FRAMES - MATCHED
WARM_UP = 2  # rounds that are not counted


def paper_batch(size: int, device: str) -> Batch:
    """Windows of noise at the paper's length."""
    waveforms = 0.1 * torch.randn(size, WINDOW, generator=torch.Generator().manual_seed(0))
    return Batch(("noise",) * size, waveforms, torch.full((size,), WINDOW), keys=torch.arange(size)).to(device)


def paper_model(predictions: int, device: str) -> CPC | ACPC:
    """Build the paper's network in training: CPC for as many predictions as frames, else ACPC."""
    torch.manual_seed(0)
    model = CPC(CPCSettings()) if predictions == MATCHED else ACPC(ACPCSettings(predictions=predictions))
    return model.to(device).train()


def take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Run each once a round, so that what slows the machine down slows all of them; return the seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(WARM_UP + rounds):
        for name, run in contenders.items():
            took = timed(run, device)
            if number >= WARM_UP:
                seconds[name].append(took)
    return seconds


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds that a call takes, work on the device included."""
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - start


def wait(device: str) -> None:
    """Wait for what the device has yet to do."""
    if device != "cpu":
        torch.cuda.synchronize()


def times_faster(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Median over the rounds of how many times faster the one was than the other."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def large_product(dtype: torch.dtype, device: str) -> tuple[Callable[[], object], float]:
    """Return a large matrix product and its floating-point operations: what the machine can do, to take turns with what it does."""
    size = 2048 if device == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return lambda: left @ right, 2.0 * size**3


def parameters(module: torch.nn.Module) -> int:
    """Count what is learned."""
    return sum(parameter.numel() for parameter in module.parameters())


def products(model: CPC | ACPC, size: int) -> dict[str, float]:
    """Floating-point operations of a training step's matrix products, by part: three times those of the forward pass.

    A weight meets each frame of its layer once, at two operations; scores are counted as drawn, K x (M + 128) dot products a position.
    """
    s = model.settings
    frames, encoder = WINDOW, 0
    for convolution, stride in zip(model.encoder.convolutions, s.strides, strict=True):
        frames //= stride
        encoder += frames * parameters(convolution)
    positions = FRAMES - MATCHED
    attention = 3 * positions * s.channels  # with keys, relative positions and values
    multiplied = {
        "encoder": encoder,
        "context": FRAMES * parameters(model.context),
        "heads": positions * (parameters(model.predictor) + s.predictions * attention),
        "scores": positions * s.predictions * (MATCHED + NEGATIVES) * s.channels,
    }
    return {name: 3 * 2.0 * size * count for name, count in multiplied.items()}
