"""Speaker table: who is known, by name, and that others are refused."""

from pathlib import Path

import pytest
import torch

from foresay.building import build, describe
from foresay.encoding.passes import CorpusPasses
from foresay.errors import UserError
from foresay.models.units.speaker_table import SpeakerTable, SpeakerTableSettings
from reference.levels import write_corpus


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> SpeakerTable:
    made = SpeakerTable(SpeakerTableSettings())
    path: Path = tmp_path_factory.mktemp("corpus") / "train.jsonl"
    made.fit(CorpusPasses(write_corpus(path, 4, speakers=2, seed=0), 0))
    return made


def test_each_speaker_has_a_vector_of_its_own(table: SpeakerTable) -> None:
    assert (list(table.names), table.size) == (["speaker 0", "speaker 1"], 2)
    assert table.of_names(["speaker 1", "speaker 0", "speaker 1"]).tolist() == [[0, 1], [1, 0], [0, 1]]
    silence = torch.zeros(1, 10), torch.tensor([10])
    assert torch.equal(table.of_batch(["speaker 1"], *silence), table.of_names(["speaker 1"]))


def test_names_are_kept_with_the_model(table: SpeakerTable) -> None:
    copy = build(describe(table))
    assert isinstance(copy, SpeakerTable)
    copy.load_state_dict(table.state_dict())
    assert copy.names == table.names
    assert copy.size == 2


def test_a_stranger_is_refused_and_all_are_named(table: SpeakerTable) -> None:
    with pytest.raises(UserError, match=r'did you mean "speaker 1"\? Known: speaker 0, speaker 1'):
        table.of_names(["speaker 0", "speaker1"])


def test_a_table_that_was_not_fitted_says_how_it_is() -> None:
    with pytest.raises(UserError, match="train speaker-table .* --set parts.speaker=DIR"):
        SpeakerTable(SpeakerTableSettings()).of_names(["anna"])


def test_a_recording_is_refused(table: SpeakerTable) -> None:
    with pytest.raises(UserError, match="by name only"):
        table.of_audio(torch.zeros(1, 10), torch.tensor([10]))
