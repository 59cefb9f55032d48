"""ABX as a measure: of extractors, on a corpus, by a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foresay.contracts import Frames
from foresay.corpora.manifest import Manifest
from foresay.encoding import parts
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.abx.abx import LIBRILIGHT, PHONE, TRIPHONE, ZEROSPEECH2021, Abx, AbxProtocol, abx
from foresay.evaluation.abx.items import HEADER, Items, Token
from foresay.evaluation.measure import Corpora, Measure, find_measure
from foresay.results import Result
from golden.abx.speech import RATE, speak
from reference.levels import Levels, LevelsSettings, trained, write_corpus

EVERYTHING = {"max_size_group": 0, "max_x_across": 0}


@pytest.fixture
def corpus(tmp_path: Path) -> Manifest:
    return write_corpus(tmp_path / "corpus" / "test.jsonl", 6, speakers=2)


def measured(corpus: Manifest, protocol: AbxProtocol, *layers: str) -> list[Result]:
    subject = Subject("ours", trained(), layers or ("level", "nothing"), step=7)
    return Abx(protocol)([subject], Corpora(corpus), seed=3)


def write_items(corpus: Manifest, path: Path, shift: float = 0.0) -> Path:
    lines = [
        f"{item.id} {start + shift:.4f} {end + shift:.4f} {label} x y {item.speaker.replace(' ', '')}"
        for item in corpus
        for start, end, label in item.phones or ()
    ]
    path.write_text("\n".join([HEADER, *lines]))
    return path


def test_every_layer_has_an_error_within_and_across_speakers(corpus: Manifest) -> None:
    results = measured(corpus, replace(PHONE, **EVERYTHING))
    found = {(r.layer, r.metric): r for r in results}
    assert set(found) == {(layer, f"error {who} speakers") for layer in ("level", "nothing") for who in ("within", "across")}
    assert {found["level", metric].value for _, metric in found} == {0.0}  # it distinguishes phones by one sample
    assert {found["nothing", metric].value for _, metric in found} == {0.5}  # frames of zeros are all the same
    one = found["level", "error across speakers"]
    assert (one.model, one.measure, one.protocol, one.split, one.corpus, one.step, one.seed) == (
        "ours", "abx", "phone", "test", "corpus/test", 7, 3
    )  # fmt: skip
    assert (one.low, one.high) == (None, None)  # two speakers
    assert one.details["cells"] == 24  # 4 x 3 phones, either speaker
    assert one.details["interval_over"] == "speakers of A and B"
    assert one.details["tokens"] == sum(len(item.phones) for item in corpus)


def test_an_untrained_copy_is_measured_too(corpus: Manifest) -> None:
    copy = Subject("ours (untrained)", Levels(LevelsSettings()).eval(), ("level",))
    subject = Subject("ours", trained(), ("level",), untrained=copy)
    results = Abx(replace(PHONE, **EVERYTHING, speaker="across"))([subject], Corpora(corpus))
    assert [(r.model, r.value) for r in results] == [("ours", 0.0), ("ours (untrained)", 0.5)]


def test_published_protocols_say_how_much_is_compared() -> None:
    assert (ZEROSPEECH2021.max_size_group, ZEROSPEECH2021.max_x_across) == (10, 5)
    assert replace(LIBRILIGHT, name="zerospeech2021", normalization="none") == ZEROSPEECH2021


@pytest.mark.parametrize("missing", ["max_size_group", "max_x_across"])
@pytest.mark.parametrize("value", [None, -1])
def test_ones_own_corpus_has_no_default(corpus: Manifest, missing: str, value: int | None) -> None:
    with pytest.raises(UserError, match=rf"abx:phone does not say how many .*--option abx.{missing}=…`, or 0 for all"):
        measured(corpus, replace(PHONE, **{**EVERYTHING, missing: value}))
    if missing == "max_x_across":
        assert measured(corpus, replace(PHONE, **{**EVERYTHING, missing: value}, speaker="within"))


def test_an_item_file_says_what_is_compared(corpus: Manifest, tmp_path: Path) -> None:
    path = write_items(corpus, tmp_path / "test.item")
    made = measured(corpus, replace(PHONE, **EVERYTHING), "level")
    read = measured(corpus, replace(ZEROSPEECH2021, **EVERYTHING, items=str(path), slicing="centers", context="any"), "level")
    assert [(r.value, r.details["cells"]) for r in read] == [(r.value, r.details["cells"]) for r in made]


class Late(Levels):
    """Levels that looks ten milliseconds later, as far as wav2vec does."""

    first_center = 79 + 160

    def frame_count(self, lengths: torch.Tensor, layer: str) -> torch.Tensor:  # noqa: ARG002
        return ((lengths - self.first_center - 1) // 160 + 1).clamp(min=0)

    def features(self, waveforms: torch.Tensor, lengths: torch.Tensor, layers: Sequence[str] | None = None) -> Frames:
        found = super().features(waveforms, lengths, layers)
        counts = self.frame_count(lengths, "level")
        return Frames(found.values, dict.fromkeys(found.values, counts), found.frame_rate)


def test_our_protocols_ask_the_model_where_its_frames_are(corpus: Manifest, tmp_path: Path) -> None:
    """What looks at one sample knows every phone, if its frames are where they are; by the convention it is off by one."""
    model = Late(LevelsSettings()).eval()
    torch.nn.init.ones_(model.sensitivity)
    subject = Subject("late", model, ("level",))
    path = str(write_items(corpus, tmp_path / "test.item"))

    def error(protocol: AbxProtocol, **changed: Any) -> float:  # noqa: ANN401 - fields of it
        asked = replace(protocol, **EVERYTHING, items=path, context="any", normalization="none", **changed)
        return Abx(asked)([subject], Corpora(corpus))[0].value

    assert error(PHONE) == error(TRIPHONE) == 0.0
    assert error(PHONE, slicing="centers") == error(ZEROSPEECH2021, slicing="centers") > 0.0
    assert error(ZEROSPEECH2021) == error(LIBRILIGHT) == error(PHONE, slicing="librilight")


def test_long_recordings_are_encoded_in_parts(corpus: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 0.5)
    monkeypatch.setattr(parts, "CONTEXT", 0.1)
    longest: list[int] = []
    encode = Levels.features

    def watched(model: Levels, waveforms: torch.Tensor, *rest: Any) -> Frames:  # noqa: ANN401 - passed on
        longest.append(waveforms.shape[1])
        return encode(model, waveforms, *rest)

    monkeypatch.setattr(Levels, "features", watched)
    assert {r.value for r in measured(corpus, replace(PHONE, **EVERYTHING), "level")} == {0.0}
    assert len(longest) > len(corpus)
    assert max(longest) <= 0.7 * 16_000


def test_few_triphones_are_refused_with_their_count(corpus: Manifest) -> None:
    with pytest.raises(UserError, match=r"triphones of corpus/test make only \d+ cells within speakers, of \d+ triplets.*abx:phone"):
        measured(corpus, replace(TRIPHONE, **EVERYTHING), "level")


def test_phones_beyond_the_end_are_reported(corpus: Manifest, tmp_path: Path) -> None:
    path = write_items(corpus, tmp_path / "test.item", shift=0.01)
    late = replace(PHONE, **EVERYTHING, items=str(path))
    lost = [r.details["tokens_cut_short"] for r in measured(corpus, late, "level")]
    assert lost[0] == lost[1] > 0
    assert f"{lost[0]} lost one or two" in measured(corpus, late, "level")[0].details["note"]
    write_items(corpus, path, shift=0.05)
    with pytest.raises(UserError, match=r"the phones of test-0 go on to frame \d+"):
        measured(corpus, late, "level")


def test_a_missing_recording_is_reported(corpus: Manifest, tmp_path: Path) -> None:
    path = write_items(corpus, tmp_path / "test.item")
    path.write_text(path.read_text() + "\nelsewhere 0.1 0.2 a x y kim")
    with pytest.raises(UserError, match=r"1 of the 7 recordings of the items are missing: elsewhere\."):
        measured(corpus, replace(PHONE, **EVERYTHING, items=str(path)), "level")


def test_a_model_that_diverged_is_reported(corpus: Manifest) -> None:
    model = trained()
    with torch.no_grad():
        model.sensitivity.fill_(torch.nan)
    with pytest.raises(UserError, match="features of test-0 are not finite"):
        Abx(replace(PHONE, **EVERYTHING))([Subject("ours", model, ("level",))], Corpora(corpus))


def test_a_corpus_without_phones_is_reported(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus" / "test.jsonl", 2, labelled=False)
    with pytest.raises(UserError, match="has no phone times"):
        measured(corpus, replace(PHONE, **EVERYTHING))


def test_plain_arrays() -> None:
    features, lines = speak()
    items = Items.of([Token(*line) for line in lines])
    scores = abx(features, items, RATE, replace(PHONE, **EVERYTHING))
    assert list(scores) == ["within", "across"]
    assert 0.0 < scores["within"].value < scores["across"].value < 0.5
    drawn = abx(features, items, RATE, replace(PHONE, max_size_group=5, max_x_across=2, speaker="across"), seed=1)
    assert drawn["across"].value == pytest.approx(scores["across"].value, abs=0.03)
    assert drawn["across"].task.triplets < scores["across"].task.triplets / 20


def test_normalization_takes_out_a_voice() -> None:
    """A constant added to all frames of a recording is gone, and so the errors that it makes across speakers."""
    features, lines = speak()
    loud: Mapping[str, np.ndarray] = {name: frames + 5.0 * (number % 2) for number, (name, frames) in enumerate(features.items())}
    items = Items.of([Token(*line) for line in lines])
    raw, taken_out = (
        abx(loud, items, RATE, replace(PHONE, **EVERYTHING, speaker="across", normalization=how))["across"].value
        for how in ("none", "recording")
    )
    assert taken_out < raw / 2


def test_options_change_a_protocol_and_its_name(tmp_path: Path) -> None:
    measure = find_measure("abx:phone", {"max_size_group": 10, "items": f"{tmp_path}/dev.item"})
    assert isinstance(measure, Measure)
    assert measure.protocol == replace(
        PHONE, name="phone(items=dev.item, max_size_group=10)", max_size_group=10, items=f"{tmp_path}/dev.item"
    )
    assert measure.files == (tmp_path / "dev.item",)
    assert find_measure("abx:phone").protocol is PHONE
    with pytest.raises(UserError, match=r"unknown setting abx.max_size_grop.*max_size_group"):
        find_measure("abx:phone", {"max_size_grop": 10})
    with pytest.raises(UserError, match="abx.distance = 'angula'.*angular"):
        find_measure("abx:phone", {"distance": "angula"})
