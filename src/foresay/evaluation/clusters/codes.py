"""Are a model's own codes phones? The quantizer of wav2vec 2.0, vq-wav2vec, BEST-RQ or w2v-BERT beside aligned phones.

    test corpus -> codes (T, G) of its own quantizer -> n(code, phone) -> NMI, purities, codes in use; P(phone | code)

Appendix D of wav2vec 2.0 (arXiv:2006.11477): the co-occurrence of discrete latents and human annotated phones of TIMIT; its Figure 3 is
what a report draws of it. A latent there is a choice from both codebooks, here the row `codes`; each codebook has a row of its own too. The
phone of a frame is that at its center. What clusters of any layer say of phones measures `clusters`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Extractor, FeatureExtractor, Frames, SpeechModel
from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import NO_RANK, NO_RANK_SHARE, Metric, Result
from foresay.statistics.cluster_scores import contingency, rate_agreement, rate_use

CODES = "codes"
"""The row of all codebooks together."""
EFFECTIVE = "effective clusters"


@dataclass(frozen=True)
class CodesProtocol:
    """What codes are compared with."""

    name: str


class Codes(Measure[CodesProtocol]):
    """Agreement of a quantizer's codes with phones, and how many of them are in use."""

    name = "codes"
    by_layer: ClassVar[bool] = False
    protocols: ClassVar[Mapping[str, CodesProtocol]] = {"phones": CodesProtocol("phones")}
    metrics: ClassVar[Mapping[str, Metric]] = {
        "NMI": Metric("higher", headline=True),
        "PNMI": Metric("higher"),
        "phone purity": Metric("higher", "%"),
        "cluster purity": NO_RANK_SHARE,
        EFFECTIVE: NO_RANK,
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it has a quantizer of its own."""
        return isinstance(model, SpeechModel) and model.codebooks > 0

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Quantize `corpora.test`, and compare with its phones.

        Raises:
            UserError: a model has no quantizer of its own, or the corpus no phone times.
        """
        phones = checked_phones(corpora.test)
        if not phones:
            msg = f"{corpora.test.name} has no phone times to compare codes with: import the corpus with its phones or alignments"
            raise UserError(msg)
        return [row for subject in with_untrained(subjects) for row in self._rows(subject, corpora.test, phones, seed, device)]

    def _rows(self, subject: Subject, manifest: Manifest, phones: Sequence[str], seed: int, device: str) -> list[Result]:
        where = Where("test", manifest, seed, perf_counter())
        codes, labels, utterances = _quantize(subject, manifest, phones, device)
        books = {f"codebook {book}": codes[:, book - 1] for book in range(1, codes.shape[1] + 1)} if codes.shape[1] > 1 else {}
        _, together = np.unique(codes, axis=0, return_inverse=True)
        rows = []
        for layer, chosen in {CODES: together.reshape(-1), **books}.items():
            used, place = np.unique(chosen, return_inverse=True)
            counts = contingency(place, labels, len(used), len(phones))
            use = rate_use(place, utterances, len(used), seed)
            rated = {**rate_agreement(place, labels, utterances, len(used), seed), EFFECTIVE: use[EFFECTIVE]}
            about = {"frames": len(chosen), "labelled_frames": int(counts.sum()), "phones": len(phones), "codes_used": len(used)}
            for metric, number in rated.items():
                row = self.row(subject, layer, metric, number.value, number.interval, where, **about)
                rows.append(replace(row, arrays={"contingency": counts, "phones": np.array(phones)}) if metric == "NMI" else row)
        return rows


class OwnCodes(FeatureExtractor):
    """A model's codes as frames: one layer, `codes` (B, T, G)."""

    layer_names = (CODES,)

    def __init__(self, model: SpeechModel) -> None:
        """`model`: one that has a quantizer."""
        self.model = model
        self.sample_rate, self.receptive_field, self.first_center = model.sample_rate, model.receptive_field, model.first_center

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - it has one layer
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.model.frame_count(lengths, self.model.layer_names[0])

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Quantize waveforms (B, S), of which `lengths` (B,) samples are real: (B, T, G), whole numbers."""
        self.chosen(layers)
        counts = self.frame_count(lengths, CODES)
        if int(counts.max()):
            codes = self.model.codes(waveforms, lengths)
        else:
            codes = torch.zeros(len(waveforms), 0, self.model.codebooks, device=waveforms.device)
        return Frames({CODES: codes.float()}, {CODES: counts}, {CODES: self.sample_rate / self.hop(CODES)})


def _quantize(
    subject: Subject, manifest: Manifest, phones: Sequence[str], device: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Quantize a corpus: codes (N, G), phones (N,) of which -1 is none, and places of the utterances (N,)."""
    model = subject.model
    if not isinstance(model, SpeechModel) or not model.codebooks:
        msg = (
            f"{subject.name} has no quantizer of its own, as wav2vec 2.0, vq-wav2vec, BEST-RQ and w2v-BERT have: what clusters of layers "
            "say of phones measures clusters:k50"
        )
        raise UserError(msg)
    vocabulary = {label: number for number, label in enumerate(phones)}
    coder = Subject(subject.name, OwnCodes(model), (CODES,))
    found = [
        (recording.features[CODES].long().cpu().numpy(), recording.labels(CODES, vocabulary), recording.index)
        for recording in encode_recordings(coder, manifest, device)
    ]
    codes = np.concatenate([codes for codes, _, _ in found])
    return codes, np.concatenate([labels for _, labels, _ in found]), np.repeat([i for *_, i in found], [len(c) for c, *_ in found])
