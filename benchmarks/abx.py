"""How long does ABX take? A corpus of the size of LibriSpeech dev-clean, and the plain loop beside it on a few cells.

    python benchmarks/abx.py --scale 1.0                  5.4 hours of 40 speakers at 100 Hz, 256 features; or a part of its recordings
    python benchmarks/abx.py --scale 0.1 --device cuda

The words of a made-up language, which has as many as a novel and Zipf's law, are spoken by 40 speakers; each phone has its own place among
the features, each speaker moves it, each frame is noisy. Triphones are compared in their context, within and across speakers, with the
sub-sampling of ZeroSpeech 2021: at most 10 tokens of a group, at most 5 other speakers.
The plain loop is that of the tests' oracle: elementwise products, loops over frames, and nothing kept from one cell to the next.
"""

import argparse
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from numpy.typing import NDArray

from foresay.evaluation.abx.dataset import Dataset, make_dataset
from foresay.evaluation.abx.items import Items, Token
from foresay.evaluation.abx.score import Score
from foresay.evaluation.abx.task import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference import abx_loops

RATE, FEATURES, SPEAKERS, PHONES, WORDS = 100, 256, 40, 39, 8000
RECORDINGS, SECONDS = 2703, 19_400.0  # of dev-clean
FRAMES_A_PHONE = 8.4  # of which whole ones are kept, and three at least


class Speech(Mapping[str, NDArray[np.float32]]):
    """Recordings that are made when they are asked for, so that only what ABX keeps of them is in memory."""

    def __init__(self, scale: float, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.places = random.normal(size=(PHONES, FEATURES)).astype(np.float32)
        self.voices = random.normal(size=(SPEAKERS, FEATURES)).astype(np.float32)
        frequent = 1.0 / np.arange(1, WORDS + 1)
        phones = random.dirichlet(np.full(PHONES, 2.0))
        words = [random.choice(PHONES, size=random.integers(2, 8), p=phones) for _ in range(WORDS)]
        each = SECONDS / RECORDINGS * RATE / (FRAMES_A_PHONE - 0.4)
        self.phones: list[NDArray[np.int64]] = []
        self.lengths: list[NDArray[np.int64]] = []
        for _ in range(round(RECORDINGS * scale)):
            chosen = random.choice(WORDS, size=round(each / 3.5), p=frequent / frequent.sum())
            spoken = np.concatenate([words[word] for word in chosen])[: round(each)]
            self.phones.append(spoken)
            self.lengths.append(np.maximum(3, random.gamma(4.0, FRAMES_A_PHONE / 4.0, size=len(spoken))).astype(np.int64))

    def __len__(self) -> int:
        return len(self.phones)

    def __iter__(self) -> Iterator[str]:
        return (f"recording-{number}" for number in range(len(self)))

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        number = int(name.rpartition("-")[2])
        phones = np.repeat(self.phones[number], self.lengths[number])
        noise = np.random.default_rng(number).standard_normal((len(phones), FEATURES), dtype=np.float32)
        return self.places[phones] + self.voices[number % SPEAKERS] + 2.0 * noise

    def triphones(self) -> Items:
        """Every phone with those around it."""
        tokens = []
        for number, name in enumerate(self):
            phones, times = self.phones[number], np.concatenate([[0], self.lengths[number].cumsum()]) / RATE
            tokens += [
                Token(name, times[i - 1], times[i + 2], *(f"p{phones[i + j]:02}" for j in (0, -1, 1)), f"s{number % SPEAKERS:02}")
                for i in range(1, len(phones) - 1)
            ]
        return Items.of(tokens)


def main() -> None:
    """Print what each step took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plain-seconds", type=float, default=20.0, help="how long the plain loop may run")
    options = parser.parse_args()
    speech = Speech(options.scale)
    items = speech.triphones()
    hours = sum(int(lengths.sum()) for lengths in speech.lengths) / RATE / 3600
    print(f"{hours:.2f} h, {len(speech)} recordings, {len(items):,} triphones, {torch.get_num_threads()} threads on {options.device}")
    started = perf_counter()
    dataset = make_dataset(speech, items, RATE, slicing="centers", normalization="none", distance="angular", device=options.device)
    total = perf_counter() - started
    print(f"features made and cut: {total:.1f} s")
    for speaker in ("within", "across"):
        started, busy = perf_counter(), process_time()
        task = Task.of(dataset.items, speaker=speaker, context="within", max_size_group=10, max_x_across=5)
        score = Score.of(dataset, task)
        seconds, busy = perf_counter() - started, process_time() - busy
        total += seconds
        took = f"{seconds:.1f} s, {busy:.1f} s of them on a processor"  # of two threads; less than the time where others compute too
        print(f"{speaker}: {len(task.cells.a):,} cells, {task.triplets:,} triplets, error {score.value:.2%}: {took}")
        if options.plain_seconds:
            cells, plain, plain_busy = plain_seconds_a_cell(dataset, task, options.plain_seconds)
            ratios = f"{plain * len(task.cells.a) / seconds:.0f} x as long, {plain_busy * len(task.cells.a) / busy:.0f} x on a processor"
            print(f"    the plain loop, on {cells} of its cells: {plain * 1000:.1f} ms each, so {ratios}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"in all {total / 60:.1f} min, {memory:.2f} GiB at most")


def plain_seconds_a_cell(dataset: Dataset, task: Task, patience: float) -> tuple[int, float, float]:
    """Time the loops on cells drawn at random: how many, seconds each, and those on a processor."""
    groups, random = task.groups, np.random.default_rng(0)

    def tokens(group: int) -> list[abx_loops.Token]:
        indices = groups.tokens[groups.starts[group] :][: groups.sizes[group]]
        spans = zip(dataset.starts[indices], dataset.lengths[indices], strict=True)
        return [abx_loops.Identified(((), dataset.frames[start : start + length].cpu().numpy())) for start, length in spans]

    started, busy, done = perf_counter(), process_time(), 0
    while perf_counter() - started < patience:
        cell = random.integers(len(task.cells.a))
        a, b, x = (tokens(group[cell]) for group in task.cells)
        abx_loops.cell_error(a, b, a if task.speaker == "within" else x, abx_loops.angular)
        done += 1
    return done, (perf_counter() - started) / done, (process_time() - busy) / done


if __name__ == "__main__":
    main()
