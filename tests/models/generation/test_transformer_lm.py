"""The Transformer language model: causal, the same step by step as at once, and better than a unigram where there is a grammar."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from foresay.building import build, describe
from foresay.cli import main
from foresay.contracts import Batch, LanguageModel
from foresay.corpora.made.sentences import draw_sentences
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.generation import transformer_lm
from foresay.models.generation.transformer_lm import TransformerLM, TransformerLMSettings
from foresay.text.normalization import Normalizer
from foresay.text.perplexity import perplexity
from foresay.workflows.language_models import train_ngram
from foresay.workflows.train import run_recipe
from reference.levels import write_corpus

TINY = ("model.size=16", "model.layers=1", "model.inner=16", "data.characters=2000", "trainer.steps=2", "trainer.workers=0")
SMALL = TransformerLMSettings(("a", "b", "c"), size=16, layers=2, heads=2, inner=32, dropout=0.0)


def _model(settings: TransformerLMSettings = SMALL) -> TransformerLM:
    torch.manual_seed(0)
    model = TransformerLM(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def _at_once(model: TransformerLM, symbols: list[int]) -> Tensor:
    """Score everything after each context: (U + 1, V + 2)."""
    with torch.no_grad():
        return model.logits(torch.tensor([[model.edge, *symbols]]))[0].log_softmax(-1)


@torch.no_grad()
def test_positions_are_sines_and_cosines_of_falling_rates() -> None:
    """arXiv:1706.03762, section 3.5: of dimension pair i at place p, p / 10,000^(2 i / D)."""
    model = _model()
    model.embedding.weight.zero_()
    places = torch.tensor([0, 1, 7])
    angles = torch.tensor([[place / 10_000 ** (2 * i / 16) for i in range(8)] for place in places.tolist()])
    torch.testing.assert_close(model._embedded(places.new_zeros(3), places), torch.cat([angles.sin(), angles.cos()], dim=1))


def test_what_comes_later_changes_nothing_before() -> None:
    model = _model()
    one, other = _at_once(model, [0, 1, 2, 0, 3]), _at_once(model, [0, 1, 1, 3, 2])
    torch.testing.assert_close(one[:3], other[:3])
    assert (one[3:] - other[3:]).abs().max() > 1e-3


def test_a_beam_that_grows_scores_as_at_once() -> None:
    model = _model()
    beam = torch.tensor([[0, 1, 2, -1, 1, 0], [0, 1, 0, 2, 2, 2], [0, 1, 2, -1, 0, 0], [2, 2, 2, 2, 2, 2]])
    states = torch.full((len(beam),), model.start)
    expected = [_at_once(model, [number if number >= 0 else model.unknown for number in row]) for row in beam.tolist()]
    for place in range(beam.shape[1]):
        torch.testing.assert_close(model.end(states), torch.stack([row[place, model.edge] for row in expected]), atol=1e-5, rtol=1e-5)
        every, after = model.advance_all(states)
        torch.testing.assert_close(every, torch.stack([row[place, : model.unknown] for row in expected]), atol=1e-5, rtol=1e-5)
        before = states
        scores, states = model.advance(states, beam[:, place])
        numbers = torch.where(beam[:, place] < 0, model.unknown, beam[:, place])
        torch.testing.assert_close(
            scores, torch.stack([row[place, n] for row, n in zip(expected, numbers, strict=True)]), atol=1e-5, rtol=1e-5
        )
        known = beam[:, place] >= 0
        assert torch.equal(after[known].gather(1, beam[known, place, None])[:, 0], states[known])
        assert torch.equal(model.advance(before, beam[:, place])[1], states)
    assert states[0] != states[2]
    total = every.exp().sum(1) + model.end(before).exp() + model.advance(before, torch.full_like(before, -1))[0].exp()
    torch.testing.assert_close(total, torch.ones(4))


def test_equal_contexts_are_one_state_and_are_computed_once() -> None:
    model = _model()
    states = torch.zeros(3, dtype=torch.int64)
    for symbol in (0, 2, 1):
        _, states = model.advance(states, torch.full_like(states, symbol))
    assert states.unique().numel() == 1
    assert len(model._contexts.place_of) == 3


def test_contexts_are_forgotten_when_they_are_many_or_the_weights_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model()
    model.advance_all(torch.tensor([model.start]))
    assert model._contexts.bytes > 0
    assert model.start == 0
    assert model._contexts.place_of
    monkeypatch.setattr(transformer_lm, "KEPT", 1)
    assert model.start == 0
    assert not model._contexts.place_of
    model.advance_all(torch.tensor([0]))
    model.train()
    assert not model._contexts.place_of


def test_the_loss_is_of_symbols_and_ends_and_of_no_padding() -> None:
    model = _model()
    texts = ("a b x", "", "c")
    with torch.no_grad():
        losses = model(Batch(("1", "2", "3"), text=texts), 0)
    rows = [[0, 1, 3], [], [2]]
    expected = -sum(float(_at_once(model, row)[place, n]) for row in rows for place, n in enumerate([*row, model.edge]))
    assert losses.terms["nats"].count == 7.0
    assert float(losses.terms["nats"].sum) == pytest.approx(expected, rel=1e-5)
    assert model.counts(Batch(("1", "2", "3"), text=texts), 0) == {"nats": 7.0}
    found = perplexity(model, [model.split(text) for text in ("a b x", "c")], 4)
    alone = -float(_at_once(model, [])[0, model.edge])
    assert found.nats + found.nats_unknown + found.nats_ends == pytest.approx(expected - alone, rel=1e-5)


def test_symbols_are_taken_from_texts_and_rare_ones_are_unknown() -> None:
    settings = TransformerLM.completed(TransformerLMSettings(least=2), ["b a", "a b c"])
    assert settings.symbols == ("a", "b")
    assert TransformerLM.completed(settings, ["x x"]) == settings
    assert TransformerLM.completed(TransformerLMSettings(unit="letters"), ["ab a"]).symbols == ("a", "b", "|")
    with pytest.raises(UserError, match=r"model\.symbols is empty"):
        TransformerLM(TransformerLMSettings())
    with pytest.raises(ValueError, match="size = 15 must be even"):
        TransformerLMSettings(size=15)


def test_it_normalizes_as_its_settings_say() -> None:
    settings = TransformerLM.completed(TransformerLMSettings(normalization="en", unit="letters", size=16, heads=2), ["Ab, c!"])
    assert settings.symbols == ("a", "b", "c", "|")
    assert TransformerLM(settings).split("A bad cab.") == ["a", "|", "b", "a", "d", "|", "c", "a", "b"]
    with pytest.raises(UserError, match=r"'2 cats' has '2' \(DIGIT TWO\)"):
        TransformerLM(settings).split("2 cats")


def test_a_run_is_trained_on_transcripts(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "train.jsonl", 6)
    run_recipe("train", "transformer-lm-tiny", corpus.path, tmp_path / "run", valid=corpus.path, overrides=TINY)
    model = load(tmp_path / "run")
    assert isinstance(model, TransformerLM)
    assert set(model.symbols) == {letter for item in corpus for letter in (item.text or "").lower().replace(" ", "|") if letter not in ",."}


def test_a_run_is_trained_on_a_text_file_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "book.txt"
    text.write_text("One cat.\n\nTwo dogs and a cat\n", encoding="utf-8")
    run_recipe("train", "transformer-lm-tiny", text, tmp_path / "run", overrides=TINY)
    model = load(tmp_path / "run")
    assert isinstance(model, TransformerLM)
    assert model.symbols == tuple(sorted({*"onecat", *"twodogsanda", "|"}))
    assert model.normalization == "plain"
    assert run_recipe("train", "transformer-lm-tiny", text, tmp_path / "run", overrides=TINY).step == 2
    text.write_text("One cat.\n\nTwo cats and a dog\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"begun on another corpus \(.*book.txt: 2 recordings, 0.0 h, not .*but other ids, times"):
        run_recipe("train", "transformer-lm-tiny", text, tmp_path / "run", overrides=TINY)
    text.write_text("7 cats\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"'7 cats' has '7' \(DIGIT SEVEN\)"):
        run_recipe("train", "transformer-lm-tiny", text, tmp_path / "other", overrides=TINY)
    assert not (tmp_path / "other").exists()
    text.write_text("a cat\n" * 10, encoding="utf-8")
    words = ["train", "transformer-lm-tiny", "--corpus", str(text), "--run", str(tmp_path / "dry"), "--dry-run"]
    assert main([*words, *(word for setting in TINY for word in ("--set", setting))]) == 0
    assert "updates             2 (2.0 times through the corpus)" in capsys.readouterr().out


def test_subwords_are_learnt_from_the_texts_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    text = tmp_path / "text.txt"
    text.write_text("ab ab abc\n", encoding="utf-8")
    run_recipe("train", "transformer-lm-tiny", text, tmp_path / "run", overrides=(*TINY, "model.unit=bpe", "model.subwords=7"))
    model = load(tmp_path / "run")
    assert isinstance(model, TransformerLM)
    assert model.split("abc ab a") == ["▁ab", "c", "▁ab", "▁a"] or model.split("abc ab a") == ["▁abc", "▁ab", "▁", "a"]
    assert set(model.split("abc ab a")) <= set(model.symbols)
    assert "".join(model.split("ab x")) == "▁ab▁x"


def test_settings_build_it_again() -> None:
    model = _model()
    again = build(describe(model)).eval()
    again.load_state_dict(model.state_dict())
    assert isinstance(again, LanguageModel)
    assert torch.equal(again.advance_all(torch.tensor([0]))[0], model.advance_all(torch.tensor([0]))[0])


def test_of_the_embedded_grammar_it_learns_more_than_a_unigram(tmp_path: Path) -> None:
    sentences = [Normalizer("en")(sentence) for sentence in draw_sentences(330, np.random.default_rng(0))]
    learnt, tested = sentences[:300], sentences[300:]
    torch.manual_seed(0)
    model = TransformerLM(TransformerLM.completed(TransformerLMSettings(size=32, layers=1, heads=2, inner=64, dropout=0.0), learnt))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    random = np.random.default_rng(1)
    for step in range(80):
        chosen = tuple(learnt[number] for number in random.integers(len(learnt), size=16))
        optimizer.zero_grad()
        model(Batch(chosen, text=chosen), step).total().backward()
        optimizer.step()
    (tmp_path / "text").write_text("\n".join(learnt), encoding="utf-8")
    train_ngram([tmp_path / "text"], tmp_path / "unigram", order=1)
    found = {}
    for name, one in (("transformer", model.eval()), ("unigram", load(tmp_path / "unigram"))):
        found[name] = perplexity(one, [one.split(sentence) for sentence in tested], 1).of(ends=True, unknown=True)
    assert found["transformer"] < 0.75 * found["unigram"]
