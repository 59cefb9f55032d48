"""Continuations: what is written and spoken, that keys and prompts decide alone, what is refused, and that it goes on."""

import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.building import describe
from foresay.cli import main
from foresay.contracts import Sampling, TokenModel, Tokens
from foresay.corpora.manifest import Manifest
from foresay.encoding.resynthesis import Resynthesizer
from foresay.errors import UserError
from foresay.models.generation.unit_lm import UnitLM, UnitLMSettings
from foresay.runs import Run
from foresay.settings import write_toml
from foresay.trust import trusting
from foresay.workflows.continuation import Continuing, continue_speech, repeated
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer, write_synthesizer

COLD, WARM = Sampling(0.5, longest=30), Sampling(3.0, longest=30)


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trusting():
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 3)


@pytest.fixture(scope="module")
def synthesizer(corpus: Manifest) -> ToySynthesizer:
    return toy_synthesizer(corpus)


@pytest.fixture(scope="module")
def model(synthesizer: ToySynthesizer) -> UnitLM:
    torch.manual_seed(0)
    return UnitLM(UnitLMSettings(merged=False, size=16, layers=1, heads=2, inner=16), synthesizer.tokenizer).eval()


@pytest.fixture(scope="module")
def runs(model: UnitLM, synthesizer: ToySynthesizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_synthesizer(folder / "vocoder", synthesizer)
    write_model(folder / "lm", model)
    return folder


def write_model(folder: Path, model: UnitLM) -> None:
    run = Run(folder)
    run.begin("# resolved\n")
    described = write_toml({"recipe": "lm", "step": 7, "version": "0", "model": describe(model)})
    run.save(7, model.state_dict(), {}, described, keep=9)


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_units_are_drawn_by_the_model_for_each_prompt_and_temperature(corpus: Manifest, model: UnitLM, runs: Path, tmp_path: Path) -> None:
    how = Continuing((COLD, WARM), samples=2, prompt_seconds=0.4, seed=5)
    done = continue_speech(corpus.path, runs / "lm", tmp_path / "out", how)
    assert len(done.continued) == 3 * 2 * 2
    assert lines_of(tmp_path / "out" / "units.jsonl") == [json.loads(json.dumps(dataclasses.asdict(one))) for one in done.continued]
    assert not any((tmp_path / "out" / name).exists() for name in ("manifest.jsonl", "recordings.jsonl"))
    names = [one.id for one in done.continued[:4]]
    assert names == ["test-0-T0.5-1", "test-0-T0.5-2", "test-0-T3-1", "test-0-T3-2"]
    waveform = torch.from_numpy(corpus.read(1, 16_000, 0, 6_400))[None]
    tokens = model.tokenizer.encode(waveform, torch.tensor([6_400]))
    for sampling, some in ((COLD, done.continued[4:6]), (WARM, done.continued[6:8])):
        for one, key in zip(some, how.keys("test-1"), strict=True):
            drawn = model.generate(tokens, sampling, [key])
            assert one.units == tuple(drawn.ids[0, 0].tolist())
            assert one.prompt_units == tuple(tokens.ids[0, 0].tolist())
            assert one.ended == (len(one.units) < 30)
            assert (one.prompt, one.temperature) == ("test-1", sampling.temperature)
    assert len({one.units for one in done.continued if one.temperature == 3.0}) > 3


def test_prompts_are_spoken_again_and_then_what_follows(corpus: Manifest, synthesizer: ToySynthesizer, runs: Path, tmp_path: Path) -> None:
    how = Continuing((WARM,), prompt_seconds=0.5)
    done = continue_speech(corpus.path, runs / "lm", tmp_path / "out", how, vocoder=runs / "vocoder")
    spoken = {item.id: item for item in Manifest.open(tmp_path / "out" / "manifest.jsonl")}
    follows = {item.id: item for item in Manifest.open(tmp_path / "out" / "continuations.jsonl")}
    assert list(spoken) == [one.id for one in done.continued]
    resynthesizer = Resynthesizer(synthesizer)
    for place, one in enumerate(done.continued):
        pieces = resynthesizer.analyze(corpus.read(place, 16_000, 0, 8_000), f"speaker {place % 2}")
        ids = torch.tensor(one.units)[None, None]
        units = Tokens(ids, torch.tensor([len(one.units)]), 6, synthesizer.tokenizer.fingerprint, 100.0)
        after = synthesizer.synthesize(units, pieces[0].voice).waveforms[0].detach().numpy() if one.units else np.zeros(0)
        whole = np.concatenate([resynthesizer.speak(pieces), after])
        found, _ = soundfile.read(spoken[one.id].audio)
        assert np.abs(found - whole).max() <= 2**-15
        assert spoken[one.id].speaker == f"speaker {place % 2}"
        assert done.seconds[one.id] == pytest.approx(len(one.units) / 100)
        assert (one.id in follows) == bool(one.units)
        if one.units:
            assert (follows[one.id].start, follows[one.id].duration) == (0.5, pytest.approx(len(one.units) / 100))
            assert follows[one.id].audio == spoken[one.id].audio


def test_the_same_command_goes_on_and_another_is_refused(corpus: Manifest, runs: Path, tmp_path: Path) -> None:
    given = (corpus.path, runs / "lm", tmp_path / "out")
    how = Continuing((COLD,), prompt_seconds=0.2)
    continue_speech(*given, how, vocoder=runs / "vocoder", speaker="speaker 1")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "test-1-T0.5-1.wav").unlink()
    (tmp_path / "out" / "test-0-T0.5-1.wav").write_bytes(b"mine")
    continue_speech(*given, how, vocoder=runs / "vocoder", speaker="speaker 1")
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert after == before | {"test-0-T0.5-1.wav": b"mine"}  # what is there already is not spoken again
    with pytest.raises(UserError, match="made otherwise"):
        continue_speech(*given, dataclasses.replace(how, seed=1), vocoder=runs / "vocoder", speaker="speaker 1")


