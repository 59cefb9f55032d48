"""Continuations beside a run: one for each prompt and temperature."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Item, write_manifest
from foresay.errors import UserError
from foresay.results import load_artifact
from foresay.workflows.sounds import keep_continuations


def write_continuations(folder: Path, prompts: int = 4) -> Path:
    """As `foresay continue` does: two samples of each prompt at each temperature."""
    lines, items = [], []
    folder.mkdir(parents=True)
    for prompt in range(prompts):
        for temperature in (0.3, 1.0, 1.5):
            for sample in (1, 2):
                name = f"p{prompt}-T{temperature:g}-{sample}"
                audio = folder / f"{name}.wav"
                soundfile.write(audio, np.full(800, 0.01 * (prompt + 1) * sample * temperature), 16_000)
                items.append(Item(name, audio=audio, duration=0.05, sample_rate=16_000))
                lines.append({"id": name, "prompt": f"p{prompt}.wav", "temperature": temperature, "units": [1, 1, 2]})
    write_manifest(folder / "manifest.jsonl", items)
    (folder / "units.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_first_sample_of_each_temperature_is_kept(tmp_path: Path) -> None:
    folder = write_continuations(tmp_path / "continued")
    assert keep_continuations(tmp_path / "run", folder) == 3
    for number in range(3):
        arrays = load_artifact(tmp_path / "run", f"sounds-{number + 1}")
        assert arrays is not None
        assert str(arrays["title"]) == f"p{number}.wav, continued"
        assert arrays["names"].tolist() == ["temperature 0.3", "temperature 1", "temperature 1.5"]
        assert arrays["notes"].tolist() == ["3 units, 2 different ones"] * 3
        for place, temperature in enumerate((0.3, 1.0, 1.5), start=1):
            assert arrays[f"sound_{place}"].mean() / 2**15 == pytest.approx(0.01 * (number + 1) * temperature, abs=1e-3)
    assert load_artifact(tmp_path / "run", "sounds-4") is None


def test_other_continuations_take_their_place(tmp_path: Path) -> None:
    keep_continuations(tmp_path / "run", write_continuations(tmp_path / "first"))
    assert keep_continuations(tmp_path / "run", write_continuations(tmp_path / "second", prompts=1)) == 1
    assert load_artifact(tmp_path / "run", "sounds-2") is None


def test_what_was_not_spoken_is_refused(tmp_path: Path) -> None:
    folder = write_continuations(tmp_path / "continued", prompts=1)
    (folder / "units.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no continuations that are spoken"):
        keep_continuations(tmp_path / "run", folder)
