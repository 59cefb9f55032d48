"""A folder of results as `foresay evaluate` leaves it for recognizers, made up in a moment: nothing in it was recognized."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from foresay.evaluation.recognition.kept import Group, KeptErrors, Unit
from foresay.results import Result, append_results, save_arrays
from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.word_errors import Compared, frequent_errors, words_by_errors

SPOKEN = ("THE CAT SAT", "ANYONE MAY <SEE> IT TODAY", "A & B")
RATE = 8000


def write_recognized(
    folder: Path,
    systems: Mapping[str, Sequence[str]],
    *,
    spoken: Sequence[str] = SPOKEN,
    unit: Unit = "word",
    training: Mapping[str, int] | None = None,
    sounds: Sequence[int] = (0, 1),
    groups: Mapping[str, Sequence[Group]] | None = None,
) -> Path:
    """Write the error rates of one model by several protocols: protocol -> what it recognized in the utterances `u0`, `u1`, ….

    `sounds`: the utterances whose sound was kept.
    """
    rows = []
    groups = groups if groups is not None else {"length": [Group("3", 6, 2, None, None), Group("5", 5, 1, 0.1, 0.3)]}
    waveforms = {f"u{place}": np.full(800, 1000 * place, dtype=np.int16) for place in sounds}
    for protocol, texts in systems.items():
        pairs = [Compared(f"u{place}", "<s>", *both) for place, both in enumerate(zip(spoken, texts, strict=True))]
        kept = KeptErrors(pairs, groups, waveforms, RATE, unit)
        cut = [kept.cut(pair) for pair in pairs]
        wrong = [list(word) for word in words_by_errors(cut, training)]
        details = {**frequent_errors(cut, 25), "frequently_wrong": wrong, "fingerprint": f"{folder.name}{protocol}", "tested_on": "data"}
        value = sum(edit_distance(pair.reference.split(), pair.hypothesis.split()) for pair in pairs) / sum(len(s.split()) for s in spoken)
        measure = "per" if unit == "phone" else "wer"
        about = {"direction": "lower", "unit": "%", "data_fingerprint": f"data of {protocol}", "model_fingerprint": folder.name}
        of = (folder.name, measure, protocol)
        where = ("emissions", "test", value, value - 0.01, value + 0.01, "corpus/test", 10, 0, 1.0)
        arrays = kept.arrays()
        details["arrays"] = sorted(arrays)
        rows.append(Result(*of, f"{unit} error rate", *where, details=details, headline=True, arrays=arrays, **about))
        rows.append(Result(*of, "deletion error rate", *where, details={"fingerprint": details["fingerprint"]}, **about))
    folder.mkdir(parents=True, exist_ok=True)
    save_arrays(folder, rows)
    append_results(folder / "results.jsonl", rows)
    return folder
