"""GMM-HMM: no pass lowers the likelihood, tones are recognized and found in time, what cannot be learnt from is counted."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foresay.contracts import Encoded, FeatureExtractor, FitData, Transcribed
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.decoding.state_alignment import StateChain, align_states, text_scores
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.subjects import Subject
from foresay.encoding.text_alignment import known_times, text_alignment
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.recognition.hmm import HMM, HMMSettings, Spoken
from foresay.workflows.language_models import train_ngram
from foresay.workflows.train import run_recipe
from reference.tones import surround_by_silence, write_tones, write_words

SETTINGS = HMMSettings(("<sil>", "a", "b", "c", "d"), states=2, gaussians=2, passes=6, grow_every=2)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of two tones, with silence between and, as in any recording, before and behind."""
    return surround_by_silence(write_words(tmp_path_factory.mktemp("words") / "train.jsonl", 12))


@pytest.fixture(scope="module")
def run(words: Path) -> Path:
    overrides = [f"model.{key}" for key in ("states=2", "gaussians=2", "passes=20", "grow_every=10")]
    run_recipe("finetune", "hmm-tiny", words, words.parent / "run", overrides=overrides)
    return words.parent / "run"


@pytest.fixture(scope="module")
def hmm(run: Path) -> HMM:
    model = load(run)
    assert isinstance(model, HMM)
    return model


def untrained(**changed: object) -> HMM:
    encoder = load("mfcc")
    assert isinstance(encoder, FeatureExtractor)
    return HMM(replace(SETTINGS, **changed), encoder).eval()


class Toy(FitData):
    """Utterances that are drawn: two symbols of three frames each, and others that cannot be learnt from."""

    seed = 0

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self.said = list[str]()
        self.scores = list[float]()

    def note(self, line: str) -> None:
        self.said.append(line)

    def passed(self, number: int, count: int, numbers: Mapping[str, float]) -> None:
        assert (number, count) == (len(self.scores) + 1, SETTINGS.passes)
        self.scores.append(numbers["log_p"])

    def leave_out(self, name: str, why: str) -> None:
        self.left_out[name] = why

    def utterances(self, encoder: FeatureExtractor, layer: str, transcript: str) -> Iterator[Transcribed]:  # noqa: ARG002
        generator = torch.Generator().manual_seed(0)
        for text in ("ab", "ba a", "b", "", "a"):
            frames = [3.0 * (ord(letter) - ord("a")) + torch.randn(4, 39, generator=generator) for letter in text.replace(" ", "")]
            yield Transcribed(text, torch.cat(frames) if frames else torch.zeros(3, 39), text)
        yield Transcribed("aba", torch.randn(3, 39, generator=generator), "aba")


def spoken(model: HMM) -> list[Spoken]:
    return model._spoken(Toy())


@pytest.mark.parametrize("paths", ["best", "all"])
def test_a_pass_never_lowers_the_likelihood(paths: str) -> None:
    model = untrained(paths=paths, least=0.0, floor=1e-4)
    said = spoken(model)
    model.mixtures.begin(torch.zeros(39), torch.ones(39))
    totals = [model.improve(said)[0] for _ in range(6)]
    model.mixtures.grow(2)
    totals_of_more = [model.improve(said)[0] for _ in range(6)]
    for some in (totals, totals_of_more):
        assert all(after > before - 1e-3 for before, after in itertools.pairwise(some))
    assert totals_of_more[-1] > totals[0] + 1


@pytest.mark.parametrize("paths", ["best", "all"])
def test_what_a_pass_returns_is_the_score_of_a_frame(paths: str) -> None:
    model = untrained(paths=paths)
    model.fit(Toy())
    said, total = spoken(model), 0.0
    for one in said:
        likelihoods = Encoded(model.mixtures(one.frames)[None], torch.tensor([len(one.frames)]))
        found = align_states if paths == "best" else text_scores
        score = found(likelihoods, [one.chain], model.topology)
        total += float(score.score if paths == "best" else score)
    assert model.improve(said)[0] == pytest.approx(total / sum(len(one.frames) for one in said), rel=1e-4)


def test_frames_are_shared_out_evenly_at_first() -> None:
    model = untrained()
    chain = StateChain.of([[[1]], [[2, 1]]], model.topology)
    counts = model._evenly([Spoken(torch.zeros(20, 39), chain, chain)])  # 10 states of the text and its two silences: two frames each
    assert counts.goes.tolist() == [2, 2, 2, 2, 1, 1, 0, 0, 0, 0]
    assert counts.stays.tolist() == counts.goes.tolist()
    short = model._evenly([Spoken(torch.zeros(6, 39), chain, chain)])  # no frames are left for silence
    assert short.goes.tolist() == [0, 0, 2, 2, 1, 1, 0, 0, 0, 0]


