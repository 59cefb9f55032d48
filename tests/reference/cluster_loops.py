"""k-means, agreement of clusters with phones, and runs of codes, frame by frame: slow, in float64, straight from the definitions."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nearest(frame: Array, centers: Array) -> tuple[int, float]:
    """The center nearest to a frame (D,), and its squared distance."""
    distances = [sum((x - c) ** 2 for x, c in zip(frame.tolist(), center.tolist(), strict=True)) for center in centers]
    return distances.index(min(distances)), min(distances)


def moved(frames: Array, centers: Array) -> tuple[Array, float]:
    """One iteration of Lloyd's: where the centers go, and the inertia before. A center without frames stays."""
    found = [nearest(frame, centers) for frame in frames]
    means = [
        np.mean([frame for frame, (code, _) in zip(frames, found, strict=True) if code == k], axis=0)
        if k in {code for code, _ in found}
        else center
        for k, center in enumerate(centers)
    ]
    return np.stack(means), sum(distance for _, distance in found) / len(frames)


def agreement(codes: Sequence[int], phones: Sequence[int]) -> dict[str, float]:
    """NMI, PNMI, phone purity and cluster purity of frames that all have a phone."""
    total, pairs = len(codes), list(zip(codes, phones, strict=True))
    of_code, of_phone, of_both = Counter(codes), Counter(phones), Counter(pairs)
    code_entropy, phone_entropy = (-sum(n / total * math.log(n / total) for n in counts.values()) for counts in (of_code, of_phone))
    shared = sum(n / total * math.log(n * total / (of_code[code] * of_phone[phone])) for (code, phone), n in of_both.items())
    return {
        "NMI": shared / ((code_entropy + phone_entropy) / 2),
        "PNMI": shared / phone_entropy,
        "phone purity": sum(max(of_both[code, phone] for phone in of_phone) for code in of_code) / total,
        "cluster purity": sum(max(of_both[code, phone] for code in of_code) for phone in of_phone) / total,
    }


def slowness(recordings: Sequence[tuple[Array, Sequence[int]]], mean: Array, seconds: float) -> dict[str, float]:
    """The measures of slowness of recordings, each frames (T, D) and codes (T,), that last so long together."""
    neighbors = [pair for frames, _ in recordings for pair in pairwise(frames)]
    spread = [float(np.sum((frame - mean) ** 2)) for frames, _ in recordings for frame in frames]
    runs: list[int] = []
    for _, codes in recordings:
        runs += [code for place, code in enumerate(codes) if place == 0 or codes[place - 1] != code]
    shares = [n / len(runs) for n in Counter(runs).values()]
    return {
        "cosine change": float(np.mean([1 - x @ y / math.sqrt((x @ x) * (y @ y)) for x, y in neighbors])),
        "relative change": math.sqrt(np.mean([np.sum((y - x) ** 2) for x, y in neighbors]) / (2 * np.mean(spread))),
        "run length": 1000 * seconds / len(runs),
        "bits per second": -sum(share * math.log2(share) for share in shares) * len(runs) / seconds,
    }
