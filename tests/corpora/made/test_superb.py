"""The miniature of SUPERB: whole, the same again, with voices apart in its splits, and with labels that are true."""

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from foresay import draws
from foresay.audio.voice import PHONE_SET, speak
from foresay.cli import main
from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made import superb
from foresay.corpora.made.spoken import commands, conversations, keywords, queries, readings, requests, styles
from foresay.corpora.made.spoken.clips import SPEAKERS, SPLITS, Clip, SpokenClip, speakers_of
from foresay.corpora.made.superb import MANIFESTS, MiniatureSuperb
from foresay.corpora.manifest import Item, Manifest
from foresay.errors import UserError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> MadeCorpus:
    return MiniatureSuperb(seed=3, scale=0.1).make(tmp_path_factory.mktemp("corpora") / "superb")


@pytest.fixture(scope="module")
def folder(corpus: MadeCorpus) -> Path:
    return corpus.manifests["all"].parent


@pytest.fixture(scope="module")
def items(corpus: MadeCorpus) -> dict[str, list[Item]]:
    return {name: list(Manifest.open(path)) for name, path in corpus.manifests.items()}


@pytest.fixture(scope="module")
def planned() -> dict[str, list[Clip]]:
    """Of the usual size: manifest -> clips."""
    clips = superb.plan(seed=0, scale=1.0)
    return {name: [clip for clip in clips if name in clip.manifests] for name in MANIFESTS}


def utterances(clips: list[Clip]) -> list[SpokenClip]:
    return [clip for clip in clips if isinstance(clip, SpokenClip)]


def samples_of(item: Item) -> npt.NDArray[np.float64]:
    assert item.audio is not None
    return np.asarray(soundfile.read(item.audio)[0])


def decibels(samples: npt.NDArray[np.floating]) -> float:
    return float(10 * np.log10(np.square(samples).mean()))


def pairs_in(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def test_all_tasks_have_what_they_need(folder: Path, items: dict[str, list[Item]]) -> None:
    tasks = {"pr", "asr", "ks", "sid", "asv", "sd", "er", "ic", "sf"}
    expected = {f"{task}/{split}.jsonl" for task in tasks for split in SPLITS}
    expected |= {f"qbe/{name}" for name in ("documents.jsonl", "valid-queries.jsonl", "test-queries.jsonl")}
    expected |= {f"{name}.txt" for name in ("asv/valid-trials", "asv/test-trials", "qbe/valid-relevant", "qbe/test-relevant")}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".flac"}
    assert there == expected | {"manifest.jsonl", "corpus.toml"}
    everything = {item.id for name in MANIFESTS for item in items[name]}
    assert {item.id for item in items["all"]} == everything
    assert len(items["all"]) == len(everything) == len(list(folder.rglob("*.flac")))
    for item in items["all"]:
        info = soundfile.info(item.audio)
        assert (info.samplerate, info.frames) == (16000, round(item.duration * 16000))
        assert item.duration < 7


def test_recordings_are_neither_clipped_nor_faint(items: dict[str, list[Item]]) -> None:
    for item in items["all"]:
        samples = samples_of(item)
        assert np.abs(samples).max() < 0.96
        assert -38 < decibels(samples) < -18
        assert np.abs(samples[:800]).max() > 0


def test_a_clip_depends_on_itself_and_the_seed_alone(folder: Path, tmp_path: Path) -> None:
    clips = superb.plan(seed=3, scale=0.1)
    for kind, of_kind in itertools.groupby(clips, key=lambda clip: clip.folder):
        *_, clip = of_kind
        item = superb._record(clip, tmp_path, 3)
        assert item.audio is not None
        assert item.audio.read_bytes() == (folder / "audio" / kind / item.audio.name).read_bytes()
        other = superb._record(clip, tmp_path / "other", 4)
        assert other.audio is not None
        assert other.audio.read_bytes() != item.audio.read_bytes()


