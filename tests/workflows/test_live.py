"""Transcripts that appear while the audio goes in: joined, the pieces are those of the whole."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.cli import main
from foresay.corpora.manifest import Item, write_manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.errors import AudioError, UserError
from foresay.loading import load
from foresay.models.recognition.attention import AttentionRecognizer, AttentionSettings
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.recognition.transducer import Transducer, TransducerSettings
from foresay.models.representation.cpc import CPC, CPCSettings
from foresay.workflows.language_models import train_ngram
from foresay.workflows.live import transcribe_live
from foresay.workflows.transcribe import transcribe

SYMBOLS = ("<blank>", "|", "a", "b", "c")
RATE = 16_000


@pytest.fixture(scope="module")
def recognizer() -> CTC:
    """Untrained, but for a bias by which all symbols are as likely in noise."""
    torch.manual_seed(0)
    model = CTC(CTCSettings(SYMBOLS), CPC(CPCSettings(channels=32, context_size=32, context_layers=1))).eval()
    with torch.no_grad():
        model.head.weight.normal_(std=3.0)
        model.head.bias -= model.emissions(0.1 * torch.randn(1, RATE), torch.tensor([RATE])).log_probabilities[0].mean(0)
    return model


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of noise, now louder, now softer; one of them at another rate and in stereo."""
    folder, random = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    noise = 0.3 * random.normal(size=(11_111, 2)) * np.repeat(random.random(12) ** 3, 1000)[:11_111, None]
    soundfile.write(folder / "a.wav", noise[:, 0].clip(-1, 1), RATE, "PCM_16")
    soundfile.write(folder / "b.flac", noise.clip(-1, 1), 22_050)
    return folder


