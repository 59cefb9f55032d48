"""k-means against loops, against scikit-learn, and by its laws."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans as FullKMeans
from torch import Tensor

from foresay.errors import UserError
from foresay.quantizers.kmeans import SAMPLED, KMeans
from reference.cluster_loops import moved, nearest


def blobs(count: int, size: int, groups: int, seed: int = 0, apart: float = 3.0) -> Tensor:
    """Frames around `groups` points."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(groups, size)) * apart
    return torch.from_numpy(points[random.integers(groups, size=count)] + random.normal(size=(count, size))).float()


def started(centers: Tensor, *, spherical: bool = False) -> KMeans:
    kmeans = KMeans(*centers.shape, spherical=spherical)
    kmeans.centers.copy_(centers)
    return kmeans


class Chunks:
    """Frames in pieces, as a file that is read again and again would give them."""

    def __init__(self, frames: Tensor, size: int) -> None:
        self.frames, self.size, self.passes = frames, size, 0

    def __iter__(self) -> Iterator[Tensor]:
        self.passes += 1
        yield from self.frames.split(self.size)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_codes_and_distances_are_those_of_loops(offset: float) -> None:
    frames = blobs(40, 5, 4) + offset
    kmeans = started(frames[:7] + 0.1)
    codes, distances = kmeans.nearest(frames)
    found = [nearest(frame, kmeans.centers.double().numpy()) for frame in frames.double().numpy()]
    assert codes.tolist() == [code for code, _ in found]
    torch.testing.assert_close(distances, torch.tensor([distance for _, distance in found]), rtol=1e-4, atol=1e-3 if offset else 1e-5)
    assert kmeans.assign(frames).dtype == torch.int64
    assert kmeans.inertia(frames) == pytest.approx(np.mean([distance for _, distance in found]), rel=1e-4)
    assert kmeans.inertia(Chunks(frames, 9)) == pytest.approx(kmeans.inertia(frames))


def test_an_iteration_moves_each_center_to_the_mean_of_its_frames() -> None:
    frames = blobs(60, 3, 4)
    kmeans = started(frames[:5])
    expected, before = moved(frames.double().numpy(), kmeans.centers.double().numpy())
    assert kmeans._lloyd([frames], 1, 0.0, np.random.default_rng(0)) == [pytest.approx(before)]
    np.testing.assert_allclose(kmeans.centers.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count, size, groups, clusters", [(4000, 16, 20, 32), (3000, 4, 200, 50), (3000, 40, 5, 8)])
def test_inertia_is_that_of_a_full_fit_within_a_percent(count: int, size: int, groups: int, clusters: int) -> None:
    frames = blobs(count, size, groups, apart=1.0)
    kmeans = KMeans(clusters, size)
    kmeans.fit(frames)
    full = FullKMeans(clusters, n_init=3, random_state=0).fit(frames.numpy())
    assert kmeans.inertia(frames) < 1.01 * full.inertia_ / count


def test_groups_far_apart_are_found_each() -> None:
    frames = blobs(2000, 8, 30, apart=50.0)
    kmeans = KMeans(30, 8)
    kmeans.fit(frames)
    assert kmeans.inertia(frames) == pytest.approx(8.0, rel=0.05)  # the variance within, 1 in each dimension


@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 200),
    size=st.integers(1, 6),
    clusters=st.integers(1, 20),
    spherical=st.booleans(),
    rounded=st.booleans(),
)
def test_inertia_never_rises(seed: int, count: int, size: int, clusters: int, spherical: bool, rounded: bool) -> None:  # noqa: FBT001 - drawn
    frames = blobs(max(count, clusters), size, 5, seed)
    frames = frames.round() if rounded else frames  # many frames are then equal
    kmeans = KMeans(clusters, size, spherical=spherical)
    inertias = kmeans.fit(frames, seed=seed, restarts=1)
    slack = 1e-5 * float(frames.square().sum(dim=1).mean())
    assert all(after <= before + slack for before, after in zip(inertias, [*inertias[1:], kmeans.inertia(frames)], strict=True))
    assert kmeans.centers.isfinite().all()


@pytest.mark.parametrize("spherical", [False, True])
def test_order_and_duplicates_change_nothing(spherical: bool) -> None:  # noqa: FBT001
    frames = blobs(300, 4, 6)
    start = torch.nn.functional.normalize(frames[:9]) if spherical else frames[:9]
    plain = started(start, spherical=spherical)
    inertias = plain._lloyd([frames], 50, 1e-4, np.random.default_rng(0))
    for same in (frames.flip(0), frames.repeat(2, 1), frames.repeat_interleave(3, dim=0)):
        other = started(start, spherical=spherical)
        assert other._lloyd([same], 50, 1e-4, np.random.default_rng(0)) == pytest.approx(inertias, rel=1e-5)
        torch.testing.assert_close(other.centers, plain.centers)