def test_nobody_says_the_same_twice_alike(tmp_path: Path) -> None:
    first, second = (superb._record(SpokenClip(name, "ks", (), "us-leo-low", "left", seconds=0.8), tmp_path, 0) for name in ("one", "two"))
    assert first.words != second.words


def test_the_same_seed_plans_the_same_and_another_one_something_else() -> None:
    assert superb.plan(3, 0.2) == superb.plan(3, 0.2)
    first, second = ({clip.text for clip in utterances(superb.plan(seed, 0.2)) if clip.folder in {"readings", "er"}} for seed in (3, 4))
    assert len(first & second) < 5


def test_made_already_it_is_left_alone(corpus: MadeCorpus, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(superb, "plan", None)  # nothing is planned
    assert MiniatureSuperb(seed=3, scale=0.1).make(folder) == replace(corpus, reused=True)


def test_its_description_names_seed_engine_and_license(folder: Path) -> None:
    text = (folder / "corpus.toml").read_text()
    for line in ('name = "superb"', "seed = 3", "scale = 0.1", f'phone_set = "{PHONE_SET}"', 'engine = "eSpeak NG 1.', "GPL"):
        assert line in text


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": math.inf}, {"scale": math.nan}, {"seed": -1}])
def test_what_cannot_be_made_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"scale=.* must be above 0, seed=.* not below it"):
        MiniatureSuperb(**wrong).make(tmp_path)


def test_the_command_shows_each_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "make", "superb", str(folder), "--seed", "3", "--scale", "0.1"]) == 0
    printed = capsys.readouterr().out
    assert "was there already" in printed
    assert "  sid/train.jsonl" in printed
    assert "  qbe/documents.jsonl" in printed


def timbres(clips: list[Clip]) -> set[str]:
    spoken = {clip.speaker for clip in utterances(clips)}
    spoken |= {speaker for clip in clips if isinstance(clip, conversations.Conversation) for speaker in clip.speakers}
    return {speaker.rpartition("-")[0] for speaker in spoken}


def test_voices_of_test_and_valid_are_their_own(planned: dict[str, list[Clip]]) -> None:
    for task in ("pr", "asr", "ks", "asv", "sd", "er", "ic", "sf"):
        train, valid, test = (timbres(planned[f"{task}/{split}"]) for split in SPLITS)
        assert test == {"us-sam", "gb-fay", "us-abe", "us-grace"}
        assert valid == {"gb-jack", "us-zoe", "rp-ed"}
        assert len(train) == 9
        assert not train & (valid | test)


def test_all_speakers_are_in_each_split_of_their_identification(items: dict[str, list[Item]]) -> None:
    for split in SPLITS:
        assert {item.speaker for item in items[f"sid/{split}"]} == set(SPEAKERS)
    assert max(Counter(item.text for split in SPLITS for item in items[f"sid/{split}"]).values()) == 1


def test_speakers_of_a_timbre_differ_in_pitch_and_rate() -> None:
    assert len(SPEAKERS) == 32
    for lower, higher in zip(list(SPEAKERS)[::2], list(SPEAKERS)[1::2], strict=True):
        assert (lower.removesuffix("-low"), SPEAKERS[lower].timbre) == (higher.removesuffix("-high"), SPEAKERS[higher].timbre)
        assert SPEAKERS[higher].pitch - SPEAKERS[lower].pitch == 30
        assert SPEAKERS[higher].rate > SPEAKERS[lower].rate


def test_readings_have_phones_and_words_of_their_text(items: dict[str, list[Item]]) -> None:
    for split in SPLITS:
        assert len({tuple(item.id for item in items[f"{task}/{split}"]) for task in ("pr", "asr", "asv")}) == 1
        for item in items[f"pr/{split}"]:
            assert item.phones is not None
            assert item.words is not None
            assert (item.phones[0].start, item.phones[-1].end) == (0, item.duration)
            assert all(before.end == after.start for before, after in itertools.pairwise(item.phones))
            assert " ".join(word.label for word in item.words) == (item.text or "").lower().rstrip(".")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_trials_are_all_pairs_of_one_speaker_and_as_many_of_two(split: str, folder: Path, items: dict[str, list[Item]]) -> None:
    speakers = {item.id: item.speaker for item in items[f"asv/{split}"]}
    trials = pairs_in(folder / "asv" / f"{split}-trials.txt")
    assert all(same == str(int(speakers[one] == speakers[other])) for same, one, other in trials)
    assert len({frozenset(pair) for _, *pair in trials}) == len(trials)
    counts = Counter(same for same, *_ in trials)
    assert counts["1"] == counts["0"] == sum(math.comb(count, 2) for count in Counter(speakers.values()).values())


