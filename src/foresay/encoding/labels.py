"""Labels for frames: find clusters in what a model hears of a corpus, and name the cluster of every frame (HuBERT, section II-C).

Features are never written down: one pass over part of the corpus finds the clusters, one over all of it names them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foresay import draws
from foresay.corpora.alignments import labels_at
from foresay.corpora.labels import FrameLabels, LabelSettings, LabelWriter, read_about
from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.fitted_clusters import draw_frames
from foresay.encoding.recordings import draw_recordings, encode_recordings, frame_centers
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError, UserError, nearest
from foresay.files import UNFINISHED
from foresay.fingerprint import fingerprint, of_model
from foresay.loading import load
from foresay.quantizers.kmeans import KMeans
from foresay.results import load_artifact, save_artifact
from foresay.settings import Table, to_table
from foresay.statistics.cluster_scores import rate_agreement

MOST_CLUSTERS = 2**16


def make_labels(
    settings: LabelSettings, manifests: Mapping[str, Manifest], folder: Path, *, seed: int = 0, device: str = "cpu"
) -> dict[str, FrameLabels]:
    """Label the frames of manifests, by name; the clusters are those of the one called `train`. What is there already is not made again.

    It stays as it was made, even if what made it is trained on or deleted: what a run learns must not change under it.

    Below `folder`: `train/`, `valid/`, … with the labels, and `artifacts/clusters.npz` with the centers.

    Raises:
        UserError: there is no such layer, too many clusters, or too little audio for so many.
    """
    if not 1 < settings.clusters < MOST_CLUSTERS:
        msg = f"labels.clusters = {settings.clusters}: it takes more than one cluster and fewer than {MOST_CLUSTERS:,}"
        raise UserError(msg)
    stamp = fingerprint(to_table(settings), manifests["train"].digest, seed)
    missing = [name for name, manifest in manifests.items() if not _made(folder / name, stamp, manifest)]
    for name in missing:
        checked_phones(manifests[name])  # before hours of work
    if missing:
        subject = _source(settings, device)
        weights = of_model(subject.extractor)
        kmeans = _clusters(subject, settings, manifests["train"], folder, stamp, weights, seed, device)
        for name in missing:
            about = {"weights": weights, "fingerprint": _stamped(stamp, weights, manifests[name])}
            _label(subject, kmeans, manifests[name], folder / name, settings, about)
    for left in (left for name in manifests for left in (folder / name).glob(f"{UNFINISHED}*")):
        left.unlink()  # of one that was stopped when the labels were there
    return {name: FrameLabels(folder / name, manifest) for name, manifest in manifests.items()}


def _source(settings: LabelSettings, device: str) -> Subject:
    """What the labels are made of."""
    extractor = load(settings.of, device)
    if settings.layer not in extractor.layer_names:
        msg = f"{settings.of} has no layer {settings.layer!r} to make labels of: {nearest(settings.layer, extractor.layer_names)}"
        raise UserError(msg)
    return Subject(f"labels of {settings.of}", extractor, (settings.layer,))


def _made(folder: Path, stamp: str, manifest: Manifest) -> bool:
    """Whether the labels in a folder are those of a manifest, made as `stamp` says, of whatever weights their source then had."""
    about = read_about(folder)
    return about is not None and about["fingerprint"] == _stamped(stamp, str(about.get("weights")), manifest)


def _stamped(stamp: str, weights: str, manifest: Manifest) -> str:
    """Digest all that labels depend on."""
    return fingerprint(stamp, weights, manifest.digest)


def _clusters(
    subject: Subject, settings: LabelSettings, manifest: Manifest, folder: Path, stamp: str, weights: str, seed: int, device: str
) -> KMeans:
    """Find clusters in part of a corpus, or read those found before.

    Raises:
        UserError: they were found in what other weights hear.
    """
    kept = load_artifact(folder, "clusters")
    if kept is not None and kept["fingerprint"] == stamp:
        if kept["weights"] != weights:
            msg = (
                f"the clusters in {folder} were found with other weights of {settings.of}, which has been trained on since: labels of both "
                "would not be the same. Begin another --run"
            )
            raise UserError(msg)
        centers = torch.from_numpy(kept["centers"])
    else:
        centers = _find(subject, settings, manifest, seed, device).cpu()
        save_artifact(folder, "clusters", {"centers": centers.numpy(), "fingerprint": np.array(stamp), "weights": np.array(weights)})
    kmeans = KMeans(*centers.shape).to(device)
    kmeans.centers.copy_(centers)
    return kmeans


def _find(subject: Subject, settings: LabelSettings, manifest: Manifest, seed: int, device: str) -> torch.Tensor:
    heard = draw_recordings(manifest, 3600 * settings.hours, seed)
    unreadable: dict[int, AudioError] = {}  # they are listed when labels are made
    frames = draw_frames(subject, settings.layer, manifest, settings.frames, seed, device, heard, unreadable)
    if len(frames) < settings.clusters:
        msg = (
            f"{len(frames):,} frames are too few to find {settings.clusters} clusters in: give more audio, raise labels.hours or "
            "labels.frames, or lower labels.clusters"
        )
        raise UserError(msg)
    if not settings.moved:
        random = draws.stream("centers", seed)
        return frames[torch.from_numpy(random.choice(len(frames), settings.clusters, replace=False)).to(frames.device)]
    kmeans = KMeans(settings.clusters, frames.shape[1]).to(frames.device)
    kmeans.fit(frames, seed=seed)
    return kmeans.centers


def _label(subject: Subject, kmeans: KMeans, manifest: Manifest, folder: Path, settings: LabelSettings, about: Table) -> None:
    """Name the cluster of every frame of a corpus and, where it has phones, tell how well clusters agree with them."""
    extractor, layer = subject.extractor, settings.layer
    with LabelWriter(folder, about["fingerprint"]) as writer:
        _write(writer, subject, kmeans, manifest)
        codes = writer.read()
        about |= {
            "of": settings.of,
            "layer": layer,
            "classes": settings.clusters,
            "frame_rate": extractor.sample_rate / extractor.hop(layer),
            "first_center": extractor.first_center / extractor.sample_rate,
            "manifest": str(manifest.path.name),
            "data": manifest.digest,
            "hours": round(float(manifest.durations.sum()) / 3600, 6),
        }
        vocabulary = {label: number for number, label in enumerate(checked_phones(manifest))}
        if vocabulary:
            centers = [frame_centers(extractor, layer, len(part)) for part in codes]
            phones = [labels_at(item.phones or (), times, vocabulary) for item, times in zip(manifest, centers, strict=False)]
            about |= _agreement(codes, phones, settings.clusters)
        writer.finish(len(manifest), about)


def _write(writer: LabelWriter, subject: Subject, kmeans: KMeans, manifest: Manifest) -> None:
    """Label the recordings that have not been yet; what cannot be read is left out."""
    unreadable: dict[int, AudioError] = {}

    def leave_out(until: int) -> None:
        for place in [place for place in sorted(unreadable) if writer.done <= place < until]:
            writer.leave_out(place, f"{manifest.ids[place]}: {unreadable[place]}")

    labelled = bool(writer.done)
    for recording in encode_recordings(subject, manifest, str(kmeans.centers.device), range(writer.done, len(manifest)), unreadable):
        leave_out(recording.index)
        writer.add(recording.index, kmeans.assign(recording.features[subject.layers[0]]).cpu().numpy())
        labelled = True
    leave_out(len(manifest))
    if not labelled:
        why = f" The first: {next(iter(unreadable.values()))}" if unreadable else ""
        msg = f"{manifest.name} has no recording that can be read and is long enough to be labelled.{why}"
        raise UserError(msg)


def _agreement(codes: list[NDArray[np.uint16]], phones: list[NDArray[np.int64]], clusters: int) -> dict[str, object]:
    """Tell how much labels say about phones (PNMI, section II-C), with its interval over utterances."""
    utterances = np.repeat(np.arange(len(codes)), [len(part) for part in codes])
    rated = rate_agreement(np.concatenate(codes), np.concatenate(phones), utterances, clusters)["PNMI"]
    interval = rated.interval
    return {"pnmi": round(rated.value, 4)} | ({"pnmi_interval": [round(end, 4) for end in interval]} if interval else {})
