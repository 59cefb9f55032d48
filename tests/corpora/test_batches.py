"""What is planned is what is read, whoever reads it."""

import json
import threading
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch

from foresay import draws
from foresay.audio.augment import Augmentation, generated_noise
from foresay.contracts import Batch, Modality
from foresay.corpora.batches import BatchLoader, Update, load_windows, plan_batches, plan_groups
from foresay.corpora.manifest import Manifest
from foresay.corpora.mixing import Mixer
from foresay.corpora.plans.windows import BatchPlan, DataSettings, Segment, Window, recording_windows
from foresay.errors import AudioError, UserError

RATE = 1000
LENGTHS = {"a": [250, 130, 90], "b": [300, 75], "c": [140]}


def samples(item: int, length: int) -> npt.NDArray[np.float32]:
    """Encode in every sample its recording and its time."""
    return ((item * 1000 + np.arange(length)) / 2**15).astype(np.float32)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    lines: list[dict[str, object]] = []
    for speaker, lengths in LENGTHS.items():
        for n, length in enumerate(lengths):
            name = f"{speaker}{n}"
            soundfile.write(tmp_path / f"{name}.wav", samples(len(lines), length), RATE, subtype="PCM_16")
            lines.append({"id": name, "audio": f"{name}.wav", "duration": length / RATE, "sample_rate": RATE, "speaker": speaker})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Manifest.open(tmp_path / "manifest.jsonl")


def plan_of(manifest: Manifest, batch: int = 8, group: int = 2, **changes: Any) -> BatchPlan:  # noqa: ANN401 - settings of any type
    return BatchPlan(manifest, DataSettings(sample_rate=RATE, window=20, batch=batch, **changes), seed=5, group=group)


def rows(updates: Iterable[Update]) -> list[tuple[str, int, bytes]]:
    """Take batches apart: id, key and samples of every utterance."""
    return [row for update in updates for batch in update.batches for row in rows_of(batch)]


def rows_of(batch: Batch) -> list[tuple[str, int, bytes]]:
    assert batch.waveforms is not None
    assert batch.keys is not None
    examples = batch.waveforms if batch.targets is None else torch.cat([batch.waveforms, batch.targets], dim=1)
    sounds = [waveform.tobytes() for waveform in examples.numpy()]
    return list(zip(batch.ids, batch.keys.tolist(), sounds, strict=True))


def test_a_batch_holds_the_samples_that_were_planned(manifest: Manifest) -> None:
    with BatchLoader(manifest, plan_of(manifest)) as loader:
        updates = list(loader.one_epoch())
    assert len(updates) == plan_of(manifest).steps(0)
    for planned, (batch,) in updates:
        expected = [np.concatenate([samples(item, stop)[start:] for item, start, stop in w.segments]) for w in planned.windows]
        assert batch.waveforms is not None
        assert batch.waveforms.dtype == torch.float32
        assert np.array_equal(batch.waveforms.numpy(), np.stack(expected))
        assert batch.lengths is not None
        assert batch.lengths.tolist() == [20] * 8
        assert batch.keys is not None
        assert batch.keys.tolist() == planned.keys.tolist()
        assert batch.speakers is not None
        assert batch.speakers.tolist() == [w.speaker for w in planned.windows]


def test_an_id_says_where_a_window_begins(manifest: Manifest) -> None:
    windows = [Window(0, (Segment(0, 240, 250), Segment(1, 0, 10))), Window(1, (Segment(3, 0, 20),))]
    assert load_windows(manifest, windows, RATE).ids == ("a/a0@0.240", "b/b0@0.000")


def test_shorter_windows_are_zero_beyond_their_end(manifest: Manifest) -> None:
    windows = recording_windows(manifest, 200, RATE, minimum=1)[:2]
    batch = load_windows(manifest, windows, RATE)
    assert batch.lengths is not None
    assert batch.waveforms is not None
    assert batch.lengths.tolist() == [200, 50]
    assert np.array_equal(batch.waveforms[1, :50].numpy(), samples(0, 250)[200:])
    assert not batch.waveforms[1, 50:].any()
    assert batch.keys is None