def test_trials_of_another_seed_are_others(planned: dict[str, list[Clip]]) -> None:
    first, again, other = (readings.trials(planned["asv/valid"], draws.made(1, seed)) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("split", ["valid", "test"])
def test_relevant_documents_have_the_word_at_a_time(split: str, folder: Path, items: dict[str, list[Item]]) -> None:
    said = {item.id: {word.label for word in item.words or ()} for item in items["qbe/documents"]}
    asked = {item.id: item.text for item in items[f"qbe/{split}-queries"]}
    relevant = {tuple(pair) for pair in pairs_in(folder / "qbe" / f"{split}-relevant.txt")}
    assert relevant == {(query, document) for query, word in asked.items() for document, words in said.items() if word in words}
    assert all(sum(query == one for one, _ in relevant) >= 2 for query in asked)


def test_queries_are_said_by_others_and_found_in_some_documents(planned: dict[str, list[Clip]]) -> None:
    speakers = {
        name: {clip.speaker for clip in utterances(planned[f"qbe/{name}"])} for name in ("documents", "valid-queries", "test-queries")
    }
    words = {name: {clip.text for clip in utterances(planned[f"qbe/{name}"])} for name in ("valid-queries", "test-queries")}
    assert not any(one & other for one, other in itertools.combinations(speakers.values(), 2))
    assert not words["valid-queries"] & words["test-queries"]
    for split in ("valid", "test"):
        asked = planned[f"qbe/{split}-queries"]
        found = Counter(line.split()[0] for line in queries.relevant(asked, planned["qbe/documents"]))
        assert found.keys() == {clip.id for clip in asked}
        assert 4 <= min(found.values()) <= max(found.values()) <= 6  # of 60


def test_a_document_has_a_word_and_not_a_part_of_one() -> None:
    query, document = SpokenClip("q", "qbe", (), "us-leo-low", "car"), SpokenClip("d", "qbe", (), "us-leo-low", "Ruth saw the carpet.")
    assert not queries.relevant([query], [document])
    assert queries.relevant([query], [replace(document, text="Ruth saw the car.")]) == ["q d"]


def test_turns_are_where_the_sound_is(items: dict[str, list[Item]]) -> None:
    for item in itertools.chain.from_iterable(items[f"sd/{split}"] for split in SPLITS):
        assert item.turns is not None
        samples = samples_of(item)
        times = np.arange(len(samples)) / 16000
        spoken = np.zeros(len(samples), dtype=bool)
        for start, end, _ in item.turns:
            within = (start <= times) & (times < end)
            spoken |= within
            assert decibels(samples[within]) > decibels(samples) - 10  # one is softer than the other, by 6 dB at most
        edge = round(item.turns[0].start * 16000)
        assert decibels(samples[:edge]) < decibels(samples[spoken]) - 10
        assert decibels(samples[edge : edge + 3200]) > decibels(samples[:edge]) + 6


def test_two_speak_in_turn_and_sometimes_at_once(items: dict[str, list[Item]], planned: dict[str, list[Clip]]) -> None:
    overlaps = []
    for item in itertools.chain.from_iterable(items[f"sd/{split}"] for split in SPLITS):
        turns = item.turns or ()
        assert len({turn.label for turn in turns}) == 2
        assert all(one.label != other.label for one, other in itertools.pairwise(turns))
        assert all(other.start > one.end for one, other in zip(turns, turns[2:], strict=False))  # nobody interrupts himself
        overlaps += [one.end - other.start for one, other in itertools.pairwise(turns)]
    assert min(overlaps) < 0 < max(overlaps) <= 0.7
    clips = [clip for split in SPLITS for clip in planned[f"sd/{split}"] if isinstance(clip, conversations.Conversation)]
    assert Counter(len(clip.texts) for clip in clips) == {3: 35, 4: 35}
    assert not any(clip.speakers[0] == clip.speakers[1] for clip in clips)


def test_the_softer_speaker_is_softer_in_all_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "in_a_room", lambda samples, _rng: samples)
    monkeypatch.setattr(conversations, "_PAUSE", (0.1, 0.2))
    clip = conversations.Conversation("c", "sd", (), ("us-leo-low", "gb-fay-high"), ("Ruth laughed.", "Roy slept.") * 2)
    differences = []
    for seed in range(6):
        samples, item = clip.record(np.random.default_rng(seed))
        levels = [decibels(samples[round(start * 16000) : round(end * 16000)]) for start, end, _ in item.turns or ()]
        np.testing.assert_allclose(levels[:2], levels[2:], atol=0.01)
        differences.append(levels[0] - levels[1])
        np.testing.assert_allclose(max(levels), -20, atol=0.01)
    assert -6 <= min(differences) < 0 < max(differences) <= 6


