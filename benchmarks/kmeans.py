"""How fast is k-means, and how good? Against scikit-learn's full fit, and the MiniBatchKMeans that made HuBERT's units.

    python benchmarks/kmeans.py [FEATURES.npy] [--clusters 100] [--frames 180000] [--size 39] [--device cpu]

Without a file of features (N, D) it makes some that are as hard: many overlapping clouds of few directions each, walked through slowly.
HuBERT's recipe (examples/hubert/simple_kmeans of fairseq): k-means++, batches of 10,000, at most 100 epochs, 20 starts, no reassignment,
an end after 100 batches without improvement. Processor seconds are printed beside seconds, for machines that are busy with other things.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans as FullKMeans
from sklearn.cluster import MiniBatchKMeans

from foresay.quantizers.kmeans import KMeans

CLOUDS, DIRECTIONS, STAY = 400, 6, 0.85


def main() -> None:
    """Print seconds and inertia of the three, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", nargs="?", type=Path)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--frames", type=int, default=180_000)
    parser.add_argument("--size", type=int, default=39)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    frames = np.load(options.features) if options.features else speech_like(options.frames, options.size)
    clusters = options.clusters
    print(f"{len(frames):,} frames of {frames.shape[1]} dimensions, {clusters} clusters, {torch.get_num_threads()} threads\n")
    ours = KMeans(clusters, frames.shape[1]).to(options.device)
    batches = MiniBatchKMeans(
        clusters,
        batch_size=10_000,
        max_iter=100,
        max_no_improvement=100,
        n_init=20,
        reassignment_ratio=0.0,
        tol=0.0,
        compute_labels=False,
        random_state=0,
    )
    full = FullKMeans(clusters, n_init=1, max_iter=300, random_state=0)
    print(f"{'':32}{'seconds':>10}{'processor':>11}{'passes':>8}{'inertia':>12}")
    fast = timed("Foresay", lambda: len(ours.fit(frames)), lambda: ours.centers, frames)
    slow = timed("HuBERT's MiniBatchKMeans", lambda: batches.fit(frames).n_iter_, lambda: batches.cluster_centers_, frames)
    best = timed("scikit-learn's KMeans, one start", lambda: full.fit(frames).n_iter_, lambda: full.cluster_centers_, frames)
    print(f"\n{slow[0] / fast[0]:.1f} times as fast as HuBERT's ({slow[1] / fast[1]:.1f} in processor time), ", end="")
    print(f"inertia {100 * (fast[2] / slow[2] - 1):+.2f} % of it, {100 * (fast[2] / best[2] - 1):+.2f} % of the full fit's")


def timed(name: str, fit: Callable[[], int], centers: Callable[[], Any], frames: NDArray[np.float32]) -> tuple[float, float, float]:
    """Fit, print a line, and return seconds, processor seconds and inertia."""
    began, worked = perf_counter(), process_time()
    passes = fit()
    seconds, processor = perf_counter() - began, process_time() - worked
    found = torch.as_tensor(centers()).float().cpu()
    judge = KMeans(*found.shape)
    judge.centers.copy_(found)
    inertia = judge.inertia(frames)
    print(f"{name:32}{seconds:10.2f}{processor:11.2f}{passes:8}{inertia:12.5g}", flush=True)
    return seconds, processor, inertia


def speech_like(count: int, size: int) -> NDArray[np.float32]:
    """Frames (N, D) that stay in a cloud for a while and then go on to another."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(CLOUDS, size)) * np.geomspace(3.0, 0.3, size)
    directions = random.normal(size=(CLOUDS, DIRECTIONS, size)) * np.geomspace(1.0, 0.1, size)
    cloud = random.integers(CLOUDS, size=count)
    begins = np.maximum.accumulate(np.where(random.random(count) > STAY, np.arange(count), 0))
    cloud = cloud[begins]
    frames = np.empty((count, size), dtype=np.float32)
    for number in range(CLOUDS):
        inside = np.flatnonzero(cloud == number)
        weights = random.normal(size=(len(inside), DIRECTIONS))
        frames[inside] = centers[number] + weights @ directions[number] + 0.2 * random.normal(size=(len(inside), size))
    return frames


if __name__ == "__main__":
    main()