def test_another_prompt_by_the_same_name_is_spoken_anew(runs: Path, tmp_path: Path) -> None:
    """Also where the first command was stopped before it listed all units."""
    prompt, given = tmp_path / "prompt.wav", (tmp_path / "prompt.wav", runs / "lm", tmp_path / "out")
    how = Continuing((COLD,), prompt_seconds=0.2)
    spoken = []
    for level in (0.125, 0.375, 0.375, 0.25):
        soundfile.write(prompt, np.full(6_400, level), 16_000)
        (one,) = continue_speech(*given, how, vocoder=runs / "vocoder", speaker="speaker 1").continued
        assert lines_of(tmp_path / "out" / "units.jsonl") == [json.loads(json.dumps(dataclasses.asdict(one)))]
        path = tmp_path / "out" / "prompt-T0.5-1.wav"
        spoken.append((path.read_bytes(), path.stat().st_mtime_ns))
        assert [item.id for item in Manifest.open(tmp_path / "out" / "manifest.jsonl")] == ["prompt-T0.5-1"]
    assert spoken[1] == spoken[2]
    assert len({content for content, _ in spoken}) == 3
    (tmp_path / "out" / "units.jsonl").write_text((tmp_path / "out" / "units.jsonl").read_text()[:20])
    continue_speech(*given, how, vocoder=runs / "vocoder", speaker="speaker 1")
    assert path.read_bytes() == spoken[3][0]
    assert path.stat().st_mtime_ns > spoken[3][1]


def test_a_prompt_of_other_content_and_the_same_units_is_spoken_anew(runs: Path, tmp_path: Path) -> None:
    prompt, given = tmp_path / "prompt.wav", (tmp_path / "prompt.wav", runs / "lm", tmp_path / "out")
    how = Continuing((COLD,), prompt_seconds=0.2)
    units, spoken = [], []
    for whose in ("PCM_16", "PCM_24", "PCM_24"):  # of the same samples
        soundfile.write(prompt, np.full(6_400, 0.125), 16_000, subtype=whose)
        (one,) = continue_speech(*given, how, vocoder=runs / "vocoder", speaker="speaker 1").continued
        units.append((one.prompt_units, one.units))
        spoken.append((tmp_path / "out" / "prompt-T0.5-1.wav").stat().st_mtime_ns)
    assert units[0] == units[1]
    assert spoken[0] < spoken[1] == spoken[2]


