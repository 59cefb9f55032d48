"""Batches by seconds: rectangles of like length, everything used, the same for ever; checked against a slow, plain cut."""

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foresay.corpora.batches import BatchLoader, plan_batches, plan_groups
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.utterances import UtterancePlan, _cuts
from foresay.corpora.plans.windows import DataSettings, PlannedBatch
from foresay.errors import UserError
from foresay.settings import assignment

RATE = 100


def write(folder: Path, lengths: list[int], **keys: list[str]) -> Manifest:
    """Plans need lengths and names only: there is no audio."""
    path = folder / "manifest.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {"id": f"u{n:04}", "audio": f"u{n:04}.wav", "duration": length / RATE, "sample_rate": RATE}
                | {key: values[n] for key, values in keys.items()}
            )
            + "\n"
            for n, length in enumerate(lengths)
        ),
        encoding="utf-8",
    )
    return Manifest.open(path)


def data(**changes: Any) -> DataSettings:  # noqa: ANN401 - settings of any type
    return DataSettings(**{"sample_rate": RATE, "sampler": "utterances", "seconds": 10.0, "longest": 3.0, "shortest": 0.5, **changes})


def epoch(plan: UtterancePlan, number: int = 0) -> list[PlannedBatch]:
    return [plan.batch(number, step, step) for step in range(plan.steps(number))]


