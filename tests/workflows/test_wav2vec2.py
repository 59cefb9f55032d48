"""wav2vec 2.0 done again: every recognizer once, each change of Table 13 known to the model, nothing begun that lacks texts."""

from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.training.recipe import read_recipe
from foresay.workflows import experiment, few_labels
from foresay.workflows.reproductions import wav2vec2
from foresay.workflows.reproductions.wav2vec2 import ABLATIONS, PUBLISHED_13, SCALES, Wav2Vec2Recognition
from reference.levels import write_corpus


def test_every_row_of_table_13_is_a_setting_of_the_paper_s_recipe_and_differs() -> None:
    assert ABLATIONS.keys() == PUBLISHED_13.keys()
    base = read_recipe("wav2vec2-base").model_settings
    changed = {name: read_recipe("wav2vec2-base", overrides).model_settings for name, overrides in ABLATIONS.items()}
    assert len({repr(settings) for settings in changed.values()} | {repr(base)}) == len(ABLATIONS) + 1


@pytest.mark.parametrize("scale", SCALES)
def test_every_recipe_of_a_scale_is_there(scale: str) -> None:
    size = SCALES[scale]
    trainings = Wav2Vec2Recognition().trainings(scale)
    assert len({one.folder for one in trainings}) == len(size.ablations) + 1
    assert all(read_recipe(one.recipe, one.overrides) for one in trainings)
    for recipe in size.recipes:
        assert read_recipe(recipe, (*size.finetuning, *size.scratch)).model == "ctc"
    assert read_recipe("transformer-lm-tiny", ("model.unit=words", *size.transformer)).model == "transformer-lm"
    assert len(size.recipes) == len(size.minutes)


def test_texts_and_tests_are_needed_before_anything_begins(tmp_path: Path) -> None:
    write_corpus(tmp_path / "valid.jsonl", 4, seed=0)
    with pytest.raises(UserError, match=r"lacks texts\.txt, test-clean\.jsonl, test-other\.jsonl: .* a sentence a line"):
        Wav2Vec2Recognition().check("small", tmp_path)


def test_recognizers_of_all_rows_are_trained_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[list[tuple[str, ...]]] = []
    monkeypatch.setattr(experiment, "side_by_side", done.append)
    monkeypatch.setattr(wav2vec2, "side_by_side", done.append)
    monkeypatch.setattr(few_labels.FewLabels, "labelled", lambda self, minutes: self.parent / f"{minutes:g}.jsonl")
    monkeypatch.setattr(few_labels.FewLabels, "symbols", ("<blank>", "|", "a"))
    Wav2Vec2Recognition().finish("demo", tmp_path / "corpus", tmp_path)
    finetuned = [words for stage in done for words in stage if words[0] == "finetune"]
    encoders = {words[words.index("--encoder") + 1].removeprefix("untrained:") for words in finetuned}
    assert encoders == {str(tmp_path / one.folder) for one in Wav2Vec2Recognition().trainings("demo")}
    assert len(finetuned) == 2 * 3 + len(SCALES["demo"].ablations)
    runs = {words[words.index("--run") + 1] for words in finetuned}
    measured = [words[1] for stage in done for words in stage if words[0] == "evaluate"]
    assert set(measured) == runs
    assert len(measured) == len(runs)
