"""SUPERB's tasks at seven learning rates: the engine against each task and rate by itself with the encoder in the loop.

    foresay corpus make superb corpora/superb
    python benchmarks/superb.py runs/hubert corpora/superb [ks,sid,pr]        # or another model; these tasks alone

The engine encodes each recording once, and the heads of all rates learn side by side from what was kept. The plain way learns one head
and encodes every batch of learning, choosing and testing; nothing is kept. Both compute in one process on one machine, from features in
half precision, with the updates, batches, starts and dropout of the protocol `tiny`: the head as published, one seed, one look at valid.

The plain way takes too long to be run whole. Of each task it is run at one rate with few updates: what an update costs (the median),
and what the rest costs, follow; both are scaled to all updates and seven rates, which cost the same. The last table runs some heads
whole, with fewer updates: how far are losses and scores from those of the engine? Encoded in other company, features differ by
rounding, and where a rate is so high that the loss grows, so does that.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.superb._task import Stores, SuperbTask
from foresay.evaluation.superb.features import CorpusFeatures, FeatureBatch, FeatureStore, PooledFeatures
from foresay.evaluation.superb.side_by_side import SideBySide
from foresay.loading import load_extractor
from foresay.workflows.superb import MANIFESTS, TASKS

RATES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
TIMED = 1e-3
FEW = 12
"""Updates of the plain way that are timed."""
WHOLE, SHORT, COMPARED = ("ks", "pr"), 20, (1e-1, 1e-3)
"""What is run whole both ways, with so many updates, at which rates."""


class PlainFeatures(PooledFeatures):
    """Pools what is encoded for each batch, and only what the published head takes: mean and deviation of frames as they are."""

    def __init__(self, frames: CorpusFeatures) -> None:
        self.places, self.counts, self._frames = frames.places, frames.counts, frames

    def batch(self, places: Sequence[int]) -> FeatureBatch:
        """Encode, and take the mean over time."""
        given = self._frames.batch(places)
        rows = [row[:count] for row, count in zip(given.features, given.lengths.tolist(), strict=True)]
        pooled = torch.stack([torch.stack([row.mean(0), row.std(0, correction=0)]) for row in rows])
        return FeatureBatch(torch.stack([pooled, torch.zeros_like(pooled)], 1), given.lengths)

    def rms(self) -> list[float]:
        """Nothing: it takes no part."""
        return []


class PlainStore(FeatureStore):
    """Keeps nothing."""

    def __init__(self, subject: Subject, device: str) -> None:
        super().__init__(subject, gigabytes=0, device=device)

    def pooled(self, manifest: Manifest) -> PooledFeatures:
        """Encode nothing yet."""
        return PlainFeatures(self.frames(manifest))


class PlainStores(Stores):
    """Such of any model."""

    def of(self, subject: Subject, device: str) -> FeatureStore:
        """Make one."""
        return PlainStore(subject, device)


def main() -> None:
    """Print seconds of each task, their ratio, and the largest differences."""
    model, folder = sys.argv[1], Path(sys.argv[2])
    tasks = sys.argv[3].split(",") if sys.argv[3:] else [task for task in TASKS if task not in MANIFESTS]  # the others learn nothing
    device = "cuda" if torch.cuda.is_available() else "cpu"
    extractor = load_extractor(model, device)
    subject, kept = Subject(Path(model).name, extractor, tuple(extractor.layer_names)), Stores()
    learnt = {task: Corpora(*(Manifest.open(folder / task / f"{part}.jsonl") for part in ("test", "train", "valid"))) for task in tasks}
    print(f"{subject.name} on {folder.name}, {device}, {torch.get_num_threads()} threads; seconds")
    print(f"{'task':6}{'updates':>9}{'engine':>9}{'an update':>11}{'the rest':>10}{'plain':>9}{'ratio':>8}")
    totals = [0.0, 0.0]
    for task, corpora in learnt.items():
        updates = measure(task).protocol.updates
        run = partial(timed, task, subject, corpora, device)
        engine, _ = run(kept, rates=RATES)
        few, update = run(PlainStores(), rates=[TIMED], updates=FEW)
        rest = few - FEW * update
        plain = len(RATES) * (updates * update + rest)
        totals = [totals[0] + engine, totals[1] + plain]
        print(f"{task:6}{updates:9}{engine:9.1f}{update:11.3f}{rest:10.2f}{plain:9.0f}{plain / engine:8.1f}", flush=True)
    print(f"{'all':6}{'':9}{totals[0]:9.1f}{'':21}{totals[1]:9.0f}{totals[1] / totals[0]:8.1f}")
    print(f"\nlargest difference in {SHORT} updates\n{'':14}{'one head, features kept':>28}{'encoder in the loop':>28}")
    print(f"{'task':6}{'rate':>8}" + f"{'loss':>14}{'score':>14}" * 2)
    for task in WHOLE:
        if task in learnt:
            differences(task, subject, learnt[task], kept, device)


def differences(task: str, subject: Subject, corpora: Corpora, kept: Stores, device: str) -> None:
    """Print how far heads of the engine are from those that learn alone, from kept features, and with the encoder in the loop."""
    losses, scores = watched(task, subject, corpora, kept, device, RATES)
    for rate in COMPARED:
        found = []
        for stores in (kept, PlainStores()):
            own, alone = watched(task, subject, corpora, stores, device, [rate])
            loss = (losses[:, RATES.index(rate)] - own[:, 0]).abs().max().item()
            found += [loss, abs(scores[f"{rate:g}"] - alone[f"{rate:g}"])]
        print(f"{task:6}{rate:8.0e}" + "".join(f"{one:14.1e}" for one in found), flush=True)


def measure(task: str, **options: object) -> SuperbTask:
    """Make the measure of a task, with the published head alone."""
    given = {"heads": ["published"], "normed": False, "single": False, "seeds": 1, "checks": 1, **options}
    found: SuperbTask = find_measure(f"{TASKS[task]}:tiny", given)
    return found


def timed(task: str, subject: Subject, corpora: Corpora, device: str, stores: Stores, **options: object) -> tuple[float, float]:
    """Seconds that a task takes, and an update of it: of the processor where it computes alone, whatever else runs."""
    one = measure(task, **options)
    one.store = stores
    clock = time.process_time if device == "cpu" else time.perf_counter
    begun = clock()
    with watching(clock) as seen:
        one([subject], corpora, device=device)
    moments = [moment for moment, _ in seen]
    return clock() - begun, statistics.median(after - before for before, after in pairwise(moments))


def watched(
    task: str, subject: Subject, corpora: Corpora, stores: Stores, device: str, rates: Sequence[float]
) -> tuple[Tensor, Mapping[str, Any]]:
    """Run a task whole: the losses of all updates (updates, rates), and the score of each rate on valid."""
    one = measure(task, rates=rates, updates=SHORT)
    one.store = stores
    with watching(time.perf_counter) as seen:
        first = next(row for row in one([subject], corpora, device=device) if row.headline)
    return torch.stack([losses for _, losses in seen]), first.details["grid"]


@contextmanager
def watching(clock: Callable[[], float]) -> Iterator[list[tuple[float, Tensor]]]:
    """Note when each update begins, and its losses."""
    found: list[tuple[float, Tensor]] = []
    plain = SideBySide.update

    def update(self: SideBySide, losses: Tensor) -> None:
        found.append((clock(), losses.detach().cpu()))
        plain(self, losses)

    SideBySide.update = update  # type: ignore[method-assign]
    try:
        yield found
    finally:
        SideBySide.update = plain  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