def test_pieces_are_the_lines_of_the_whole(recognizer: CTC, audio: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ab cab\nbac a\n")
    train_ngram([tmp_path / "text.txt"], tmp_path / "letters.arpa", order=3, unit="letters")
    for search in (SearchSettings(), SearchSettings(str(tmp_path / "letters.arpa"), 0.5, 0.2, beam=8)):
        whole = [f"{said.id}\t{said.text}\n" for said in transcribe(recognizer, audio, search)]
        pieces = list(transcribe_live(recognizer, [audio], search))
        assert "".join(pieces) == "".join(whole)
        assert len(pieces) > 5


def test_a_transducer_writes_the_lines_of_the_whole(audio: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = CPC(CPCSettings(channels=32, context_size=32, context_layers=1))
    transducer = Transducer(TransducerSettings(SYMBOLS, stack=4), encoder).eval()
    with torch.no_grad():
        transducer.projection.weight.normal_(std=3.0)
    whole = [f"{said.id}\t{said.text}\n" for said in transcribe(transducer, audio)]
    pieces = list(transcribe_live(transducer, [audio]))
    assert "".join(pieces) == "".join(whole)
    assert len(pieces) > 5
    (tmp_path / "text.txt").write_text("ab cab\nbac a\n")
    train_ngram([tmp_path / "text.txt"], tmp_path / "letters.arpa", order=3, unit="letters")
    search = SearchSettings(str(tmp_path / "letters.arpa"), 2.0, 0.2, beam=8)
    fused = "".join(transcribe_live(transducer, [audio], search))
    assert fused != "".join(transcribe_live(transducer, [audio], SearchSettings(beam=8)))


def test_text_is_there_before_the_pipe_ends(recognizer: CTC, audio: Path) -> None:
    (said,) = transcribe(recognizer, audio / "a.wav")
    samples, _ = soundfile.read(audio / "a.wav", dtype="int16")
    pipe = io.BytesIO(samples.astype("<i2").tobytes() + b"\0")
    pieces = transcribe_live(recognizer, ["-"], pipe=pipe)
    first = next(pieces)
    assert first.startswith("-\t")
    assert said.text.startswith(first[2:])
    assert pipe.read(len(samples))  # half of the bytes are still to come
    assert "".join(transcribe_live(recognizer, ["-"], pipe=io.BytesIO(samples.astype("<i2").tobytes() + b"\0"))) == f"-\t{said.text}\n"


def test_what_cannot_be_read_or_is_too_short_is_listed(recognizer: CTC, audio: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(320), RATE)
    seconds = soundfile.info(audio / "a.wav").duration
    names = {"cut": (audio / "a.wav", 9.0), "short": (tmp_path / "short.wav", 0.02), "gone": (tmp_path / "gone.wav", 1.0)}
    items = [Item(name, audio=path, duration=length, sample_rate=RATE) for name, (path, length) in names.items()]
    write_manifest(tmp_path / "m.jsonl", [*items, Item("whole", audio=audio / "a.wav", duration=seconds, sample_rate=RATE)])
    lost: dict[str, AudioError] = {}
    cut, whole = "".join(transcribe_live(recognizer, [tmp_path / "m.jsonl"], unreadable=lost)).splitlines()
    (said,) = transcribe(recognizer, audio / "a.wav")
    assert whole == f"whole\t{said.text}"
    assert cut.startswith("cut\t")
    assert said.text.startswith(cut.removeprefix("cut\t"))
    assert list(lost) == list(names)
    assert "lasts 0.02 s, in which there is no frame" in str(lost["short"])
    with pytest.raises(AudioError):
        list(transcribe_live(recognizer, [tmp_path / "m.jsonl"]))


@pytest.mark.parametrize("content", [b"RIFF....WAVE", b"OggS...", b"fLaC"])
def test_a_file_in_the_pipe_is_no_samples(recognizer: CTC, content: bytes) -> None:
    with pytest.raises(UserError, match="the pipe holds a file with a header.*s16le -ar 16000"):
        list(transcribe_live(recognizer, ["-"], pipe=io.BytesIO(content)))


def test_samples_that_look_like_a_header_later_on_are_samples(recognizer: CTC) -> None:
    first = b"\0" * round(0.2 * RATE)  # a chunk
    assert "".join(transcribe_live(recognizer, ["-"], pipe=io.BytesIO(first + b"RIFF" + first))).startswith("-\t")


def test_what_needs_the_whole_is_refused(recognizer: CTC, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("ab\ta b\n")
    (tmp_path / "text.txt").write_text("ab\n")
    train_ngram([tmp_path / "text.txt"], tmp_path / "words.arpa", order=1)
    words = SearchSettings(lexicon=str(tmp_path / "lexicon.txt"))
    second = SearchSettings(beam=4, rescore=str(tmp_path / "words.arpa"), rescore_weight=1.0)
    ahead = CTC(CTCSettings(SYMBOLS, cmvn=True), load("logmel"))
    attention = AttentionRecognizer(AttentionSettings(SYMBOLS), load("logmel"))
    for model, search, reason in (
        (recognizer, words, "a search over the words of a lexicon needs the whole"),
        (recognizer, second, "a second language model needs the whole"),
        (attention, SearchSettings(), "AttentionRecognizer, whose search is its own, needs the whole"),
        (Transducer(TransducerSettings(SYMBOLS, lstm=4), load("logmel")), SearchSettings(), "model.lstm looks at the whole"),
        (Transducer(TransducerSettings(SYMBOLS), load("logmel")), SearchSettings(beam=2), "LogMel looks at the whole"),
        (ahead, SearchSettings(), "model.cmvn looks at the whole"),
    ):
        with pytest.raises(UserError, match=reason):
            next(transcribe_live(model, ["nowhere.wav"], search))


def test_the_command_prints_what_it_prints_of_the_whole(
    recognizer: CTC, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foresay.cli.transcribe.load_recognizer", lambda *_: recognizer)
    (tmp_path / "in").mkdir()
    for path in audio.iterdir():
        shutil.copy(path, tmp_path / "in")
    soundfile.write(tmp_path / "in" / "short.wav", np.zeros(320), RATE)
    (tmp_path / "in" / "text.wav").write_text("no audio")
    live = ["transcribe", "runs/asr", str(tmp_path / "in"), "--stream"]
    assert main(live[:-1]) == 0
    whole = capsys.readouterr()
    assert main(live) == 0
    streamed = capsys.readouterr()
    assert streamed.out == whole.out
    assert sorted(streamed.err.splitlines()) == sorted(whole.err.splitlines())
    assert main([*live, "--format", "srt", "--out", str(tmp_path / "x")]) == 2
    assert "leave out --format and --out" in capsys.readouterr().err
