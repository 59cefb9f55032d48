"""A run folder as training and evaluation leave it, made up in a moment: nothing in it was learned."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.results import Result, append_results, save_artifact
from foresay.settings import write_toml

RATE, SECONDS = 16000, 0.6
PHONES = ((0.0, 0.1, "h#"), (0.1, 0.25, "<b>"), (0.25, 0.4, "$x^2$"), (0.4, 0.6, "ae"))
FRAMES, FUTURE, PREDICTIONS = 60, 6, 3
POSITIONS = FRAMES - FUTURE

RECIPE: dict[str, dict[str, Any]] = {
    "model": {"name": "acpc", "channels": 64, "kernels": [10, 8, 4, 4, 4], "predictions": 8},
    "data": {"sample_rate": RATE, "window": 20480, "join": True, "batch": 8},
    "optimizer": {"name": "adam", "lr": 2e-4},
    "trainer": {"steps": 40, "seed": 0},
}


def write_run(
    folder: Path,
    *,
    recipe: Mapping[str, Mapping[str, Any]] = RECIPE,
    steps: int = 40,
    results: bool = True,
    example: bool = True,
) -> Path:
    """Write a run that got as far as `steps`, was measured or not, and has an example or not."""
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(write_toml(recipe), encoding="utf-8")
    lines = [line for step in range(10, steps + 1, 10) for line in _logged(step)]
    if lines:
        lines.append({"kind": "event", "step": 20, "message": "update 20 skipped: <i>loss</i> not finite"})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if results:
        append_results(folder / "results.jsonl", probe_results(folder.name, steps))
    if example:
        save_artifact(folder, "example-1", example_arrays())
    return folder


def probe_results(name: str, step: int) -> list[Result]:
    """The rows of a probe: references, untrained copies, layers, gains; and one row on the training split."""

    def row(model: str, layer: str, value: float, metric: str = "accuracy", split: str = "test") -> Result:
        trained = step if model == name else None
        details = {"classes": 39, "frames": 12345, "trained_on": "corpus/train"}
        low, high = value - 0.0123, value + 0.0117
        about = {"details": details, "direction": "higher", "unit": "%", "headline": metric == "accuracy"}
        return Result(model, "probe", "paper", metric, layer, split, value, low, high, f"corpus/{split}", trained, 0, 3.0, **about)

    rows = [row("mfcc", "mfcc", 0.4523), row("logmel", "logmel", 0.4311), row("majority class", "none", 0.1214)]
    for layer, untrained, value in (("z", 0.3817, 0.5122), ("c", 0.4026, 0.6189)):
        rows += [row(name, layer, value), row(f"{name} (untrained)", layer, untrained)]
        rows.append(row(name, layer, value - untrained, "gain over untrained"))
    return [*rows, row(name, "c", 0.7531, split="train")]


def example_arrays() -> dict[str, NDArray[Any]]:
    """A tone that changes at the phones' boundaries, features that are steady inside phones, and an alignment that is a staircase."""
    random = np.random.default_rng(0)
    times = np.arange(round(SECONDS * RATE)) / RATE
    starts, ends, labels = zip(*PHONES, strict=True)
    phone = np.searchsorted(starts, times, side="right") - 1
    frame_phone = phone[:: RATE // 100]
    features = np.eye(len(PHONES))[frame_phone] + 0.05 * random.standard_normal((FRAMES, len(PHONES)))
    arrays = {
        "id": np.array("speaker/<one>"),
        "text": np.array("a tone & <another>"),
        "waveform": (0.3 * np.sin(2 * np.pi * (300 + 200 * phone) * times)).astype(np.float32),
        "sample_rate": np.array(RATE),
        "phone_starts": np.array(starts),
        "phone_ends": np.array(ends),
        "phone_labels": np.array(labels),
        "first_center_seconds": np.array(79 / RATE),
        "inspect_alignment_posterior": staircase(),
    }
    for layer, values in {"z": np.maximum(features, 0), "c": features}.items():
        arrays |= {f"features_{layer}": values.astype(np.float32), f"frame_rate_{layer}": np.array(100.0)}
    return arrays


def staircase() -> NDArray[np.float64]:
    """Every prediction covers as many frames as the others, for certain: (POSITIONS, FUTURE, PREDICTIONS)."""
    covered = np.arange(FUTURE) * PREDICTIONS // FUTURE
    return np.repeat(np.eye(PREDICTIONS)[covered][None], POSITIONS, axis=0)


def _logged(step: int) -> list[dict[str, Any]]:
    share = step / 40
    train = {"loss": 52.5 - 10 * share, "accuracy": 0.4 * share, "lr": 2e-4, "grad_norm": 1.5, "latent_std": 0.3}
    speed = {"audio_rate": 20.48, "data_wait": 0.01, "skipped": int(step >= 20)}
    lines: list[dict[str, Any]] = [{"kind": "train", "step": step, "epoch": 0, **train, **speed}]
    if step % 20 == 0:
        lines.append({"kind": "valid", "step": step, "loss": 53.0 - 9 * share, "accuracy": 0.35 * share})
    return lines
