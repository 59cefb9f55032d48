"""The plan of batches: the reference's windows, dealt out fairly, the same for ever."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import BatchPlan, DataSettings, PlannedBatch, Segment, Window, recording_windows
from foresay.errors import UserError
from foresay.settings import assignment, from_table
from reference.windows import Recording, windows

RATE = 100


def write(folder: Path, recordings: list[Recording]) -> Manifest:
    """Plans need lengths and speakers only: there is no audio. What has no length is an image."""
    path = folder / "manifest.jsonl"
    lines = (
        {"id": name, "speaker": speaker}
        | ({"audio": f"{name}.wav", "duration": samples / RATE, "sample_rate": RATE} if samples else {"image": f"{name}.png"})
        for speaker, name, samples in recordings
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Manifest.open(path)


def corpus(folder: Path, **samples: list[int]) -> Manifest:
    """Write recordings of so many samples for each speaker."""
    return write(folder, [(speaker, f"{speaker}{n}", length) for speaker, lengths in samples.items() for n, length in enumerate(lengths)])


def data(**changes: Any) -> DataSettings:  # noqa: ANN401 - settings of any type
    return DataSettings(**{"sample_rate": RATE, "window": 10, "batch": 4, **changes})


def epoch(plan: BatchPlan, number: int = 0) -> list[PlannedBatch]:
    return [plan.batch(number, step, step) for step in range(plan.steps(number))]


def named(manifest: Manifest, window: Window) -> list[tuple[str, int, int]]:
    return [(manifest.ids[item], start, stop) for item, start, stop in window.segments]


@st.composite
def many_recordings(draw: st.DrawFn) -> list[Recording]:
    lengths = draw(st.lists(st.lists(st.integers(0, 40), max_size=6), min_size=1, max_size=4))
    recordings = [(f"speaker{s}", f"{s}-{n:02d}", length) for s, of_speaker in enumerate(lengths) for n, length in enumerate(of_speaker)]
    recordings.append(("long", "long", draw(st.integers(100, 200))))  # enough for a batch
    return draw(st.permutations(recordings))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    recordings=many_recordings(),
    window=st.integers(1, 12),
    join=st.booleans(),
    sampler=st.sampled_from(["same-speaker", "same-recording", "sequential", "uniform"]),
    group=st.integers(1, 3),
    number=st.integers(0, 5),
)
def test_an_epoch_is_the_references_windows_each_at_most_once_in_whole_groups(
    *,
    tmp_path: Path,
    recordings: list[Recording],
    window: int,
    join: bool,
    sampler: str,
    group: int,
    number: int,
) -> None:
    manifest = write(tmp_path, recordings)
    plan = BatchPlan(manifest, data(window=window, join=join, sampler=sampler, batch=2 * group), seed=7, group=group)
    expected = windows(recordings, window, plan.offset(number), join=join and sampler != "same-recording")
    speaker_of = {name: speaker for speaker, name, _ in recordings}

    batches = epoch(plan, number)

    found = [w for batch in batches for w in batch.windows]
    cut = [named(manifest, w) for w in found]
    assert all(one in expected for one in cut)
    assert len({tuple(one) for one in cut}) == len(cut)
    assert len(cut) + plan.left_out(number) == len(expected)
    assert all(len(batch.windows) == len(batch.keys) == 2 * group for batch in batches)
    assert [manifest.speakers[w.speaker] for w in found] == [speaker_of[one[0][0]] for one in cut]
    for first in range(0, len(found), group):
        if sampler == "same-speaker":
            assert len({w.speaker for w in found[first : first + group]}) == 1
        if sampler == "same-recording":
            assert len({s.item for w in found[first : first + group] for s in w.segments}) == 1


def test_no_more_is_left_out_than_does_not_fill_a_group_or_the_last_batch(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, a=[1000], b=[700], c=[230], d=[150])
    plan = BatchPlan(manifest, data(batch=8), seed=0, group=4)
    for number in range(20):
        per_speaker = [(length - plan.offset(number)) // 10 for length in (1000, 700, 230, 150)]
        groups = sum(n // 4 for n in per_speaker)
        assert plan.steps(number) == groups // 2
        assert plan.left_out(number) == sum(n % 4 for n in per_speaker) + groups % 2 * 4


def first_speakers(folder: Path, sampler: str, exponent: float) -> list[list[int]]:
    """Return the speaker of each batch of sixty epochs."""
    manifest = corpus(folder, a=[210, 430], b=[125], c=[49], d=[25], e=[15])
    plan = BatchPlan(manifest, data(batch=2, speaker_exponent=exponent, sampler=sampler), seed=1, group=2)
    return [[batch.windows[0].speaker for batch in epoch(plan, number)] for number in range(60)]


@pytest.mark.parametrize("sampler", ["same-speaker", "same-recording"])
def test_a_speakers_share_is_the_amount_of_audio_to_the_power_of_the_exponent(tmp_path: Path, sampler: str) -> None:
    """Over many epochs, each as long as it would be otherwise; amounts are counted in groups, and a speaker who fills none is left out."""
    plain = [np.bincount(speakers, minlength=5) for speakers in first_speakers(tmp_path, sampler, 1.0)]
    for exponent in (0.0, 0.5, 0.9):
        balanced = [np.bincount(speakers, minlength=5) for speakers in first_speakers(tmp_path, sampler, exponent)]
        powers = [np.where(steps, steps.astype(float) ** exponent, 0) for steps in plain]
        expected = sum(power / power.sum() * steps.sum() for power, steps in zip(powers, plain, strict=True))
        counts = sum(balanced)
        assert all(abs(found.sum() - steps.sum()) <= 3 for found, steps in zip(balanced, plain, strict=True))
        assert counts[4] == expected[4] == 0
        assert counts[:4] == pytest.approx(expected[:4], rel=0.05), exponent


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    recordings=many_recordings(),
    exponent=st.floats(0, 1),
    sampler=st.sampled_from(["same-speaker", "same-recording"]),
    group=st.integers(1, 3),
    number=st.integers(0, 5),
)
def test_a_balanced_group_holds_no_window_twice_and_one_speaker(
    *, tmp_path: Path, recordings: list[Recording], exponent: float, sampler: str, group: int, number: int
) -> None:
    manifest = write(tmp_path, recordings)
    plan = BatchPlan(manifest, data(window=5, sampler=sampler, batch=2 * group, speaker_exponent=exponent), seed=7, group=group)
    expected = windows(recordings, 5, plan.offset(number), join=sampler == "same-speaker")
    for batch in epoch(plan, number):
        assert len(batch.windows) == 2 * group
        assert all(named(manifest, w) in expected for w in batch.windows)
        for first in (0, group):
            together = batch.windows[first : first + group]
            assert len(set(together)) == group
            assert len({w.speaker if sampler == "same-speaker" else w.segments[0].item for w in together}) == 1


def test_a_speaker_with_much_audio_is_used_evenly_over_the_epochs(tmp_path: Path) -> None:
    # A window of one sample has no offset, so that the windows of all epochs are the same.
    manifest = corpus(tmp_path, a=[60], b=[12])
    plan = BatchPlan(manifest, data(window=1, batch=4, speaker_exponent=0.0), seed=0, group=4)
    times = Counter(w for number in range(200) for batch in epoch(plan, number) for w in batch.windows)
    once = np.array([n for w, n in times.items() if w.speaker == 0])
    often = np.array([n for w, n in times.items() if w.speaker == 1])
    assert len(once) == 60
    assert set(often.tolist()) == {600}  # 36 of the 72 windows of an epoch are b's: each of b's comes three times
    assert once.sum() == 200 * 36
    assert (((once - 120) ** 2) / 120).sum() < 99.6  # chi-square with 59 degrees of freedom, p = 0.001


def test_equal_speakers_are_left_as_they_are(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, a=[85], b=[85], c=[85])
    even = BatchPlan(manifest, data(batch=2, speaker_exponent=0.0), seed=0, group=2)
    for number in range(20):
        counts = Counter(w for batch in epoch(even, number) for w in batch.windows)
        assert set(counts.values()) == {1}
        assert len(counts) == 24 if plan_windows(even, number) == 8 else 18


def plan_windows(plan: BatchPlan, number: int) -> int:
    return (85 - plan.offset(number)) // 10


def test_most_batches_have_one_speaker_and_only_what_remains_is_mixed(tmp_path: Path) -> None:
    plan = BatchPlan(corpus(tmp_path, a=[1000], b=[700], c=[230]), data(batch=8), seed=0, group=2)
    mixed = [len({w.speaker for w in batch.windows}) > 1 for batch in epoch(plan)]
    whole = [n // 8 for n in ((length - plan.offset(0)) // 10 for length in (1000, 700, 230))]
    assert mixed.count(False) >= sum(whole)
    assert mixed.count(True) <= 3


def test_what_an_epoch_leaves_out_others_use(tmp_path: Path) -> None:
    # A window of one sample has no offset, so that the windows of all epochs are the same.
    plan = BatchPlan(corpus(tmp_path, a=[15], b=[14]), data(window=1, batch=4), seed=0, group=4)
    times = Counter(w for number in range(50) for batch in epoch(plan, number) for w in batch.windows)
    assert len(times) == 29
    assert all(0 < n < 50 for n in times.values())


@pytest.mark.parametrize("exponent", [1.0, 0.3])
def test_a_batch_depends_on_nothing_but_seed_epoch_and_step(tmp_path: Path, exponent: float) -> None:
    manifest = corpus(tmp_path, a=[500, 300], b=[400])
    plan = BatchPlan(manifest, data(speaker_exponent=exponent), seed=3)
    backwards = [plan.batch(number, step, 7).windows for number in (2, 1) for step in reversed(range(plan.steps(number)))]
    forwards = [
        BatchPlan(manifest, data(speaker_exponent=exponent), seed=3).batch(number, step, 9).windows
        for number in (1, 2)
        for step in range(plan.steps(number))
    ]
    assert backwards[::-1] == forwards
    assert plan.batch(1, 0, 7).windows != plan.batch(2, 0, 7).windows
    assert plan.batch(1, 0, 7).windows != BatchPlan(manifest, data(speaker_exponent=exponent), seed=4).batch(1, 0, 7).windows


def test_the_order_of_the_manifests_lines_does_not_matter(tmp_path: Path) -> None:
    recordings = [(s, f"{s}{n}", 100 + 7 * n) for s in "abc" for n in range(5)]
    one = write(tmp_path, recordings)
    plan = [[named(one, w) for w in batch.windows] for batch in epoch(BatchPlan(one, data(), seed=0))]
    other = write(tmp_path, recordings[:1] + recordings[:0:-1])
    assert plan == [[named(other, w) for w in batch.windows] for batch in epoch(BatchPlan(other, data(), seed=0))]


def test_the_plan_of_a_seed_never_changes(tmp_path: Path) -> None:
    """Golden: a run begun with one version of Foresay or NumPy goes on with another."""
    plan = BatchPlan(corpus(tmp_path, a=[60], b=[70]), data(), seed=2104, group=2)
    assert plan.offset(3) == 3
    starts = [w.segments[0][:2] for batch in epoch(plan, 3) for w in batch.windows]
    assert starts == [(1, 33), (1, 43), (1, 23), (1, 3), (0, 13), (0, 33), (0, 3), (0, 23)]
    assert plan.batch(3, 0, 11).keys.tolist() == [7309196594314254057, 1062859723607878830, 2219927592380246483, 6139537136280416008]


def test_offsets_are_uniform_from_nothing_to_half_a_window(tmp_path: Path) -> None:
    plan = BatchPlan(corpus(tmp_path, a=[500]), data(window=10), seed=0)
    counts = np.bincount([plan.offset(number) for number in range(6000)], minlength=6)
    assert len(counts) == 6
    assert (((counts - 1000) ** 2) / 1000).sum() < 20.5  # chi-square with 5 degrees of freedom, p = 0.001


def test_every_order_of_windows_is_as_likely(tmp_path: Path) -> None:
    plan = BatchPlan(corpus(tmp_path, a=[3]), data(window=1, batch=3), seed=0)
    orders = Counter(tuple(window.segments[0].start for window in plan.batch(number, 0, 0).windows) for number in range(2400))
    assert len(orders) == 6
    assert sum((n - 400) ** 2 / 400 for n in orders.values()) < 20.5


def test_keys_depend_on_seed_update_and_place(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, a=[500, 300], b=[400])
    plan = BatchPlan(manifest, data(batch=8), seed=3)
    keys = plan.batch(0, 0, 5).keys
    assert keys.dtype == np.int64
    assert np.array_equal(keys, plan.batch(4, 1, 5).keys)
    assert np.array_equal(keys[:4], BatchPlan(manifest, data(batch=4), seed=3).batch(0, 0, 5).keys)
    plans = [BatchPlan(manifest, data(batch=8), seed=s) for s in range(3)]
    many = np.concatenate([plan.batch(0, 0, u).keys for plan in plans for u in range(300)])
    assert len(set((many % 2**32).tolist())) == len(many)  # PyTorch seeds its CPU generator with 32 bits
    assert many.min() >= 0
    assert abs(np.mean((many[:, None] >> np.arange(63)) & 1) - 0.5) < 0.005
    torch.Generator().manual_seed(int(many.max()))


def test_sequential_batches_are_parallel_streams_in_order(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, a=[5, 4], b=[4])
    plan = BatchPlan(manifest, data(window=1, batch=4, sampler="sequential"), seed=0, group=2)
    starts = [[named(manifest, w)[0][:2] for w in batch.windows] for batch in epoch(plan)]
    assert starts == [
        [("a0", 0), ("a0", 3), ("a1", 1), ("b0", 0)],
        [("a0", 1), ("a0", 4), ("a1", 2), ("b0", 1)],
        [("a0", 2), ("a1", 0), ("a1", 3), ("b0", 2)],
    ]
    assert plan.left_out(0) == 1


def test_one_speaker_is_enough(tmp_path: Path) -> None:
    plan = BatchPlan(corpus(tmp_path, only=[300, 120]), data(batch=8), seed=0, group=4)
    assert plan.steps(0) == (420 - plan.offset(0)) // 10 // 8
    assert {w.speaker for batch in epoch(plan) for w in batch.windows} == {0}


def test_a_step_beyond_the_epoch_is_refused(tmp_path: Path) -> None:
    plan = BatchPlan(corpus(tmp_path, a=[100]), data(), seed=0)
    with pytest.raises(IndexError, match="epoch 2 has steps 0 to 1, not 2"):
        plan.batch(2, 2, 0)


@pytest.mark.parametrize(
    "lengths, changes, group, said",
    [
        ([100], {"batch": 10}, 4, "data.batch = 10 is not a whole number of the model's groups of 4"),
        ([80], {"batch": 2}, 4, "data.batch = 2 is not a whole number of the model's groups of 4"),
        ([9, 9, 9, 9], {"join": False, "batch": 2}, 1, "no window of 10 samples"),
        ([80], {"window": 90, "batch": 1}, 1, "no window of 90 samples"),
        ([45], {"sampler": "same-speaker"}, 4 + 1, "no more than 4 of one speaker"),
        ([30, 30, 30], {"sampler": "same-recording"}, 4, "no more than 2 of one recording"),
        ([79], {"batch": 64}, 1, "has 7 windows of 0.10 s, 7 of them in groups of 1: fewer than the 64"),
        ([79], {"batch": 64}, 4, "has 7 windows of 0.10 s, 4 of them in groups of 4: fewer than the 64"),
        ([79], {"batch": 64, "sampler": "sequential"}, 2, "has 7 windows of 0.10 s, 6 of them in groups of 2: fewer than the 64"),
    ],
)
def test_too_little_audio_is_refused_with_counts_and_a_way_out_that_works(
    tmp_path: Path, lengths: list[int], changes: dict[str, object], group: int, said: str
) -> None:
    manifest = corpus(tmp_path, a=lengths)
    changes = {"batch": group, **changes}
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        BatchPlan(manifest, data(**changes), seed=0, group=group)
    plan = followed(str(caught.value), manifest, changes, group)
    assert all(plan.steps(number) > 0 for number in range(20))


def followed(message: str, manifest: Manifest, changes: dict[str, object], group: int, which: int = 0) -> BatchPlan:
    """Do what a message advises first: changes that go together."""
    advised: dict[str, object] = {}
    for one in re.findall(r"(?:data|model)\.\w+=[\w-]+", re.findall(r"(?:--set [\w.]+=[\w-]+ ?)+", message)[which]):
        for table in assignment(one).values():
            advised |= table
    group = int(str(advised.pop("negative_group", group)))
    return BatchPlan(manifest, data(**{**changes, **advised}), seed=0, group=group)


def test_recordings_that_are_shorter_than_a_window_are_reported(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, a=[9] * 30 + [900] * 2)
    assert BatchPlan(manifest, data(join=False), seed=0).notes == (
        "30 of 32 recordings are shorter than data.window = 10 samples and never used: make it shorter, or --set data.join=true",
    )
    assert BatchPlan(manifest, data(), seed=0).notes == ()
    assert BatchPlan(corpus(tmp_path, a=[900], b=[9]), data(), seed=0).notes == (
        "1 of 2 speakers have less audio than data.window = 10 samples and are never used: make it shorter",
    )


@pytest.mark.parametrize("few, long", [(0, 0), (4, 30), (4, 500)])
def test_what_is_advised_uses_nearly_all_not_the_few_that_are_long(few: int, long: int, tmp_path: Path) -> None:
    """One file of many is long enough for a window: shorter windows, not a batch of the few."""
    manifest = corpus(tmp_path, a=[6] * 180 + [long] * few, b=[5] * 180)
    changes = {"batch": 320, "join": False}
    with pytest.raises(UserError, match="has no window of|has only 4 of 364 timelines") as caught:
        BatchPlan(manifest, data(**changes), seed=0)
    plan = followed(str(caught.value), manifest, changes, 1)
    batches = (batch for number in range(12) for batch in epoch(plan, number))
    items = {segment.item for batch in batches for window in batch.windows for segment in window.segments}
    assert len(items) >= 0.95 * len(manifest)
    joined = followed(str(caught.value), manifest, changes, 1, which=1) if "data.join=true" in str(caught.value) else None
    assert joined is None or joined.steps(0) > 0
    assert ("data.join=true" in str(caught.value)) == (long == 500)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="window must be at least 1, not 0"):
        DataSettings(window=0)


@pytest.mark.parametrize("exponent", [-0.1, 1.5])
def test_an_exponent_that_would_unbalance_is_refused(exponent: float) -> None:
    with pytest.raises(ValueError, match="speaker_exponent must (not be negative|be from 0)"):
        DataSettings(speaker_exponent=exponent)


@pytest.mark.parametrize("sampler", ["uniform", "sequential"])
def test_only_groups_of_one_speaker_can_be_balanced(sampler: str) -> None:
    with pytest.raises(ValueError, match=f"same-speaker, same-recording and utterances, not for '{sampler}'"):
        data(sampler=sampler, speaker_exponent=0.5)


def test_effects_are_named_in_a_recipe_and_a_wrong_name_is_reported() -> None:
    given = from_table(DataSettings, assignment('augment_past=["pitch", "noise", "reverb"]'), "data")
    assert given.augment_past == ("pitch", "noise", "reverb")
    with pytest.raises(UserError, match='did you mean "band-reject"'):
        from_table(DataSettings, {"augment_future": ["bandreject"]}, "data")


def test_recording_windows_hold_every_sample_once(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, a=[25, 10], b=[3, 0, 14])
    assert recording_windows(manifest, 10, RATE, minimum=4) == [
        Window(0, (Segment(0, 0, 10),)),
        Window(0, (Segment(0, 10, 20),)),
        Window(0, (Segment(0, 20, 25),)),
        Window(0, (Segment(1, 0, 10),)),
        Window(1, (Segment(4, 0, 10),)),
        Window(1, (Segment(4, 10, 14),)),
    ]
