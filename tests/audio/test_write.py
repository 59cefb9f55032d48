"""Speech is written as it is, up to 16 bits, and never wraps around."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.audio.write import write_speech
from foresay.errors import UserError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).uniform(-1, 1, 800).astype(np.float32)
    assert write_speech(tmp_path / "new" / "one.wav", waveform, 16_000) == 0
    again, rate = soundfile.read(tmp_path / "new" / "one.wav", dtype="float32")
    assert rate == 16_000
    assert np.abs(again - waveform).max() <= 2**-15
    assert soundfile.info(tmp_path / "new" / "one.wav").subtype == "PCM_16"


def test_what_is_too_loud_is_limited_and_counted(tmp_path: Path) -> None:
    assert write_speech(tmp_path / "one.wav", np.array([0.5, 1.0, 1.2, -3.0, -1.0], np.float32), 8_000) == 2
    again, _ = soundfile.read(tmp_path / "one.wav", dtype="float32")
    assert again == pytest.approx([0.5, 1.0, 1.0, -1.0, -1.0], abs=2**-15)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_not_written(tmp_path: Path, broken: float) -> None:
    with pytest.raises(UserError, match=r"one.wav: what is to be written is not finite"):
        write_speech(tmp_path / "one.wav", np.array([0.5, broken], np.float32), 8_000)
    assert not (tmp_path / "one.wav").exists()
