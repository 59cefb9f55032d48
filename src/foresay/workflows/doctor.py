"""A check-up: what is installed, what the machine offers, whether the main parts work, and what to do about what does not."""

import itertools
import math
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import torch

from foresay import draws
from foresay.audio.read import read_audio
from foresay.contracts import Batch, SpeechModel
from foresay.extras import install, requirements
from foresay.files import is_disk_full
from foresay.monotonic import monotonic_alignment
from foresay.training.recipe import read_recipe
from foresay.version import __version__

EXTRAS = {
    "demo": "speaks the embedded corpus",
    "plot": "draws the figures of reports",
    "images": "reads pictures",
    "log": "writes TensorBoard logs",
    "docs": "builds the documentation",
    "dev": "tests and lints Foresay itself",
}
GIGABYTE = 1 << 30
ENOUGH_DISK = 2 * GIGABYTE


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at."""

    part: Literal["installed", "machine", "self-test"]
    subject: str
    found: str
    verdict: Literal["ok", "missing", "broken"] = "ok"
    """`missing` is something that one can do without, `broken` is not."""
    advice: str = ""
    """What to do about it."""


def doctor() -> list[Diagnosis]:
    """Look at everything. Foresay is usable if nothing is broken."""
    return [*_installed(), *_machine(), *map(_self_test, (_learn, _read_and_write, _align))]


def _installed() -> Iterator[Diagnosis]:
    """Yield the versions of Foresay and of what it needs, and of each extra."""
    yield Diagnosis("installed", "foresay", f"{__version__} on Python {platform.python_version()}, {platform.platform(terse=True)}")
    for extra, packages in requirements().items():
        versions = {name: _version(name) for name in (re.split(r"[^\w.-]", package)[0] for package in packages)}
        absent = [name for name, version in versions.items() if version is None]
        there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        subject, use = (f"extra {extra}", f" ({EXTRAS.get(extra, 'optional')})") if extra else ("packages", "")
        if not absent:
            yield Diagnosis("installed", subject, there)
        elif extra:
            yield Diagnosis("installed", subject, f"no {', '.join(absent)}{use}", "missing", install(extra))
        else:
            yield Diagnosis("installed", subject, f"no {', '.join(absent)}", "broken", install())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Diagnosis]:
    """Yield processors, accelerators and disk space."""
    capability = torch.backends.cpu.get_cpu_capability()
    bf16 = "bf16 in hardware" if torch.cpu.get_capabilities().get("avx512_bf16") else "bf16 emulated: slower than fp32"
    yield Diagnosis("machine", "processor", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {capability}, {bf16}")
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: set trainer.precision=fp16"
        yield Diagnosis("machine", f"cuda:{index}", f"{card.name}, {card.total_memory / GIGABYTE:.0f} GiB, {bf16}")
    if not torch.cuda.is_available():
        idle = shutil.which("nvidia-smi") is not None
        advice = "this torch cannot use the NVIDIA card: install the CUDA build, see https://pytorch.org/get-started" if idle else ""
        yield Diagnosis("machine", "CUDA", f"none for torch {torch.__version__}", "missing" if idle else "ok", advice)
    if torch.backends.mps.is_available():
        yield Diagnosis("machine", "mps", "Apple GPU; the CPU is the better tested choice")
    free = shutil.disk_usage(Path.cwd()).free
    full = free < ENOUGH_DISK
    advice = "runs keep several checkpoints: free some space, or name a --run on another disk" if full else ""
    yield Diagnosis("machine", "disk", f"{free / GIGABYTE:.1f} GiB free here", "missing" if full else "ok", advice)


LEAST = 2**20
"""Bytes that a self-test writes, at most. libsndfile calls a full disk a `System error`."""


def _self_test(test: Callable[[], str]) -> Diagnosis:
    """Run a test that returns what it saw; anything that it raises is a finding."""
    subject = (test.__doc__ or "").rstrip(".")
    start = time.perf_counter()
    try:
        seen = test()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this machine shall be reported, not raised
        reported = f"{type(error).__name__}: {error}"
        if is_disk_full(error) or shutil.disk_usage(tempfile.gettempdir()).free < LEAST:
            return Diagnosis("self-test", subject, reported, "broken", f"the disk of {tempfile.gettempdir()} is full: free some space")
        return Diagnosis("self-test", subject, reported, "broken", "reinstall in a fresh environment; if that does not help, report it")
    return Diagnosis("self-test", subject, f"{seen}, {time.perf_counter() - start:.2f} s")


def _learn() -> str:
    """A loss and its gradient."""
    draws.seed_torch("self-test", 0)
    recipe = read_recipe("demo-acpc")
    model = recipe.build_model()
    assert isinstance(model, SpeechModel)  # noqa: S101 - as every recipe that pre-trains
    waveforms = torch.randn(model.group, recipe.data.window)
    lengths = torch.full((model.group,), recipe.data.window)
    names = tuple(map(str, range(model.group)))
    loss = model(Batch(names, waveforms, lengths, keys=torch.arange(model.group)), step=0).total()
    loss.backward()
    norm = torch.nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None)
    if not torch.isfinite(norm) or norm == 0:
        msg = f"the gradient of the demo model has norm {norm}"
        raise ArithmeticError(msg)
    return f"demo-acpc: loss {loss.item():.2f}, gradient {norm.item():.2f}"


def _read_and_write() -> str:
    """Audio written and read."""
    rate = 16_000
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate, dtype=np.float32) / 2
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("wav", "flac"):
            path = Path(folder) / f"tone.{kind}"
            soundfile.write(path, tone, rate)
            worst = float(np.abs(read_audio(path, rate) - tone).max())
            if worst > 2**-15:  # half a step of 16 bits, doubled
                msg = f"a {kind} file came back different by {worst:.2g}"
                raise ArithmeticError(msg)
            halved = read_audio(path, rate // 2)
            if len(halved) != rate // 2:
                msg = f"one second of {kind} has {len(halved)} samples at {rate // 2} Hz"
                raise ArithmeticError(msg)
    return "wav and flac, resampled"


def _align() -> str:
    """The alignment against all paths."""
    frames, predictions = 6, 3
    scores = torch.randn(frames, predictions, dtype=torch.float64, generator=draws.generator("self-test", 0))
    paths = [
        list(itertools.accumulate(climbs, initial=0))
        for climbs in itertools.product((0, 1), repeat=frames - 1)
        if sum(climbs) == predictions - 1
    ]
    expected = -math.log(sum(math.exp(sum(float(scores[m, k]) for m, k in enumerate(path))) for path in paths))
    loss = monotonic_alignment(scores).loss.item()
    if not math.isclose(loss, expected, rel_tol=1e-9):
        msg = f"the program says {loss}, the sum over {len(paths)} paths {expected}"
        raise ArithmeticError(msg)
    return f"{loss:.4f} over {len(paths)} paths"
