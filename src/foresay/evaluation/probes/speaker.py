"""Speaker separability: how often a linear classifier names who speaks from one vector of a window, the model being frozen.

    windows of 1.28 s --> model --> layer (T, D) --> its last frame, or the mean of its frames (D,) --> linear --> speaker

`last` is the reference code's (the last frame of the context knows the whole window); `mean` serves layers without a memory. The
classifier is that of `probe:converged`. The better a layer identifies speakers, the less it is invariant to them; to encode
phones alone one would want this low.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import torch
from torch import Tensor

from foresay.corpora.batches import load_windows
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import recording_windows
from foresay.encoding.labelled_frames import LabelledFrames
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.evaluation.probes.frame_accuracy import FrameAccuracy
from foresay.evaluation.probes.linear_probe import CONVERGED, fit_probe
from foresay.layers.pooling import Pooling, pooled
from foresay.progress import ProgressBar
from foresay.results import Metric, Result
from foresay.settings import require_positive


@dataclass(frozen=True)
class SpeakerProtocol:
    """What of a window is shown to the classifier."""

    name: str
    pooling: Pooling
    window: float = 1.28
    """Seconds."""
    shortest: float = 0.5
    """Seconds: a recording's last window counts if it has as much."""

    def __post_init__(self) -> None:
        require_positive(self, "window", "shortest")


class SpeakerProbe(Measure[SpeakerProtocol]):
    """Speaker accuracy of a linear probe on every layer."""

    name = "speaker"
    protocols: ClassVar[Mapping[str, SpeakerProtocol]] = {
        "last": SpeakerProtocol("last", "last"),
        "mean": SpeakerProtocol("mean", "mean"),
    }
    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": Metric("higher", "%", headline=True)}

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Train on `corpora.train`, test on `corpora.test`, whose speakers must all be in it.

        Raises:
            UserError: a corpus is missing, or has speakers that were not trained on, or only one.
        """
        train, test, speakers = _speakers(corpora)
        results = []
        for subject in with_untrained(subjects):
            started = perf_counter()
            encoded, tested = (self._encode(subject, manifest, speakers, device) for manifest in (train, test))
            for layer, vectors in encoded.items():
                inputs, labels, recordings = vectors
                probe = fit_probe(
                    inputs, labels, classes=len(speakers), utterances=recordings.cpu(), protocol=CONVERGED, seed=seed, device=device
                )
                for split, corpus, part in (("train", train, vectors), ("test", test, tested[layer])):
                    right = FrameAccuracy(len(corpus), device)
                    right.add(part, probe.predict(part.features))
                    about = {"speakers": len(speakers), "windows": right.frames, "trained_on": train.name}
                    where = Where(split, corpus, seed, started)
                    results.append(self.row(subject, layer, "accuracy", right.value, right.interval(seed), where, **about))
        return results

    def _encode(self, subject: Subject, manifest: Manifest, speakers: Mapping[str, int], device: str) -> dict[str, LabelledFrames]:
        """One vector of each window: layer -> features (N, D), speakers (N,), recordings (N,)."""
        rate, batch = subject.extractor.sample_rate, 8
        windows = recording_windows(manifest, round(self.protocol.window * rate), rate, round(self.protocol.shortest * rate))
        if not windows:
            msg = (
                f"no recording of {manifest.name} lasts {self.protocol.shortest} s, of which one vector is made: take shorter windows "
                "(`--option speaker.shortest=…`), or longer recordings"
            )
            raise UserError(msg)
        vectors: dict[str, list[Tensor]] = {layer: [] for layer in subject.layers}
        for first in ProgressBar(range(0, len(windows), batch), f"speakers, {subject.name}", "batch"):
            frames = subject.encode(load_windows(manifest, windows[first : first + batch], rate).to(device))
            for layer in subject.layers:
                vectors[layer].append(pooled(frames.values[layer], frames.lengths[layer], self.protocol.pooling).float())
        items = torch.tensor([window.segments[0].item for window in windows], device=device)
        labels = torch.tensor([speakers[manifest.speakers[window.speaker]] for window in windows], device=device)
        return {layer: LabelledFrames(torch.cat(parts), labels, items) for layer, parts in vectors.items()}


def _speakers(corpora: Corpora) -> tuple[Manifest, Manifest, dict[str, int]]:
    train, test = corpora.both("the speaker probe")
    unseen = sorted(set(test.speakers) - set(train.speakers))
    if unseen:
        msg = (
            f"{len(unseen)} of the {len(test.speakers)} speakers of {test.name} are not in {train.name} ({', '.join(unseen[:4])}, …): no "
            "classifier could name them. Test on other recordings of the training speakers (such as a held-out part of train.jsonl)"
        )
        raise UserError(msg)
    if len(train.speakers) < 2:  # noqa: PLR2004 - one cannot be mistaken for another
        msg = f"{train.name} has one speaker only ({train.speakers[0]}): there is nothing to classify. Are speakers given in the manifest?"
        raise UserError(msg)
    return train, test, {name: number for number, name in enumerate(train.speakers)}
