"""Alignment of texts: each utterance by hand, what cannot be found is left out and counted, words laid out evenly beside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foresay
from foresay.baselines.logmel import LogMel
from foresay.contracts import Encoded
from foresay.corpora.item import Interval
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.subjects import Subject
from foresay.encoding.text_alignment import text_alignment
from foresay.encoding.transcripts import encoded_of
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.recognition.alignment import EVEN, NEAR
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.results import Result
from foresay.workflows.train import run_recipe
from reference.tones import write_tones


def recognizer(units: str = "letters") -> CTC:
    return CTC(
        CTCSettings(("<blank>", "|", "a", "b", "c", "d") if units == "letters" else ("<blank>", "a", "b"), units=units), LogMel()
    ).eval()  # type: ignore[arg-type]


def timed(path: Path) -> Manifest:
    """Six utterances of two words, of which one has no times, one a letter too many, and one times of another text."""
    items = []
    for place, item in enumerate(Manifest.open(write_tones(path, 6))):
        half = item.duration / 3
        words = (Interval(0.0, half, "ab"), Interval(half, item.duration, "cd"))
        changes = {"text": "ab cx" if place == 1 else "ab cd", "words": None if place == 0 else words[:1] if place == 2 else words}
        items.append(replace(item, phones=None, **changes))
    write_manifest(path, items)
    return Manifest.open(path)


def measured(model: CTC, manifest: Manifest) -> dict[tuple[str, str], Result]:
    rows = find_measure("alignment:words")([Subject("mine", model, ("emissions",))], Corpora(manifest))
    return {(row.model, row.metric): row for row in rows}


def test_numbers_are_means_over_all_words_that_were_found(tmp_path: Path) -> None:
    manifest, model = timed(tmp_path / "m.jsonl"), recognizer()
    errors, shared, even_errors, spoken = [], 0.0, [], 0.0
    for place, encoded in encoded_of(model, manifest, "cpu", items={3, 4, 5}):
        length, true = manifest[place].duration, manifest[place].words or ()
        words = text_alignment(model, Encoded(*encoded), "ab cd", length).words
        for word, (start, end, _), cut in zip(words, true, ((0, length / 2), (length / 2, length)), strict=True):
            errors += [abs(word.start - start), abs(word.end - end)]
            even_errors += [abs(cut[0] - start), abs(cut[1] - end)]
            shared += max(0.0, min(word.end, end) - max(word.start, start))
            spoken += end - start
    rows = measured(model, manifest)
    assert rows["mine", "boundary error"].value == pytest.approx(1000 * np.mean(errors))
    assert rows["mine", "share within 20 ms"].value == pytest.approx(np.mean(np.array(errors) < 0.02))
    assert rows["mine", "share in the right word"].value == pytest.approx(shared / spoken)
    assert rows["even words", "boundary error"].value == pytest.approx(1000 * np.mean(even_errors))
    assert rows["even words", "boundary error"].layer == "none"
    details = rows["mine", "boundary error"].details
    assert (details["utterances"], details["words"], details["left out"]) == (3, 6, 2)


def test_a_recognizer_of_phones_is_compared_with_phones(tmp_path: Path) -> None:
    items = list(Manifest.open(write_tones(tmp_path / "m.jsonl", 6)))
    phones = [tuple(Interval(0.1 * n, 0.1 * (n + 1), "ab"[n % 2]) for n in range(3)) for _ in items]
    write_manifest(tmp_path / "p.jsonl", [replace(item, phones=one, words=None) for item, one in zip(items, phones, strict=True)])
    assert measured(recognizer("phones"), Manifest.open(tmp_path / "p.jsonl"))["mine", "boundary error"].details["words"] == 18


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    manifest = timed(tmp_path / "m.jsonl")
    with pytest.raises(UserError, match=r"logmel recognizes no text"):
        find_measure("alignment:words")([Subject("logmel", LogMel(), ("logmel",))], Corpora(manifest))
    write_manifest(tmp_path / "none.jsonl", [replace(item, words=None) for item in manifest])
    with pytest.raises(UserError, match=r"has no texts whose words have times"):
        measured(recognizer(), Manifest.open(tmp_path / "none.jsonl"))
    write_manifest(tmp_path / "other.jsonl", [replace(item, text="x y") for item in manifest])
    with pytest.raises(UserError, match=r"mine finds none of the texts"):
        measured(recognizer(), Manifest.open(tmp_path / "other.jsonl"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hidden_markov_models_find_four_of_five_boundaries_of_phones_within_20_ms(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    corpus = foresay.make_corpus(tmp_path / "corpus").manifests  # 30 minutes to learn from, voices of their own to test on
    run_recipe("finetune", "hmm-tiny", corpus["train"], tmp_path / "hmm", overrides=["model.units=phones"])
    rows = foresay.evaluate([tmp_path / "hmm"], corpus["test"], measures=["alignment:words"])
    near = {row.model: row for row in rows if row.metric == NEAR}
    assert near["hmm"].value >= 0.8
    assert near["hmm"].low is not None
    assert near["hmm"].low > 0.75
    assert near[EVEN].value < 0.15
    assert near["hmm"].details["left out"] == 0
