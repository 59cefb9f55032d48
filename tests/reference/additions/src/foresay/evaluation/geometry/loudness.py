"""How long are feature vectors, in decibels? Lower is better, for the test of additions: nobody else would say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import ClassVar

from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import Metric, Result


@dataclass(frozen=True)
class LoudnessProtocol:
    """There is nothing to choose."""

    name: str


class Loudness(Measure[LoudnessProtocol]):
    """Mean level of the frames of each layer."""

    name = "loudness"
    protocols: ClassVar[Mapping[str, LoudnessProtocol]] = {"plain": LoudnessProtocol("plain")}
    metrics: ClassVar[Mapping[str, Metric]] = {"level": Metric("lower", "dB", headline=True)}

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Measure `corpora.test`."""
        results = []
        for subject in with_untrained(subjects):
            for layer in subject.layers:
                where = Where("test", corpora.test, seed, perf_counter())
                recordings = encode_recordings(replace(subject, layers=(layer,)), corpora.test, device)
                levels = [10 * recording.features[layer].square().mean().log10().item() for recording in recordings]
                results.append(self.row(subject, layer, "level", sum(levels) / len(levels), None, where))
        return results
