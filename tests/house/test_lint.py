"""The linter and the formatter have nothing to say (the type checker, which is slow, runs in `make lint`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from house.tree import ROOT


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_is_content(command: str) -> None:
    ruff = str(Path(sys.executable).parent / "ruff")
    done = subprocess.run([ruff, *command.split(), "--no-cache", "."], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