@pytest.mark.parametrize(
    "effects",
    [
        {},
        {"augment_past": ("pitch", "reverb"), "augment_future": ("noise", "time-dropout")},
        {"mix": 0.8, "mix_noise": 0.3},
        {"mix": 0.8, "augment_past": ("reverb",)},
    ],
)
@pytest.mark.parametrize("world, accumulate", [(1, 1), (1, 4), (2, 1), (2, 2), (4, 1), (3, 1)])
def test_what_a_batch_holds_does_not_depend_on_how_it_is_cut_up(
    manifest: Manifest, world: int, accumulate: int, effects: dict[str, tuple[str, ...]]
) -> None:
    plan = plan_of(manifest, **effects)
    with BatchLoader(manifest, plan) as loader:
        whole = [rows([update]) for update in loader.one_epoch(1)]
    shares = []
    for rank in range(world):
        with BatchLoader(manifest, plan, rank=rank, world=world, accumulate=accumulate, workers=3) as loader:
            shares.append(list(loader.one_epoch(1)))
    assert all(len(update.batches) == accumulate for share in shares for update in share)
    for step, expected in enumerate(whole):
        pairs = [pair for share in shares for pair in batched_pairs(rows([share[step]]))]
        assert sorted(pairs) == sorted(batched_pairs(expected))
        for rank, share in enumerate(shares):
            assert batched_pairs(rows([share[step]])) == batched_pairs(expected)[rank::world]


def batched_pairs(utterances: list[tuple[str, int, bytes]]) -> list[tuple[tuple[str, int, bytes], ...]]:
    return list(zip(utterances[::2], utterances[1::2], strict=True))


def test_resuming_anywhere_gives_the_batches_that_were_to_come(manifest: Manifest) -> None:
    plan = plan_of(manifest)
    steps = plan.steps(0)
    with BatchLoader(manifest, plan) as loader:
        updates = list(islice(loader.updates(), 3 * steps))
    places = [(update.planned.epoch, update.planned.step) for update in updates]
    assert places[: steps + 2] == [(0, step) for step in range(steps)] + [(1, 0), (1, 1)]
    for done in (1, steps - 1, steps, steps + 1):
        epoch, step = places[done - 1]
        with BatchLoader(manifest, plan_of(manifest), workers=3) as loader:
            again = list(islice(loader.updates(epoch, step + 1, done), 3 * steps - done))
        assert rows(again) == rows(updates[done:])


def test_without_effects_there_is_one_version(manifest: Manifest) -> None:
    with BatchLoader(manifest, plan_of(manifest)) as loader:
        assert all(batch.targets is None for update in loader.one_epoch() for batch in update.batches)


@pytest.mark.parametrize("side", ["past", "future"])
def test_inputs_and_targets_are_augmented_independently(manifest: Manifest, side: str) -> None:
    """One side is augmented as its window's key says, the other is the recording."""
    chain = ("reverb", "time-dropout")
    with (
        BatchLoader(manifest, plan_of(manifest)) as plain,
        BatchLoader(manifest, plan_of(manifest, **{f"augment_{side}": chain})) as loader,
    ):
        for (_, (clean,)), (_, (batch,)) in zip(plain.one_epoch(), loader.one_epoch(), strict=True):
            changed, kept = (batch.waveforms, batch.targets)[:: 1 if side == "past" else -1]
            assert changed is not None
            assert kept is not None
            assert clean.waveforms is not None
            assert clean.keys is not None
            assert batch.ids == clean.ids
            assert torch.equal(kept, clean.waveforms)
            for row, waveform, key in zip(changed, clean.waveforms, clean.keys.tolist(), strict=True):
                expected = Augmentation(chain, RATE)(waveform.numpy(), draws.stream(side, key))
                assert np.array_equal(row.numpy(), expected)
                assert not torch.equal(row, waveform)