def like_speech(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(50, 400, count).tolist()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=60),
    group=st.integers(1, 3),
    seconds=st.floats(9, 30),
    spread=st.floats(0, 0.5),
    number=st.integers(0, 5),
)
def test_an_epoch_is_full_rectangles_of_utterances_each_at_most_once(
    *, tmp_path: Path, lengths: list[int], group: int, seconds: float, spread: float, number: int
) -> None:
    lengths += [300] * 40  # enough for a batch
    manifest = write(tmp_path, lengths)
    plan = UtterancePlan(manifest, data(seconds=seconds, spread=spread), seed=7, group=group)
    counts: Counter[int] = Counter()
    for batch in epoch(plan, number):
        (size,) = {w.segments[0].stop - w.segments[0].start for w in batch.windows}
        assert 50 <= size <= 300
        assert len(batch.windows) % group == 0
        assert len(batch.windows) // group >= plan.fewest
        assert len(batch.windows) * size <= round(seconds * RATE)
        assert len(batch.keys) == len(batch.windows)
        whole = [min(lengths[w.segments[0].item], 300) for w in batch.windows]
        assert size == min(whole)
        for (segment,) in (w.segments for w in batch.windows):
            assert 0 <= segment.start < segment.stop <= lengths[segment.item]
            counts[segment.item] += 1
    parts = [max(length // 300, 1) if length >= 50 else 0 for length in lengths]
    assert plan.too_short == parts.count(0)
    assert all(counts[item] <= 2 * count for item, count in enumerate(parts))
    missing = sum(max(count - counts[item], 0) for item, count in enumerate(parts))
    assert missing <= plan.left_out(number)


@given(lengths=st.lists(st.integers(1, 30), max_size=60), most=st.integers(30, 200))
def test_cuts_equal_putting_together_one_by_one(lengths: list[int], most: int) -> None:
    expected, begin = [], 0
    while count := put_together(lengths[begin:], most):
        expected.append([begin, begin + count])
        begin += count
    if begin < len(lengths) and (count := put_together(lengths[::-1], most)):
        expected.append([len(lengths) - count, len(lengths)])
    assert _cuts(np.array(lengths, dtype=np.int64), most, sys.maxsize).tolist() == expected


def put_together(lengths: list[int], most: int) -> int:
    """Take one after the other until the next would be too much; if there is no next, one like the shortest."""
    for count in range(1, len(lengths) + 1):
        taken = lengths[:count]
        if (count + 1) * min(taken + lengths[count : count + 1]) > most:
            return count
    return 0


def test_lengths_of_a_batch_are_alike_and_its_company_changes(tmp_path: Path) -> None:
    lengths = like_speech(2000)
    plan = UtterancePlan(write(tmp_path, lengths), data(seconds=20.0), seed=0)
    lost, ratios = 0.0, []
    for batch in epoch(plan):
        whole = [min(lengths[w.segments[0].item], 300) for w in batch.windows]
        ratios.append(max(whole) / min(whole))
        lost += 1 - min(whole) * len(whole) / sum(whole)
    assert np.median(ratios) < 1.1 * 1.02  # the spread, and what lies between neighbors
    assert lost / plan.steps(0) < 0.06
    together = [{frozenset(w.segments[0].item for w in batch.windows) for batch in epoch(plan, number)} for number in (0, 2)]
    assert len(together[0] & together[1]) == 0


def test_what_is_left_is_filled_up_with_those_before(tmp_path: Path) -> None:
    """By hand, 3 s: [2.9], [2, 1.5], and 0.6, 0.8, 1.1 with 1.5 and 2 again, five of 0.6 s."""
    plan = UtterancePlan(write(tmp_path, [60, 80, 110, 150, 200, 290]), data(seconds=3.0, spread=0.0), seed=0)
    groups = {tuple(sorted(w.segments[0].item for w in batch.windows)) for batch in epoch(plan)}
    assert groups == {(5,), (3, 4), (0, 1, 2, 3, 4)}
    assert plan.left_out(0) == 0


def test_who_does_not_fill_a_group_is_somebody_else_in_every_epoch(tmp_path: Path) -> None:
    plan = UtterancePlan(write(tmp_path, [150] * 5), data(seconds=3.0), seed=0, group=2)
    left = Counter(item for n in range(50) for item in set(range(5)) - {w.segments[0].item for b in epoch(plan, n) for w in b.windows})
    assert left.total() == sum(plan.left_out(number) for number in range(50)) == 50
    assert set(left) == set(range(5))


def test_validation_takes_one_group_at_a_time_whatever_its_length(tmp_path: Path) -> None:
    manifest = write(tmp_path, [60, 80, 110, 150, 200, 290])
    plan = plan_groups(manifest, data(seconds=5600.0), seed=0, group=2)
    assert [len(plan.batch(0, step, step).windows) for step in range(plan.steps(0))] == [2, 2, 2]
    assert plan.left_out(0) == 0


def test_what_is_too_short_is_reported(tmp_path: Path) -> None:
    manifest = write(tmp_path, [30, 49, *[300] * 20])
    with BatchLoader(manifest, plan_batches(manifest, data(), seed=0)) as loader:
        assert loader.messages == ["2 of 22 recordings are never used: data.shortest = 0.5 s"]


def test_crops_are_uniform(tmp_path: Path) -> None:
    plan = UtterancePlan(write(tmp_path, [54, 50]), data(seconds=1.0), seed=0)
    starts = np.bincount([w.segments[0].start for n in range(2500) for b in epoch(plan, n) for w in b.windows if w.segments[0].item == 0])
    assert len(starts) == 5
    assert starts.sum() == 2500
    assert (((starts - 500) ** 2) / 500).sum() < 18.5  # chi-square with 4 degrees of freedom, p = 0.001


def test_a_long_recording_is_used_in_parts(tmp_path: Path) -> None:
    plan = UtterancePlan(write(tmp_path, [1000]), data(seconds=9.0), seed=0)
    (batch,) = epoch(plan)
    parts = sorted(w.segments[0] for w in batch.windows)
    assert [part.stop - part.start for part in parts] == [300, 300, 300]
    for part, (start, stop) in zip(parts, [(0, 333), (333, 666), (666, 1000)], strict=True):
        assert start <= part.start < part.stop <= stop


def test_a_batch_depends_on_nothing_but_seed_epoch_and_step(tmp_path: Path) -> None:
    manifest = write(tmp_path, like_speech(300))
    plan = UtterancePlan(manifest, data(), seed=3)
    backwards = [plan.batch(number, step, 7).windows for number in (2, 1) for step in reversed(range(plan.steps(number)))]
    again = UtterancePlan(manifest, data(), seed=3)
    assert backwards[::-1] == [again.batch(number, step, 9).windows for number in (1, 2) for step in range(again.steps(number))]
    assert plan.batch(1, 0, 7).windows != plan.batch(3, 0, 7).windows
    assert plan.batch(1, 0, 7).windows != UtterancePlan(manifest, data(), seed=4).batch(1, 0, 7).windows
    assert plan.batch(1, 0, 7).keys.tolist() != plan.batch(1, 0, 8).keys.tolist()
    with pytest.raises(IndexError, match="epoch 1 has steps 0 to"):
        plan.batch(1, plan.steps(1), 0)


def test_the_plan_of_a_seed_never_changes(tmp_path: Path) -> None:
    """Golden: a run begun with one version of Foresay or NumPy goes on with another."""
    plan = UtterancePlan(write(tmp_path, like_speech(13)), data(seconds=7.0), seed=2104, group=2)
    starts = [[tuple(w.segments[0])[:2] for w in batch.windows] for batch in epoch(plan, 3)]
    assert starts[0] == [(0, 57), (10, 0)]
    assert starts[1][:6] == [(11, 101), (9, 185), (0, 237), (10, 130), (1, 5), (2, 62)]
    assert [len(batch) for batch in starts] == [2, 12, 2]
    assert plan.batch(3, 0, 11).keys.tolist() == [7309196594314254057, 1062859723607878830]


def test_the_order_of_the_manifests_lines_does_not_matter(tmp_path: Path) -> None:
    manifest = write(tmp_path, like_speech(100))
    expected = [[manifest.ids[w.segments[0].item] for w in batch.windows] for batch in epoch(UtterancePlan(manifest, data(), seed=0))]
    manifest.path.write_text("".join(reversed(manifest.path.read_text().splitlines(keepends=True))))
    other = Manifest.open(manifest.path)
    assert expected == [[other.ids[w.segments[0].item] for w in batch.windows] for batch in epoch(UtterancePlan(other, data(), seed=0))]


def test_languages_and_corpora_are_drawn_by_the_powers_of_their_amounts(tmp_path: Path) -> None:
    """Corpora by p ~ (n / N) ** alpha, and within each for its languages; over many epochs, each about as long as as recorded."""
    hours = {("big", "en"): 400, ("big", "sw"): 25, ("small", "en"): 60, ("small", "yo"): 15}
    corpora, languages = ([pair[i] for pair, count in hours.items() for _ in range(count)] for i in (0, 1))
    manifest = write(tmp_path, [100] * 500, corpus=corpora, language=languages)
    plan = UtterancePlan(manifest, data(language_exponent=0.5, corpus_exponent=0.3), seed=0)
    counts: Counter[tuple[str, str]] = Counter()
    total = 0
    for number in range(200):
        items = [w.segments[0].item for batch in epoch(plan, number) for w in batch.windows]
        total += len(items) + plan.left_out(number)
        counts.update((corpora[item], languages[item]) for item in items)
    assert 495 <= total / 200 <= 510  # the last batch has some a second time
    share = {name: sum(n for (corpus, _), n in hours.items() if corpus == name) ** 0.3 for name in ("big", "small")}
    roots = {name: sum(n**0.5 for (corpus, _), n in hours.items() if corpus == name) for name in share}
    for (corpus, language), count in hours.items():
        expected = share[corpus] / sum(share.values()) * count**0.5 / roots[corpus]
        assert counts[corpus, language] / counts.total() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    "lengths, changes, group, said",
    [
        ([20, 30] + [40] * 60, {}, 1, "has no recording of 0.5 s or more: 62 are shorter"),
        ([300] * 9, {"seconds": 2.0}, 1, "data.seconds = 2.0 s of audio an update do not hold an utterance of 3.00 s"),
        ([300] * 9, {"seconds": 10.0}, 4, "do not hold 4 utterances, which share their negatives and stay together, of 3.00 s"),
        ([200] * 4, {"seconds": 60.0}, 1, "has 4 utterances of 0.5 s or more, too few for the 60.0 s of one update"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way_out_that_works(
    tmp_path: Path, lengths: list[int], changes: dict[str, float], group: int, said: str
) -> None:
    manifest = write(tmp_path, lengths)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        UtterancePlan(manifest, data(**changes), seed=0, group=group)
    plan = UtterancePlan(manifest, data(**{**changes, **advised(str(caught.value))}), seed=0, group=group)
    assert all(plan.steps(number) > 0 for number in range(20))


def advised(message: str) -> dict[str, float]:
    """Return the changes that a message advises first, which go together."""
    together = re.search(r"(?:--set data\.\w+=[\d.]+ ?)+", message)
    assert together
    return {key: value for one in re.findall(r"data\.\w+=[\d.]*\d", together[0]) for key, value in assignment(one)["data"].items()}


@pytest.mark.parametrize("few, many, seconds", [(4, 1796, 10.0), (4, 1796, 5600.0), (0, 1800, 5600.0), (40, 60, 1000.0)])
def test_what_is_advised_uses_nearly_all_not_the_few_that_are_long(few: int, many: int, seconds: float, tmp_path: Path) -> None:
    short = np.random.default_rng(0).integers(20, 50, many).tolist()
    manifest = write(tmp_path, [60] * few + short)
    with pytest.raises(UserError, match=rf"{many:,} are shorter \({many / (few + many):.1%}\)") as caught:
        UtterancePlan(manifest, data(seconds=seconds), seed=0)
    plan = UtterancePlan(manifest, data(**{"seconds": seconds, **advised(str(caught.value))}), seed=0)
    assert plan.too_short <= 0.05 * (few + many)
    assert all(plan.steps(number) > 0 for number in range(5))


def test_lengths_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="no less than the shortest"):
        data(shortest=4.0)
    with pytest.raises(ValueError, match=r"language_exponent = 0.5 is for the sampler utterances, not for 'same-speaker'"):
        data(sampler="same-speaker", language_exponent=0.5)


@pytest.fixture
def audible(tmp_path: Path) -> Manifest:
    manifest = write(tmp_path, like_speech(60))
    for item in manifest:
        assert item.audio is not None
        tone = np.arange(round(item.duration * RATE)) / 2**15 + int(item.id[1:]) / 100
        soundfile.write(item.audio, tone.astype(np.float32), RATE, subtype="FLOAT")
    return manifest


def sounds(manifest: Manifest, updates: int = 4, **share: int) -> list[list[tuple[str, int, npt.NDArray[np.float32]]]]:
    plan = plan_batches(manifest, data(), seed=1)
    found = []
    with BatchLoader(manifest, plan, **share) as loader:
        for _, (_, update) in zip(range(updates), enumerate(loader.updates()), strict=False):
            rows: list[tuple[str, int, npt.NDArray[np.float32]]] = []
            for batch in update.batches:
                assert batch.waveforms is not None
                assert batch.lengths is not None
                assert batch.keys is not None
                assert set(batch.lengths.tolist()) == {batch.waveforms.shape[1]}  # nothing is padded
                rows += list(zip(batch.ids, batch.keys.tolist(), batch.waveforms.numpy(), strict=True))
            found.append(rows)
    return found


def test_devices_and_micro_batches_share_the_batch_of_one(audible: Manifest) -> None:
    whole = sounds(audible)
    shares = [sounds(audible, rank=rank, world=2, accumulate=1) for rank in (0, 1)]
    parts = sounds(audible, accumulate=3)
    for update, first, second, cut in zip(whole, *shares, parts, strict=True):
        for rows, expected in ((first, update[::2]), (second, update[1::2]), (cut, update)):
            assert [row[:2] for row in rows] == [row[:2] for row in expected]
            assert all(np.array_equal(row[2], other[2]) for row, other in zip(rows, expected, strict=True))


def test_an_utterance_that_cannot_be_read_is_replaced_by_the_next_one_on_any_device(audible: Manifest) -> None:
    plan = plan_batches(audible, data(), seed=1)
    broken = plan.batch(0, 0, 0).windows[0].segments[0].item
    path = audible[broken].audio
    assert path is not None
    path.unlink()
    (update, *_), (half, *_) = sounds(audible), sounds(audible, world=2)
    assert update[0][0] == update[1][0] == half[0][0]
    assert update[0][1] != update[1][1]
    assert np.array_equal(update[0][2], half[0][2])


def test_too_many_devices_are_refused_with_a_batch_that_fits(audible: Manifest) -> None:
    plan = plan_batches(audible, data(), seed=1)
    with pytest.raises(UserError, match=r"10.0 s has 3 groups of 1, too few for 2 devices x 2 micro-batches") as caught:
        BatchLoader(audible, plan, world=2, accumulate=2)
    advised = assignment(re.findall(r"--set (data\.seconds=\d+)", str(caught.value))[0])["data"]
    BatchLoader(audible, plan_batches(audible, data(**advised), seed=1), world=2, accumulate=2).close()