def test_classes_are_balanced(planned: dict[str, list[Clip]]) -> None:
    for task, classes in (("ks", 12), ("ic", 18), ("er", 4)):
        for split in SPLITS:
            labels = Counter(clip.label if isinstance(clip, SpokenClip) else keywords.SILENCE for clip in planned[f"{task}/{split}"])
            assert len(labels) == classes
            assert len(set(labels.values())) == 1


def test_speakers_say_about_as_much_of_everything(planned: dict[str, list[Clip]]) -> None:
    for task, split in itertools.product(("ks", "ic", "er", "sf"), SPLITS):
        counts = Counter(clip.speaker for clip in utterances(planned[f"{task}/{split}"]))
        assert len(counts) == len(speakers_of(split))
        assert max(counts.values()) - min(counts.values()) <= (4 if task == "er" else 1)


def test_keywords_last_the_same_and_lie_within(items: dict[str, list[Item]]) -> None:
    for item in itertools.chain.from_iterable(items[f"ks/{split}"] for split in SPLITS):
        assert item.duration == 0.8
        if item.label == keywords.SILENCE:
            assert (item.text, item.speaker, item.words) == (None, None, None)
            continue
        assert item.words is not None
        assert item.label == (item.text if item.text in keywords.KEYWORDS else keywords.UNKNOWN)
        word = item.words[0]
        assert (len(item.words), word.label) == (1, item.text)
        samples = samples_of(item)
        inside = np.zeros(len(samples), dtype=bool)
        inside[round(word.start * 16000) : round(word.end * 16000)] = True
        assert decibels(samples[inside]) > decibels(samples[~inside]) + 3


def test_other_words_are_many_and_no_keywords(planned: dict[str, list[Clip]]) -> None:
    unknown = {clip.text for clip in utterances(planned["ks/train"]) if clip.label == keywords.UNKNOWN}
    assert len(unknown) == keywords.COUNTS["train"] < len(keywords.OTHERS)
    assert unknown <= set(keywords.OTHERS) - set(keywords.KEYWORDS)


def test_a_document_has_two_of_the_words(planned: dict[str, list[Clip]]) -> None:
    sought = set(" ".join(queries.WORDS.values()).split())
    assert all(len(sought & set(clip.text.rstrip(".").split())) == 2 for clip in utterances(planned["qbe/documents"]))


def test_the_longest_word_of_the_slowest_speaker_fits_a_keyword_clip() -> None:
    slowest = replace(SPEAKERS["rp-may-low"], rate=round(SPEAKERS["rp-may-low"].rate * 0.9))
    longest = max(len(speak(word, slowest).samples) / 22050 for word in (*keywords.KEYWORDS, *keywords.OTHERS))
    assert longest < keywords.SECONDS