def test_prompts_that_differ_in_their_ending_only_are_both_continued(runs: Path, tmp_path: Path) -> None:
    for name, level in (("a.wav", 0.125), ("a.flac", 0.375)):
        (tmp_path / "in").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "in" / name, np.full(6_400, level), 16_000)
    how = Continuing((COLD,), prompt_seconds=0.2)
    done = continue_speech(tmp_path / "in", runs / "lm", tmp_path / "out", how, vocoder=runs / "vocoder", speaker="speaker 1")
    assert [one.id for one in done.continued] == ["a.flac-T0.5-1", "a.wav-T0.5-1"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.wav")) == ["a.flac-T0.5-1.wav", "a.wav-T0.5-1.wav"]
    alone = continue_speech(tmp_path / "in" / "a.wav", runs / "lm", tmp_path / "alone", how)
    assert [(one.id, one.units) for one in alone.continued] == [("a-T0.5-1", done.continued[1].units)]


def test_nothing_of_other_things_is_lost(corpus: Manifest, runs: Path, tmp_path: Path) -> None:
    how = Continuing((COLD,), prompt_seconds=0.2)
    for name in ("units.jsonl", "continuations.jsonl"):
        out = tmp_path / name
        out.mkdir()
        (out / name).write_text("mine")
        with pytest.raises(UserError, match=f"{name} is there already, and is none of this command's"):
            continue_speech(corpus.path, runs / "lm", out, how)
        assert (out / name).read_text() == "mine"
    with pytest.raises(UserError, match="would itself be continued the next time"):
        continue_speech(tmp_path, runs / "lm", tmp_path / "out", how)


def test_a_prompt_is_continued_alike_whatever_else_is_continued(corpus: Manifest, runs: Path, tmp_path: Path) -> None:
    how = Continuing((WARM,), samples=2, prompt_seconds=0.3)
    all_of_them = continue_speech(corpus.path, runs / "lm", tmp_path / "all", how).continued
    one = continue_speech(corpus[2].audio or "", runs / "lm", tmp_path / "one", how).continued  # by another id: other keys
    assert one[0].prompt_units == all_of_them[4].prompt_units
    assert one[0].units != all_of_them[4].units
    fewer = Manifest.open(corpus.path).without([0, 1])
    (tmp_path / "fewer.jsonl").write_bytes(
        corpus.path.read_bytes().splitlines(keepends=True)[2].replace(b"audio/", f"{corpus.path.parent}/audio/".encode())
    )
    assert continue_speech(tmp_path / "fewer.jsonl", runs / "lm", tmp_path / "few", how).continued == all_of_them[4:]
    assert len(fewer) == 1


def test_of_a_long_prompt_the_last_window_is_read(
    corpus: Manifest, model: UnitLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model knows no text longer than 11 units: after 30 it draws as after the last 10, 6 + the begin at least, and says so."""
    short = copy.deepcopy(model)
    short.longest.fill_(12)
    write_model(tmp_path / "short", short)
    how = Continuing((WARM,), samples=2, prompt_seconds=0.3)
    done = continue_speech(corpus.path, tmp_path / "short", tmp_path / "out", how)
    for one in done.continued:
        assert len(one.prompt_units) == 30
        kept = torch.tensor(one.prompt_units[24:])[None, None]
        last = Tokens(kept, torch.tensor([6]), 6, model.tokenizer.fingerprint, 100.0)
        key = how.keys(one.prompt)[one.sample - 1]
        assert one.units[:6] == tuple(model.generate(last, Sampling(3.0, longest=6), [key]).ids[0, 0].tolist())
    assert (done.window, done.long_prompts, done.long) == (12, 3, 6)
    unlimited = continue_speech(corpus.path, tmp_path / "short", tmp_path / "few", dataclasses.replace(how, prompt_seconds=0.01))
    assert unlimited.long_prompts == 0
    assert unlimited.long == sum(len(one.units) > 11 for one in unlimited.continued) > 0
    words = [
        "continue",
        str(corpus.path),
        "--lm",
        str(tmp_path / "short"),
        "--out",
        str(tmp_path / "said"),
        "--trust",
        "--temperature",
        "1",
    ]
    assert main(words) == 0
    assert "of 3 prompts only the last units are read: 6 to 11, for the language model reads no more at once" in capsys.readouterr().out


def test_what_cannot_be_continued_is_listed_or_refused(runs: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(80), 16_000)
    with pytest.raises(UserError, match=r"nothing can be continued; the first of 1: short.wav: 0.005 s are too short for a unit"):
        continue_speech(tmp_path / "short.wav", runs / "lm", tmp_path / "none", Continuing((COLD,)))
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "long.wav", 0.1 * np.ones(4000), 8_000)
    soundfile.write(tmp_path / "in" / "short.wav", np.zeros(80), 16_000)
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF")
    done = continue_speech(tmp_path / "in", runs / "lm", tmp_path / "some", Continuing((COLD,)))
    assert [one.id for one in done.continued] == ["long-T0.5-1"]
    assert sorted(done.left_out) == ["broken.wav", "short.wav"]
    assert len((tmp_path / "some" / "left-out.txt").read_text().splitlines()) == 2


def test_models_of_other_kinds_and_units_are_refused(corpus: Manifest, runs: Path, tmp_path: Path) -> None:
    how = Continuing((COLD,))
    with pytest.raises(UserError, match="mfcc is an MFCC.*continues no speech"):
        continue_speech(corpus.path, "mfcc", tmp_path / "out", how)
    with pytest.raises(UserError, match="synthesizes no speech"):
        continue_speech(corpus.path, runs / "lm", tmp_path / "out", how, vocoder=runs / "lm")
    other = write_synthesizer(tmp_path / "other", toy_synthesizer(write_corpus(tmp_path / "other.jsonl", 2, seed=9)))
    with pytest.raises(UserError, match="speaks those of tokenizer .* Train both with the same --units"):
        continue_speech(corpus.path, runs / "lm", tmp_path / "out", how, vocoder=other)
    with pytest.raises(UserError, match="nothing speaks it: give --vocoder"):
        continue_speech(corpus.path, runs / "lm", tmp_path / "out", how, speaker="speaker 0")
    assert not (tmp_path / "out").exists()


def test_how_prompts_are_continued_is_checked() -> None:
    for wrong, message in [
        ({"samplings": ()}, "at least one temperature"),
        ({"samplings": (COLD, COLD)}, "each once"),
        ({"samplings": (COLD,), "samples": 0}, "samples must be 1 or more"),
        ({"samplings": (COLD,), "seed": -1}, "seed must be 0 or more"),
        ({"samplings": (COLD,), "prompt_seconds": 0.0}, "must be above 0"),
        ({"samplings": (COLD,), "prompt_seconds": math.nan}, "nan is no length of a prompt"),
        ({"samplings": (COLD,), "prompt_seconds": math.inf}, "inf is no length of a prompt"),
    ]:
        with pytest.raises(UserError, match=message):
            Continuing(**wrong)  # type: ignore[arg-type]


def test_tokens_are_repeated_with_their_durations() -> None:
    tokens = Tokens(torch.tensor([[[1, 1, 2]]]), torch.tensor([3]), 3, "f", 10.0)
    assert repeated(tokens, 2).ids.tolist() == [[[1, 1, 2]]] * 2
    merged = repeated(tokens.merged(), 3)
    assert merged.durations is not None
    assert merged.durations.tolist() == [[2, 1]] * 3
    assert merged.lengths.tolist() == [2, 2, 2]


def test_the_command(corpus: Manifest, model: TokenModel, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ARG001
    words = ["continue", str(corpus[0].audio), "--lm", str(runs / "lm"), "--out", str(tmp_path / "out"), "--trust"]
    more = ["--vocoder", str(runs / "vocoder"), "--speaker", "speaker 0", "--longest", "20", "--prompt-seconds", "0.3"]
    assert main([*words, *more, "--temperature", "0.3,1.0,1.5"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[:2] for line in said.splitlines()[:4]] == [
        ["temperature", "continuations"],
        ["0.3", "1"],
        ["1", "1"],
        ["1.5", "1"],
    ]
    assert f"see {tmp_path / 'out'}" in said
    assert len(list((tmp_path / "out").glob("*.wav"))) == 3
    assert main([*words, "--temperature", "warm"]) == 2
    assert "--temperature warm" in capsys.readouterr().err
    assert main([*words, "--temperature", "-1"]) == 2
    assert main(["continue", "--lm", "a", "--temperature", "1", "--out", "b"]) == 2
    assert "what is to be continued?" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "\n  continue " in capsys.readouterr().out
