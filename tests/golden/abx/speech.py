"""Made-up recordings and their item file, the same everywhere: needs NumPy alone, for fastabx lives in an environment of its own."""

import numpy as np
from numpy.typing import NDArray

RATE = 100
PHONES, SPEAKERS, RECORDINGS, FEATURES = 5, 4, 12, 8
Line = tuple[str, float, float, str, str, str, str]


def speak(seed: int = 20) -> tuple[dict[str, NDArray[np.float32]], list[Line]]:
    """Features (T, 8) of each recording, and the lines `file onset offset phone previous next speaker` of phones in their contexts.

    Times are multiples of 2.5 ms, so some lie on a frame's center. Every speaker says every phone.
    """
    random = np.random.default_rng(seed)
    places, voices = random.normal(size=(PHONES, FEATURES)), 0.5 * random.normal(size=(SPEAKERS, FEATURES))
    features, lines = {}, []
    for number in range(RECORDINGS):
        file, speaker = f"recording-{number:02}", number % SPEAKERS
        phones = random.integers(PHONES, size=40)
        edges = np.concatenate([[0], random.integers(10, 36, size=len(phones)).cumsum()])  # in units of 2.5 ms
        times = (np.arange(edges[-1] // 4) + 0.5) * 4
        spoken = phones[np.searchsorted(edges, times, side="right") - 1]
        noise = random.normal(size=(len(times), FEATURES))
        features[file] = (places[spoken] + voices[speaker] + noise).astype(np.float32)
        for i in range(1, len(phones) - 1):
            labels = (f"p{phones[j]}" for j in (i, i - 1, i + 1))
            lines.append((file, edges[i] / 400, edges[i + 1] / 400, *labels, f"s{speaker}"))
    return features, lines


def as_distributions(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of each frame, for the Kullback-Leibler divergence."""
    powers = np.exp(features.astype(np.float64))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