def test_an_intent_is_action_object_location_in_wordings_known_from_train(planned: dict[str, list[Clip]]) -> None:
    wordings: dict[str, dict[str | None, set[str]]] = {split: defaultdict(set) for split in SPLITS}
    for split in SPLITS:
        for clip in utterances(planned[f"ic/{split}"]):
            wordings[split][clip.label].add(clip.text)
    assert wordings["train"].keys() == set(commands.INTENTS) == {" | ".join(slots) for slots in commands.INTENTS.values()}
    assert all(len(texts) == 3 for texts in wordings["train"].values())
    assert all(wordings[split][label] <= texts for split in SPLITS for label, texts in wordings["train"].items())
    assert len(set().union(*wordings["train"].values())) == 3 * 18  # no text has two meanings


def test_targets_without_tags_are_the_texts(planned: dict[str, list[Clip]]) -> None:
    values = {(slot, split): set(requests.values_of(slot, split)) for slot in requests.VALUES for split in ("train", "test")}
    for split in SPLITS:
        for clip in utterances(planned[f"sf/{split}"]):
            assert clip.target is not None
            words = clip.target.split()
            assert " ".join(word for word in words if word[:2] not in {"B-", "E-"}) == clip.text
            opened = None
            for place, word in enumerate(words):
                if word.startswith("B-"):
                    assert opened is None
                    opened = place
                elif word.startswith("E-"):
                    assert opened is not None
                    slot = word[2:]
                    assert words[opened] == f"B-{slot}"
                    assert " ".join(words[opened + 1 : place]) in values[slot, "train" if split == "train" else "test"]
                    opened = None
            assert opened is None


def test_all_slots_come_in_train_and_some_values_only_later(planned: dict[str, list[Clip]]) -> None:
    slots = {
        split: Counter(w for clip in utterances(planned[f"sf/{split}"]) for w in (clip.target or "").split() if w[:2] == "B-")
        for split in SPLITS
    }
    assert set(slots["train"]) == set(slots["test"]) == {f"B-{slot}" for slot in requests.VALUES}
    for slot, listed in requests.VALUES.items():
        known, possible = requests.values_of(slot, "train"), requests.values_of(slot, "test")
        assert possible == [" ".join(value.split()) for value in listed.split("|")]
        assert 1 <= len(possible) - len(known) <= 2
        assert possible[: len(known)] == known


def test_neither_text_nor_speaker_says_the_style(planned: dict[str, list[Clip]]) -> None:
    sentences: list[str] = []
    for split in SPLITS:
        said = defaultdict(list)
        for clip in utterances(planned[f"er/{split}"]):
            assert clip.label is not None
            assert clip.style == styles.STYLES[clip.label]
            said[clip.text, clip.speaker].append(clip.label)
        assert all(sorted(labels) == ["angry", "happy", "neutral", "sad"] for labels in said.values())
        sentences += [text for text, _ in said]
    assert len(set(sentences)) == len(sentences)


def test_every_word_can_be_said_in_every_accent(planned: dict[str, list[Clip]]) -> None:
    texts = {clip.text for name in ("ic/train", "ks/train", "qbe/test-queries", "qbe/valid-queries") for clip in utterances(planned[name])}
    texts |= {value for listed in requests.VALUES.values() for value in listed.split("|")}
    words = {word for text in texts for word in text.split()}
    for accent in {voice.accent: voice for voice in SPEAKERS.values()}.values():
        spoken = speak(", ".join(sorted(words)), replace(accent, rate=400))
        assert len(spoken.words) > 0.9 * len(words)


def test_scale_is_of_all_counts(planned: dict[str, list[Clip]]) -> None:
    twice = Counter(name for clip in superb.plan(0, 2.0) for name in clip.manifests)
    assert {name: count / len(planned[name]) for name, count in twice.items()} == dict.fromkeys(MANIFESTS, 2.0)
