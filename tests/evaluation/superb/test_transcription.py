"""Tasks that write symbols: counts by hand, and a model whose frames are the symbols."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from foresay.corpora.item import Interval
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.superb._spelling import SpelledTranscription, read_off
from foresay.evaluation.superb._task import HeadStart
from foresay.evaluation.superb._transcription import Transcription
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.heads import RecurrentHead
from foresay.evaluation.superb.phoneme_recognition import PhonemeRecognition
from foresay.evaluation.superb.slot_filling import SlotFilling
from foresay.evaluation.superb.speech_recognition import SpeechRecognition
from foresay.results import Result
from reference.ctc_loops import every_text
from reference.paired_levels import subject, write_clips

SHARED: dict[str, Any] = {"updates": 60, "rates": [0.1, 0.03], "checks": 2, "normed": False, "single": False}
OPTIONS = {
    "phoneme_recognition": {**SHARED, "heads": ["published"]},
    "speech_recognition": {**SHARED, "heads": ["linear"]},
    "slot_filling": {**SHARED, "heads": ["linear"]},
}
SYMBOLS = {
    "phoneme_recognition": tuple("abcdefg"),
    "speech_recognition": tuple(" abcdef"),
    "slot_filling": (" ", "a", "b", "B-who", "E-who", "B-when", "E-when"),
}


def said(task: str, random: np.random.Generator) -> list[str]:
    """Draw what an utterance is made of."""
    if task == "phoneme_recognition":
        return random.choice(SYMBOLS[task], 6).tolist()
    letters = [one for one in SYMBOLS[task] if one.isalpha()]
    words = [list(random.choice(letters, 2)) for _ in range(3)]
    if task == "slot_filling":
        for place, kind in zip((0, 2), random.permutation(["who", "when"])[: random.integers(1, 3)], strict=False):
            words[place] = [f"B-{kind}", *words[place], f"E-{kind}"]
    return [*words[0], " ", *words[1], " ", *words[2]]


def fields(task: str, symbols: Sequence[str]) -> dict[str, Any]:
    """Write symbols as an item has them."""
    if task == "phoneme_recognition":
        return {"phones": tuple(Interval(0.03 * n, 0.03 * n + 0.03, one) for n, one in enumerate(symbols))}
    if task == "speech_recognition":
        return {"text": "".join(symbols).upper() + "."}
    spaced = "".join(f"{one} " if one.startswith("B-") else f" {one}" if one.startswith("E-") else one for one in symbols)
    return {"target": spaced}


def corpus(folder: Path, task: str, *, shuffled: bool = False) -> Corpora:
    """Utterances of which each symbol is a level for 30 ms, and silence follows for as long; `shuffled`: with the answers of others."""
    random, manifests = np.random.default_rng(1), []
    for split, count in (("test", 12), ("train", 40), ("valid", 12)):
        texts = [said(task, random) for _ in range(count)]
        answers = [texts[place] for place in random.permutation(count)] if shuffled else texts
        clips, given = {}, {}
        for number, (text, answer) in enumerate(zip(texts, answers, strict=True)):
            levels = np.zeros((len(text), 6), dtype=int)
            levels[:, :3] = [[1 + SYMBOLS[task].index(one)] for one in text]
            clips[f"{split}-{number}"] = np.stack([levels.flatten(), random.integers(0, 8, levels.size)], 1)
            given[f"{split}-{number}"] = fields(task, answer)
        keys = next(iter(given.values()))
        written = {key: {name: said[key] for name, said in given.items()} for key in keys}
        manifests.append(write_clips(folder / f"{split}.jsonl", clips, **written))
    return Corpora(*manifests)


def measured(task: str, corpora: Corpora) -> dict[str, Result]:
    rows = find_measure(f"{task}:tiny", OPTIONS[task])([subject()], corpora)
    return {row.metric: row for row in rows}


def sure(classes: Sequence[str], texts: Sequence[Sequence[str]]) -> tuple[Tensor, FeatureBatch]:
    """What a head would say that is sure of these texts: (1, B, T, V), each symbol twice, and a blank after it."""
    lengths = torch.tensor([3 * len(text) for text in texts])
    outputs = torch.zeros(1, len(texts), int(lengths.max()) + 3, len(classes) + 1)
    outputs[..., 0] = 0.5
    for row, text in zip(outputs[0], texts, strict=True):
        for place, symbol in enumerate(text):
            row[3 * place : 3 * place + 2, 1 + classes.index(symbol)] = 1.0
        row[3 * len(text) :, 1] = 9.0  # beyond the end of the utterance
    return outputs, FeatureBatch(torch.empty(0), lengths)


def manifest(folder: Path, *items: dict[str, Any]) -> Manifest:
    path = folder / "some.jsonl"
    write_manifest(
        path, [Item(id=f"i{n}", audio=folder / "a.wav", duration=1.0, sample_rate=16000, **given) for n, given in enumerate(items)]
    )
    return Manifest.open(path)


def counted(
    task: Transcription, classes: Sequence[str], found: Sequence[Sequence[str]], answers: Sequence[tuple[int, ...]]
) -> dict[str, list[list[float]]]:
    """Counts and totals of each utterance."""
    counts = task.count(*sure(classes, found), answers, classes)
    return {metric: [errors[0].tolist(), totals[0].tolist()] for metric, (errors, totals) in counts.items()}


@pytest.mark.parametrize("task", OPTIONS)
def test_a_model_that_knows_the_symbols_makes_no_errors(tmp_path: Path, task: str) -> None:
    for metric, row in measured(task, corpus(tmp_path, task)).items():
        assert row.value == pytest.approx(1.0 if metric == "slot-type F1" else 0.0, abs=0.02)
        assert row.details["span"] == 3


@pytest.mark.parametrize("task", OPTIONS)
def test_answers_of_others_cannot_be_learnt(tmp_path: Path, task: str) -> None:
    row = next(iter(measured(task, corpus(tmp_path, task, shuffled=True)).values()))
    assert row.value < 0.8 if task == "slot_filling" else row.value > 0.6


def test_a_metric_to_choose_by_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no metric 'errors' to choose by"):
        find_measure("phoneme_recognition:tiny", {"chosen_by": "errors"})([subject()], corpus(tmp_path, "phoneme_recognition"))


def test_phones_are_counted_without_silences(tmp_path: Path) -> None:
    task = PhonemeRecognition(PhonemeRecognition.protocols["tiny"])
    labels = ("sil", "a", "a", "b", "", "z")
    given = {"phones": tuple(Interval(0.1 * n, 0.1 * n + 0.1, label) for n, label in enumerate(labels))}
    answers = task.answers(manifest(tmp_path, given, {"text": "a"}), ("a", "b"))
    assert answers == {0: (1, 1, 2, 3)}  # z was not learnt
    assert counted(task, ("a", "b"), ["aab", "b", ""], [answers[0]] * 3) == {"phone error rate": [[1.0, 3.0, 4.0], [4.0] * 3]}


def test_words_and_characters_are_counted(tmp_path: Path) -> None:
    task = SpeechRecognition(SpeechRecognition.protocols["tiny"])
    classes = tuple(" abcehnost")
    texts = manifest(tmp_path, {"text": "The cat, sat!"}, {"text": "The Q"}, {"text": "at"}, {})
    answers = task.answers(texts, classes)
    assert list(answers) == [0, 1, 2]
    assert counted(task, classes, ["the  bat sat on ", "the", ""], list(answers.values())) == {
        "word error rate": [[2.0, 1.0, 1.0], [3.0, 2.0, 1.0]],
        "character error rate": [[4.0, 2.0, 2.0], [11.0, 5.0, 2.0]],
    }


def test_an_unknown_letter_is_an_error_whatever_is_written(tmp_path: Path) -> None:
    task = SpeechRecognition(SpeechRecognition.protocols["tiny"])
    answers = task.answers(manifest(tmp_path, {"text": "ax ay"}), (" ", "a", "b"))
    assert answers == {0: (2, 4, 1, 2, 4)}
    for found in ("a a", "ab ab"):
        assert counted(task, (" ", "a", "b"), [found], [answers[0]])["word error rate"] == [[2.0], [2.0]]


TARGET = "play B-artist the Beatles E-artist now"
SPELLED = ["p", "l", "a", "y", " ", "B-artist", *"the beatles", "E-artist", " ", "n", "o", "w"]


def test_slots_are_spelled_with_marks_next_to_their_words(tmp_path: Path) -> None:
    task = SlotFilling(SlotFilling.protocols["tiny"])
    items = manifest(tmp_path, {"target": TARGET}, {"target": "B-a x , E-a B-b y E-b"}, {"text": "no target"})
    assert [list(task.symbols(item)) for item in items] == [SPELLED, ["B-a", "x", "E-a", " ", "B-b", "y", "E-b"], []]
    classes = task.classes(items)
    assert classes == tuple(sorted({*SPELLED, "B-a", "x", "E-a", "B-b", "E-b"}))
    apart = [f" {symbol} " if len(symbol) > 1 else symbol for symbol in classes]
    assert read_off(task.answers(items, classes)[0], apart) == TARGET.replace("Beatles", "beatles")


@pytest.mark.parametrize("protocol, edits", [("clean", 6), ("superb", 4)])
def test_slots_are_counted_as_the_protocol_has_it(tmp_path: Path, protocol: str, edits: int) -> None:
    """A wrong value, a missing type, a value too many; and an utterance without slots in which one is found."""
    task = SlotFilling(SlotFilling.protocols[protocol])
    items = manifest(tmp_path, {"target": "B-a xy E-a B-b yz E-b"}, {"target": "xy"})
    classes = (*task.classes(items), "B-c", "E-c")
    found = [["B-a", "x", "x", "E-a", "B-c", "x", "E-c"], ["B-c", "y", "E-c", "x", "y"]]
    f1, cer = counted(task, classes, found, list(task.answers(items, classes).values())).values()
    assert f1 == [[0.5, 0.0], [1.0, 1.0]]
    assert cer[1] == [4.0, 0.0]
    assert sum(cer[0]) == edits - 1


@pytest.mark.parametrize(
    "task, given, message",
    [
        (PhonemeRecognition, {"text": "one"}, 'phoneme_recognition: the key "phones"'),
        (SpeechRecognition, {"label": "one"}, 'speech_recognition: the key "text"'),
        (SpeechRecognition, {"text": "7 of 9"}, "the text of i0 has '7'"),
        (SlotFilling, {"text": "one"}, 'slot_filling: the key "target"'),
        (SlotFilling, {"target": "at 7"}, "the slots of i0 has '7'"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, task: type[Transcription], given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task(task.protocols["tiny"]).classes(manifest(tmp_path, given))


def test_requests_without_slots_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has nothing to fill"):
        SlotFilling(SlotFilling.protocols["tiny"]).answers(manifest(tmp_path, {"target": "play"}), ("p",))


def test_the_loss_is_that_of_all_paths_by_symbols() -> None:
    """The second utterance has too few frames for its symbols, and counts 0."""
    task, heads = SpeechRecognition(SpeechRecognition.protocols["tiny"]), 2
    outputs = torch.randn(heads, 2, 5, 3, generator=torch.Generator().manual_seed(0))
    found = task.loss(outputs, FeatureBatch(torch.empty(0), torch.tensor([4, 2])), [(1, 2), (1, 1)], "ab")
    for head in range(heads):
        scores = every_text(outputs[head, 0, :4].log_softmax(-1).tolist())
        assert float(found[head]) == pytest.approx(-scores[1, 2] / 2 / 2, rel=1e-5)


@pytest.mark.parametrize("task", [SpeechRecognition, SlotFilling])
def test_heads_are_the_published_ones(task: type[SpelledTranscription]) -> None:
    published = task(task.protocols["superb"])
    head = published.head("published", 2, 8, 5, HeadStart(0.1, 0, None), normed=False)
    assert isinstance(head, RecurrentHead)
    assert head.augment == task.augment
    assert head.dropout.p == head.lstm.dropout.p == 0.2
    shapes = {name: tuple(weights.shape) for name, weights in head.named_parameters() if name.endswith(("weight", "weight_hh_l0"))}
    assert shapes == {
        "projector.weight": (1024, 8),
        **{f"lstm.{way}.{layer}.weight_hh_l0": (4096, 1024) for layer in (0, 1) for way in ("forwards", "backwards")},
        "output.weight": (6, 2048),
    }
    tiny = task(task.protocols["tiny"]).head("published", 2, 8, 5, HeadStart(0.1, 0, None), normed=False)
    assert isinstance(tiny, RecurrentHead)
    assert tiny.augment is None
    assert len(tiny.lstm.forwards) == 1