def test_the_same_effects_on_both_sides_are_not_drawn_alike(manifest: Manifest) -> None:
    with BatchLoader(manifest, plan_of(manifest, augment_past=("noise",), augment_future=("noise",))) as loader:
        batch = next(loader.updates()).batches[0]
    assert batch.waveforms is not None
    assert batch.targets is not None
    assert not any(torch.equal(past, future) for past, future in zip(batch.waveforms, batch.targets, strict=True))


def test_a_window_is_augmented_otherwise_when_it_comes_again(manifest: Manifest) -> None:
    plan = plan_of(manifest, augment_past=("noise",))
    with BatchLoader(manifest, plan) as loader:
        first, again = (next(loader.updates(0, 0, update)).batches[0] for update in (0, 1000))
    assert first.ids == again.ids
    assert first.waveforms is not None
    assert again.waveforms is not None
    assert not torch.isclose(first.waveforms, again.waveforms).all(dim=1).any()


def test_noise_comes_from_the_manifest_that_is_named(manifest: Manifest, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    soundfile.write(noise / "hum.wav", np.sin(2 * np.pi * 150 * np.arange(3000) / RATE), RATE)
    line = {"id": "hum", "audio": "hum.wav", "duration": 3.0, "sample_rate": RATE}
    (noise / "manifest.jsonl").write_text(json.dumps(line), encoding="utf-8")
    plan = BatchPlan(
        manifest,
        DataSettings(sample_rate=RATE, window=200, batch=2, augment_past=("noise",), noise=str(noise / "manifest.jsonl")),
        seed=0,
    )
    with BatchLoader(manifest, plan) as loader:
        batch = next(loader.updates()).batches[0]
    assert batch.waveforms is not None
    assert batch.targets is not None
    added = (batch.waveforms - batch.targets).numpy()
    assert (np.argmax(np.abs(np.fft.rfft(added)), axis=1) == 30).all()


def test_inputs_are_mixed_and_targets_are_clean(manifest: Manifest) -> None:
    """As the keys say, from the whole batch; ids, speakers and order stay."""
    with BatchLoader(manifest, plan_of(manifest)) as plain, BatchLoader(manifest, plan_of(manifest, mix=0.5, mix_noise=0.2)) as loader:
        changed = 0
        for (planned, (clean,)), (_, (batch,)) in zip(plain.one_epoch(), loader.one_epoch(), strict=True):
            assert clean.waveforms is not None
            assert batch.waveforms is not None
            assert batch.targets is not None
            assert batch.ids == clean.ids
            assert torch.equal(batch.targets, clean.waveforms)
            mixed = Mixer(0.5, 0.2, RATE, generated_noise).reader(planned.keys, lambda place, rows=clean.waveforms: rows[place].numpy())
            expected = np.stack([mixed(place) for place in range(8)])
            assert np.array_equal(batch.waveforms.numpy(), expected)
            changed += int((batch.waveforms != clean.waveforms).any(1).sum())
        assert changed


def test_a_partner_that_cannot_be_read_is_replaced_alike_on_all_devices(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "b1.wav").unlink()
    (tmp_path / "a2.wav").unlink()
    plan = plan_of(manifest, batch=8, mix=1.0, mix_noise=0.0)
    with BatchLoader(manifest, plan) as loader, BatchLoader(manifest, plan, rank=1, world=2) as half:
        for whole, share in zip(loader.one_epoch(), half.one_epoch(), strict=True):
            assert batched_pairs(rows([share])) == batched_pairs(rows([whole]))[1::2]


def test_what_is_tested_on_is_not_mixed(manifest: Manifest) -> None:
    settings = DataSettings(sample_rate=RATE, window=20, batch=8, mix=1.0)
    assert plan_groups(manifest, settings, seed=0).settings.mix == 0
    with BatchLoader(manifest, plan_groups(manifest, settings, seed=0, group=2)) as loader:
        assert all(batch.targets is None for update in loader.one_epoch() for batch in update.batches)


def test_who_is_alone_has_nobody_to_be_mixed_with(manifest: Manifest) -> None:
    with pytest.raises(UserError, match=r"data\.mix = 0\.2 mixes each .* only one: --set data\.batch=2 .*--set data\.mix_noise=1"):
        BatchLoader(manifest, plan_of(manifest, batch=1, group=1, mix=0.2))
    with BatchLoader(manifest, plan_of(manifest, batch=1, group=1, mix=1.0, mix_noise=1.0)) as loader:
        batch = next(loader.updates()).batches[0]
    assert batch.waveforms is not None
    by_seconds = DataSettings(sample_rate=RATE, sampler="utterances", seconds=0.3, longest=0.25, shortest=0.05, mix=0.2)
    with pytest.raises(UserError, match=r"--set data\.seconds=0\.5 or more"):
        BatchLoader(manifest, plan_batches(manifest, by_seconds, seed=0))


def test_noise_to_mix_with_must_be_readable(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    empty = tmp_path / "noise" / "manifest.jsonl"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"noise.manifest\.jsonl"):
        BatchLoader(manifest, plan_of(manifest, mix=0.2, noise=str(empty)))
    BatchLoader(manifest, plan_of(manifest, mix=0.2, mix_noise=0.0, noise=str(empty))).close()  # is not asked for any


def test_noise_of_another_rate_is_resampled(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "hum.wav", np.sin(2 * np.pi * 150 * np.arange(24_000) / 8000), 8000)
    line = {"id": "hum", "audio": "hum.wav", "duration": 3.0, "sample_rate": 8000}
    (tmp_path / "noise" / "manifest.jsonl").write_text(json.dumps(line), encoding="utf-8")
    noise = str(tmp_path / "noise" / "manifest.jsonl")
    plan = BatchPlan(manifest, DataSettings(sample_rate=RATE, window=200, batch=2, mix=1.0, mix_noise=1.0, noise=noise), seed=0)
    with BatchLoader(manifest, plan) as loader:
        batch = next(loader.updates()).batches[0]
    assert batch.waveforms is not None
    assert batch.targets is not None
    for added in (batch.waveforms - batch.targets).numpy():
        stretch = np.trim_zeros(added)
        turns = (np.diff(np.sign(stretch)) != 0).sum()
        assert abs(turns - 0.3 * len(stretch)) <= 2  # 150 Hz at 1000 Hz


@pytest.mark.parametrize("name", ["mix", "mix_noise"])
def test_shares_are_shares(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a share of the utterances, from 0 to 1, not 1.5"):
        DataSettings(**{name: 1.5})


def test_effects_and_noise_that_do_not_exist_are_refused_before_anything_is_read(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no effect 'pich': did you mean \"pitch\""):
        BatchLoader(manifest, plan_of(manifest, augment_past=("pich",)))
    with pytest.raises(UserError, match=r"nowhere\.jsonl"):
        BatchLoader(manifest, plan_of(manifest, augment_past=("noise",), noise=str(tmp_path / "nowhere.jsonl")))
    assert not reading_threads()


def test_validation_is_the_same_every_time(manifest: Manifest) -> None:
    with BatchLoader(manifest, plan_of(manifest)) as loader:
        assert rows(loader.one_epoch()) == rows(loader.one_epoch())


def test_unreadable_windows_are_replaced_within_their_group_counted_and_reported_once(manifest: Manifest, tmp_path: Path) -> None:
    plan = plan_of(manifest, batch=8, group=4)
    bad = {2, 4}
    (tmp_path / "a2.wav").write_bytes(b"this is not audio")
    (tmp_path / "b1.wav").unlink()
    with BatchLoader(manifest, plan) as loader, BatchLoader(manifest, plan, rank=1, world=2) as half:
        updates = list(islice(loader.updates(), 3))
        shares = list(islice(half.updates(), 3))
        replaced = 0
        for planned, (batch,) in updates:
            for first in range(0, 8, 4):
                group = planned.windows[first : first + 4]
                good = [not bad & {s.item for s in w.segments} for w in group]
                replaced += good.count(False)
                for place in range(4):
                    found = next(n % 4 for n in range(place, place + 4) if good[n % 4])
                    expected = load_windows(manifest, [group[found]], RATE)
                    assert expected.waveforms is not None
                    assert batch.waveforms is not None
                    assert batch.ids[first + place] == expected.ids[0]
                    assert torch.equal(batch.waveforms[first + place], expected.waveforms[0])
        assert loader.unreadable == replaced > 0
        assert len(loader.messages) == len({m.split(".wav")[0] for m in loader.messages}) <= 2
        assert any("a2.wav" in message for message in loader.messages)
        assert [rows([share]) for share in shares] == [rows([update])[4:] for update in updates]


def test_a_batch_that_cannot_be_read_at_all_ends_the_training(manifest: Manifest, tmp_path: Path) -> None:
    for path in tmp_path.glob("*.wav"):
        path.unlink()
    with BatchLoader(manifest, plan_of(manifest)) as loader, pytest.raises(AudioError, match=r"none of the 8 windows .*\.wav"):
        next(loader.updates())


def test_load_windows_names_what_cannot_be_read(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "b0.wav").unlink()
    with pytest.raises(AudioError, match=r"b0\.wav"):
        load_windows(manifest, [Window(0, (Segment(0, 0, 20),)), Window(1, (Segment(3, 0, 20),))], RATE)


def test_a_failure_on_a_thread_reaches_the_caller_with_the_files_name(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Manifest, "read", fail)
    with BatchLoader(manifest, plan_of(manifest)) as loader, pytest.raises(OSError, match="Input/output error") as caught:
        next(loader.updates())
    assert any(".wav" in note for note in caught.value.__notes__)
    assert not reading_threads()


def test_the_time_that_the_caller_waits_is_counted(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Manifest.read

    def slow(*arguments: object) -> object:
        time.sleep(0.01)
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Manifest, "read", slow)
    with BatchLoader(manifest, plan_of(manifest), workers=1) as loader:
        updates = loader.updates()
        next(updates)
        first = loader.wait
        assert first >= 0.08  # eight windows, one after another
        time.sleep(0.5)  # meanwhile the next are read
        next(updates)
        assert loader.wait - first < 0.05


def test_threads_end_with_the_loader_even_when_the_caller_leaves_early(manifest: Manifest) -> None:
    def leave_early() -> None:
        with BatchLoader(manifest, plan_of(manifest), workers=3) as loader:
            for _ in loader.updates():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_early()
    assert not reading_threads()


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_more_devices_than_groups_are_refused(manifest: Manifest) -> None:
    with pytest.raises(UserError, match=r"8 windows has 4 groups of 2, too few for 3 devices x 2 .* --set data\.batch=12"):
        BatchLoader(manifest, plan_of(manifest), world=3, accumulate=2)


def test_without_workers_the_same_is_read(manifest: Manifest) -> None:
    with BatchLoader(manifest, plan_of(manifest), workers=0) as none, BatchLoader(manifest, plan_of(manifest)) as two:
        for one, other in zip(islice(none.updates(), 3), islice(two.updates(), 3), strict=True):
            assert one.batches[0].ids == other.batches[0].ids


def write_pairs(folder: Path) -> Manifest:
    """Write eight pairs: in each sample and each pixel stands which one it is; sides and modes differ."""
    image = pytest.importorskip("PIL.Image")
    lines = []
    for n in range(8):
        soundfile.write(folder / f"{n}.wav", samples(n, 200 + 10 * n), RATE, subtype="PCM_16")
        mode, color = [("RGB", (10 * n, 0, 255)), ("L", 10 * n), ("RGBA", (10 * n, 0, 255, 0))][n % 3]
        image.new(mode, (20 + n, 40), color).save(folder / f"{n}.png")
        lines.append({"id": f"p{n}", "audio": f"{n}.wav", "image": f"{n}.png", "duration": 0.2 + n / 100, "sample_rate": RATE})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Manifest.open(folder / "pairs.jsonl")


def colors(n: int) -> list[float]:
    return [[10 * n, 0, 255], [10 * n] * 3, [255] * 3][n % 3]


ITEMS = DataSettings(sample_rate=RATE, sampler="items", batch=4, window=150, shortest=0.1, image_side=32)


@pytest.mark.parametrize("modalities", [("audio",), ("image",), ("audio", "image")])
def test_a_batch_of_items_holds_what_the_model_asks_for(tmp_path: Path, modalities: tuple[Modality, ...]) -> None:
    manifest = write_pairs(tmp_path)
    plan = plan_batches(manifest, ITEMS, seed=5, group=2, modalities=modalities)
    with BatchLoader(manifest, plan) as loader:
        updates = list(loader.one_epoch())
    assert len(updates) == 2
    for planned, (batch,) in updates:
        segments = [window.segments[0] for window in planned.windows]
        assert (batch.waveforms is None) == (batch.lengths is None) == ("audio" not in modalities)
        assert (batch.images is None) == ("image" not in modalities)
        if batch.waveforms is not None:
            read = np.stack([samples(item, stop)[start:] for item, start, stop in segments])
            assert np.array_equal(batch.waveforms.numpy(), read)
        if batch.images is not None:
            assert batch.images.dtype == torch.float32
            assert batch.images.shape == (4, 3, 32, 32)
            for picture, (item, _, _) in zip(batch.images, segments, strict=True):
                torch.testing.assert_close(255 * picture.mean(dim=(1, 2)), torch.tensor(colors(item), dtype=torch.float32))
        ids = [f"p{item}" for item, _, _ in segments]
        assert list(batch.ids) == (ids if modalities == ("image",) else [f"unknown/p{i}@{s / RATE:.3f}" for i, s, _ in segments])


def test_pairs_do_not_depend_on_how_a_batch_is_cut_up(tmp_path: Path) -> None:
    manifest = write_pairs(tmp_path)
    plan = plan_batches(manifest, ITEMS, seed=5, group=2, modalities=("audio", "image"))
    with BatchLoader(manifest, plan) as loader:
        whole = [batch for _, (batch,) in loader.one_epoch()]
    shares = []
    for rank in range(2):
        with BatchLoader(manifest, plan, rank=rank, world=2, workers=1) as loader:
            shares.append([batch for _, (batch,) in loader.one_epoch()])
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        for name in ("waveforms", "images", "lengths", "keys"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


def test_an_unreadable_picture_is_replaced_with_its_sound_counted_and_reported(tmp_path: Path) -> None:
    manifest = write_pairs(tmp_path)
    (tmp_path / "3.png").write_bytes(b"this is no picture")
    plan = plan_batches(manifest, ITEMS, seed=5, group=2, modalities=("audio", "image"))
    with BatchLoader(manifest, plan) as loader:
        updates = list(loader.one_epoch())
        assert loader.unreadable == 1
        (message,) = loader.messages
    assert "3.png" in message
    assert "others of its batch take its place" in message
    for planned, (batch,) in updates:
        assert batch.waveforms is not None
        assert batch.images is not None
        for place, window in enumerate(planned.windows):
            other = place if window.segments[0].item != 3 else place ^ 1  # its neighbor in the group
            item, start, stop = planned.windows[other].segments[0]
            assert np.array_equal(batch.waveforms[place].numpy(), samples(item, stop)[start:])
            torch.testing.assert_close(255 * batch.images[place].mean(dim=(1, 2)), torch.tensor(colors(item), dtype=torch.float32))
