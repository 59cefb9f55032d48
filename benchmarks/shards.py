"""Is a packed corpus read as fast as its files?

    python benchmarks/shards.py [--clips 3000] [--seconds 4] [--rounds 5] [--workers 4]

Writes FLAC clips of noise and packs them; then reads all of them in random order, whole and as windows of 1.28 s, on one thread and on
several, files and shards by turns in the same run: clips a second by the clock, milliseconds of a processor for each, and the ratio of the
latter. The system has all of them in its cache; on a disk or a network, where opening costs more, shards gain.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.corpora.packing import pack

RATE, WINDOW = 16_000, 20_480


def write_corpus(folder: Path, clips: int, seconds: float) -> Manifest:
    """Write clips of noise, 16 bits."""
    random = np.random.default_rng(0)
    items = []
    for number in range(clips):
        path = folder / "audio" / f"{number % 100:02}" / f"{number:06}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.02 * random.standard_normal(round(seconds * RATE)), RATE)
        items.append(Item(path.stem, path, duration=seconds, sample_rate=RATE))
    write_manifest(folder / "manifest.jsonl", items)
    return Manifest.open(folder / "manifest.jsonl")


def spent(read: Callable[[int], object], order: list[int], workers: int) -> tuple[float, float]:
    """Seconds by the clock, and of the processors, for each clip."""
    clock, work = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(read, order):
            pass
    return (time.perf_counter() - clock) / len(order), (time.process_time() - work) / len(order)


def compare(sides: dict[str, Manifest], stop: int | None, workers: int, rounds: int) -> str:
    """Read everything by turns, and say how fast that was."""
    order = np.random.default_rng(1).permutation(len(sides["files"])).tolist()
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, manifest in sides.items():
            found[side].append(spent(partial(_read, manifest, stop), order, workers))
    medians = {side: [statistics.median(column) for column in zip(*rows, strict=True)] for side, rows in found.items()}
    speeds = ", ".join(f"{side} {1 / clock:,.0f}/s, {1000 * work:.2f} ms" for side, (clock, work) in medians.items())
    return f"{speeds}; shards / files = {medians['shards'][1] / medians['files'][1]:.2f}"


def _read(manifest: Manifest, stop: int | None, number: int) -> None:
    manifest.read(number, RATE, 0, stop)


def main() -> None:
    """Read everything in all ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_corpus(Path(folder) / "files", options.clips, options.seconds)
        done = pack([files.path], Path(folder) / "shards", 100_000_000)
        sides = {"files": files, "shards": Manifest.open(done.manifests[0])}
        print(f"{options.clips:,} clips of {options.seconds} s in {len(done.shards)} shards")
        for what, stop in (("whole clips", None), ("windows of 1.28 s", WINDOW)):
            for workers in (1, options.workers):
                print(f"{what}, {workers} threads: {compare(sides, stop, workers, options.rounds)}")


if __name__ == "__main__":
    main()