@pytest.mark.parametrize("spherical", [False, True])
def test_chunks_and_the_whole_give_the_same(tmp_path: Path, spherical: bool) -> None:  # noqa: FBT001
    frames = blobs(3 * 5 * SAMPLED, 6, 12)  # more than are sampled for 5 centers
    whole = KMeans(5, 6, spherical=spherical)
    inertias = whole.fit(frames)
    np.save(tmp_path / "frames.npy", frames.numpy())
    on_disk = np.load(tmp_path / "frames.npy", mmap_mode="r")
    chunked = Chunks(frames, 301)
    for features in (chunked, on_disk, frames.double().numpy()):
        other = KMeans(5, 6, spherical=spherical)
        assert other.fit(features) == pytest.approx(inertias, rel=1e-5)
        torch.testing.assert_close(other.centers, whole.centers, rtol=1e-4, atol=1e-4)
    assert chunked.passes == 1 + len(inertias)  # one to draw the sample


def test_the_sample_is_uniform_and_takes_all_there_is_if_it_is_little() -> None:
    frames = torch.arange(40_000.0)[:, None]
    kmeans = KMeans(4, 1)
    sample = kmeans._sample(Chunks(frames, 700), np.random.default_rng(1))[:, 0]
    assert len(sample.unique()) == len(sample) == 4 * SAMPLED
    assert abs(float(sample.mean()) - 20_000) < 4 * 40_000 / np.sqrt(12 * len(sample))  # four standard deviations
    few = kmeans._sample([frames[:100]], np.random.default_rng(1))[:, 0]
    assert few.sort().values.tolist() == list(range(100))
    assert few.tolist() != list(range(100))


def test_empty_clusters_are_put_to_use() -> None:
    frames = blobs(400, 5, 10)
    away = torch.full((10, 5), 1e3)
    away[0] = frames[0]
    kmeans = started(away)
    inertias = kmeans._lloyd([frames], 60, 1e-4, np.random.default_rng(0))
    assert kmeans.assign(frames).bincount(minlength=10).min() > 0
    assert inertias == sorted(inertias, reverse=True)


def test_fewer_different_frames_than_centers_have_no_inertia() -> None:
    frames = torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]]).repeat(10, 1)
    kmeans = KMeans(6, 2)
    assert kmeans.fit(frames)[-1] == pytest.approx(0.0, abs=1e-9)
    assert len(kmeans.assign(frames).unique()) == 3


def test_one_center_is_the_mean() -> None:
    frames = blobs(20_000, 3, 4) + 100.0
    kmeans = KMeans(1, 3)
    kmeans.fit(frames)
    torch.testing.assert_close(kmeans.centers[0], frames.double().mean(dim=0).float(), rtol=1e-6, atol=1e-5)
    assert kmeans.inertia(frames) == pytest.approx(float(frames.double().var(dim=0, correction=0).sum()), rel=1e-5)


def test_only_directions_count_on_the_sphere() -> None:
    frames = blobs(500, 4, 6)
    plain, scaled = KMeans(6, 4, spherical=True), KMeans(6, 4, spherical=True)
    plain.fit(frames)
    scaled.fit(frames * torch.rand(500, 1).add(0.1))
    torch.testing.assert_close(scaled.centers, plain.centers, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain.centers.norm(dim=1), torch.ones(6))
    cosines = torch.nn.functional.cosine_similarity(frames[:, None], plain.centers, dim=-1)
    torch.testing.assert_close(plain.nearest(frames)[1], 2 - 2 * cosines.amax(dim=1), rtol=1e-4, atol=1e-5)
    assert plain.assign(frames).equal(cosines.argmax(dim=1))


def test_a_seed_decides_and_nothing_else_is_drawn_from() -> None:
    frames = blobs(2000, 4, 40, apart=1.0)
    state = torch.get_rng_state()
    first, same, other = (KMeans(20, 4) for _ in range(3))
    for kmeans, seed in ((first, 1), (same, 1), (other, 2)):
        kmeans.fit(frames, seed=seed)
    assert first.centers.equal(same.centers)
    assert not first.centers.equal(other.centers)
    assert torch.get_rng_state().equal(state)


def test_the_best_start_goes_on() -> None:
    frames = blobs(400, 2, 12, apart=6.0)
    once, often = ([_inertia(frames, seed, restarts) for seed in range(8)] for restarts in (1, 8))
    assert np.mean(often) < np.mean(once)
    assert max(often) < max(once)


def _inertia(frames: Tensor, seed: int, restarts: int) -> float:
    kmeans = KMeans(12, frames.shape[1])
    kmeans.fit(frames, seed=seed, restarts=restarts)
    return kmeans.inertia(frames)


def test_centers_are_saved_with_the_module() -> None:
    frames = blobs(200, 3, 4)
    kmeans, loaded = KMeans(4, 3), KMeans(4, 3)
    kmeans.fit(frames)
    loaded.load_state_dict(kmeans.state_dict())
    assert loaded.assign(frames).equal(kmeans.assign(frames))
    assert kmeans.assign(frames[:0]).shape == (0,)


def test_what_it_cannot_use_is_reported() -> None:
    frames = blobs(100, 3, 4)
    broken = frames.clone()
    broken[41, 1] = torch.nan
    for features, message in (
        (broken, "frame 41 is not"),
        (frames[:3], "3 frames cannot have 5 centers"),
        (frames[:, :2], r"takes frames \(N, 3\), not \(100, 2\)"),
        (frames[0], r"takes frames \(N, 3\), not \(3,\)"),
        (iter([frames]), "a generator can be gone through once"),
    ):
        with pytest.raises(UserError, match=message):
            KMeans(5, 3).fit(features)