def test_what_cannot_be_learnt_from_is_listed() -> None:
    data = Toy()
    assert len(untrained()._spoken(data)) == 4
    assert data.left_out == {"": "a transcript without words", "aba": "fewer frames than states: 3 for 6"}
    untrained().fit(data)
    assert data.said == ["no utterance has c, d: the states of these stay what all frames are like"]
    assert data.scores[-1] > data.scores[0]

    class Silent(Toy):
        def utterances(self, encoder: FeatureExtractor, layer: str, transcript: str) -> Iterator[Transcribed]:  # noqa: ARG002
            yield Transcribed("silence", torch.zeros(9, 39), "")

    with pytest.raises(UserError, match="no utterance to learn from"):
        untrained().fit(Silent())
    with pytest.raises(UserError, match=r"model\.symbols is empty"):
        untrained(symbols=())
    emitting = CTC(CTCSettings(("<blank>", "a")), load("mfcc"))
    for encoder in (emitting, untrained()):
        with pytest.raises(UserError, match=r"the encoder is a recognizer.*MODEL#encoder"):
            HMM(HMMSettings(("<sil>", "a")), encoder)


def test_it_recognizes_what_it_learnt_and_finds_its_words_in_time(hmm: HMM, words: Path) -> None:
    manifest = Manifest.open(words)
    assert hmm.symbols == ("<sil>", "a", "b", "c", "d")
    assert set(hmm.pronunciations or {}) == {word for item in manifest for word in (item.text or "").split()}
    decoder = Decoder(hmm, SearchSettings(beam=100, word_weight=-2.0))  # between tones of two words others can be found
    assert [one.text for one in transcribed(decoder, manifest, "cpu")] == [item.text for item in manifest]
    found = find_measure("alignment:words")([Subject("hmm", hmm, ("likelihoods",))], Corpora(manifest))
    values = {(row.model, row.metric): row.value for row in found}
    assert values["hmm", "boundary error"] < 25 < values["even words", "boundary error"]  # ms
    assert values["hmm", "share in the right word"] > 0.93


def test_another_text_is_found_too(hmm: HMM, words: Path) -> None:
    manifest = Manifest.open(words)
    waveform = torch.from_numpy(manifest.read(0, hmm.sample_rate))[None]
    frames = hmm.features(waveform, torch.tensor([waveform.shape[1]]))
    encoded = Encoded(frames.values["likelihoods"], frames.lengths["likelihoods"])
    assert [word.text for word in text_alignment(hmm, encoded, "Abcd dcba.", 2.0).words] == ["abcd", "dcba"]  # words it never met


def test_words_of_a_language_model_are_spelled(hmm: HMM, tmp_path: Path) -> None:
    assert set(Decoder(hmm, SearchSettings()).words) == set(hmm.pronunciations or {})
    (tmp_path / "texts.txt").write_text("abba cad\ncad\n")
    train_ngram([tmp_path / "texts.txt"], tmp_path / "toy.arpa", order=2)
    decoder = Decoder(hmm, SearchSettings(lm=str(tmp_path / "toy.arpa"), lm_weight=1.0, word_weight=0.0))
    assert set(decoder.words) == {"abba", "cad"}


def test_batch_mates_and_padding_change_nothing(hmm: HMM) -> None:
    waveforms = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    both = hmm.features(waveforms, torch.tensor([8000, 6000])).values["likelihoods"]
    alone = hmm.features(waveforms[1:, :6000], torch.tensor([6000]))
    count = int(alone.lengths["likelihoods"][0])
    torch.testing.assert_close(both[1, :count], alone.values["likelihoods"][0], atol=1e-3, rtol=1e-3)
    assert both.shape[2] == len(hmm.stay) == 10


def test_the_phones_of_words_are_looked_up_in_each_of_their_ways(words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each word is said as it is spelled; of some the lexicon has that second, behind a way that they are never said. One word it lacks."""
    spelled = sorted({word for item in Manifest.open(words) for word in (item.text or "").split()})
    known = [word.upper() for word in spelled[1:]]
    ways = {word: sorted((word, word[::-1]), key=word.__ne__, reverse=word.startswith("D")) for word in known}
    lines = [f"{word}\t{' '.join(phones)}" for word, several in ways.items() for phones in several]
    (tmp_path / "lexicon.txt").write_text("\n".join((*lines, "OTHER\tX Y")))
    small = ["units=phones", f"lexicon={tmp_path / 'lexicon.txt'}", "normalization=librispeech", "states=2", "gaussians=2"]
    lists = [f"model.{setting}" for setting in (*small, "passes=12", "grow_every=8")]
    run_recipe("finetune", "hmm-tiny", words, tmp_path / "run", overrides=lists)
    model = load(tmp_path / "run")
    assert isinstance(model, HMM)
    assert model.symbols == ("<sil>", "A", "B", "C", "D")
    assert model.normalization == "librispeech"
    assert set(model.pronunciations or {}) == set(known)
    items = list(Manifest.open(words))
    lacking = [item for item in items if spelled[0] in (item.text or "").split()]
    listed = (tmp_path / "run" / "left-out.txt").read_text().splitlines()
    assert listed == [f"train\t{item.id}\twords without pronunciation: {spelled[0].upper()}" for item in lacking]
    shown = capsys.readouterr().err
    assert f"{len(lacking)} of {len(items)} utterances are left out: words without pronunciation ({len(lacking)})" in shown
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["gaussians"]) for line in logged] == [*((n, 1) for n in range(1, 9)), *((n, 2) for n in range(9, 13))]
    assert f"pass 12 of 12: log_p {logged[-1]['log_p']:.5g}, gaussians 2" in shown
    index, item = next(
        (n, item) for n, item in enumerate(items) if item not in lacking and "d" in {w[0] for w in (item.text or "").split()}
    )
    waveform = torch.from_numpy(Manifest.open(words).read(index, model.sample_rate))[None]
    frames = model.features(waveform, torch.tensor([waveform.shape[1]]))
    encoded = Encoded(frames.values["likelihoods"], frames.lengths["likelihoods"])
    found = text_alignment(model, encoded, item.text or "", item.duration)
    said = [found.rows[row] for row, _ in itertools.groupby(found.path.tolist()) if found.rows[row]]
    assert "".join(said) == (item.text or "").replace(" ", "").upper()
    with pytest.raises(UserError, match="'OTHER' is not in the recognizer's lexicon"):
        model.pronounce("OTHER")


def test_a_lexicon_must_have_some_of_the_words(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("CAT\tK AE T")
    settings = HMMSettings(units="phones", lexicon=str(tmp_path / "lexicon.txt"))
    with pytest.raises(UserError, match="none of the 2 words of the transcripts, such as cat, dog, is in the lexicon"):
        HMM.completed(settings, ["cat dog"])
    with pytest.raises(ValueError, match=r"--set model\.units=phones"):
        HMMSettings(lexicon="lexicon.txt")
    assert HMM.completed(replace(settings, normalization="librispeech"), ["cat dog"]).words == ("CAT K AE T",)


def test_frames_are_shared_out_at_first_by_the_first_pronunciations() -> None:
    model = untrained(symbols=("<sil>", "a", "b", "c", "d"), units="phones", words=("x a b", "x c", "y d"))
    assert model.frames_needed("x y") == 2 * (1 + 1)  # the shortest of each
    words = [model.pronounce(word) for word in ("x", "y")]
    chains = (StateChain.of(several, model.topology) for several in (words, [ways[:1] for ways in words]))
    counts = model._evenly([Spoken(torch.zeros(20, 39), *chains)])
    assert counts.goes.tolist() == [2, 2, 1, 1, 1, 1, 0, 0, 1, 1]


def test_a_fit_that_was_interrupted_ends_where_it_would_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, small = (
        write_tones(tmp_path / "train.jsonl", 4),
        ["model.passes=3", "model.states=1", "model.gaussians=2", "model.grow_every=1"],
    )
    run_recipe("finetune", "hmm-tiny", corpus, tmp_path / "whole", overrides=small)
    passes, improve = itertools.count(1), HMM.improve

    def interrupted(self: HMM, spoken: Sequence[Spoken]) -> tuple[float, int]:
        if next(passes) == 3:
            raise KeyboardInterrupt
        return improve(self, spoken)

    monkeypatch.setattr(HMM, "improve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_recipe("finetune", "hmm-tiny", corpus, tmp_path / "again", overrides=small)
    run_recipe("finetune", "hmm-tiny", corpus, tmp_path / "again", overrides=small)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_phones_are_those_of_the_manifest(tmp_path: Path) -> None:
    corpus = write_tones(tmp_path / "train.jsonl", 6)
    items = list(Manifest.open(corpus))
    for unit, text in (("phones", "nothing of this is a phone"), ("letters", None)):
        path = tmp_path / f"{unit}.jsonl"
        phones = [tuple((0.1 * n, 0.1 * n + 0.1, letter) for n, letter in enumerate((item.text or "").split())) for item in items]
        write_manifest(path, [replace(item, text=text or item.text, phones=one) for item, one in zip(items, phones, strict=True)])  # type: ignore[arg-type]
        run_recipe("finetune", "hmm-tiny", path, tmp_path / unit, overrides=[f"model.units={unit}", "model.passes=1", "model.states=1"])
        model = load(tmp_path / unit)
        assert isinstance(model, HMM)
        assert set(model.symbols[1:]) == set("abcd")
        assert (model.pronunciations is None) == (unit == "phones")


def test_silences_of_a_manifest_are_no_phones() -> None:
    """There may be silence anywhere: a symbol of its own would share its frames with it, and be found anywhere between."""
    said = "sil a b sil sil c h#"
    settings = HMM.completed(HMMSettings(units="phones"), [said])
    assert settings.symbols == ("<sil>", "a", "b", "c")
    model = untrained(symbols=settings.symbols, units="phones")
    assert model.normalized(said) == "a b c"
    assert model.spell(said) == [1, 2, 3]
    assert not model.missing(said)
    assert model.frames_needed(said) == 2 * 3
    phones = tuple(Interval(n, n + 1, label) for n, label in enumerate(said.split()))
    true = known_times(model, Item("one", audio=Path("one.wav"), duration=7.0, sample_rate=16_000, phones=phones))
    assert [(one.start, one.label) for one in true] == [(1, "a"), (2, "b"), (5, "c")]
    of_letters = untrained(words=("sil", "a"), symbols=("<sil>", *"ails"))
    assert of_letters.normalized("sil a") == "sil a"  # a word like any other
