"""The check-up finds this machine well, and says what is wrong with another."""

from importlib import metadata

import pytest
import torch

from foresay.extras import install
from foresay.workflows import doctor as module
from foresay.workflows.doctor import Diagnosis, doctor


def _find(findings: list[Diagnosis], subject: str) -> Diagnosis:
    return next(finding for finding in findings if finding.subject == subject)


def test_this_machine_is_usable() -> None:
    findings = doctor()
    assert not [finding for finding in findings if finding.verdict == "broken"]
    assert f"torch {torch.__version__}".partition("+")[0] in _find(findings, "packages").found
    assert {"installed", "machine", "self-test"} == {finding.part for finding in findings}
    assert len([finding for finding in findings if finding.part == "self-test"]) == 3


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "espeakng-loader")
    finding = _find(doctor(), "extra demo")
    assert finding.verdict == "missing"
    assert finding.advice == install("demo")


def test_a_missing_package_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "soxr")
    finding = _find(doctor(), "packages")
    assert (finding.verdict, finding.advice) == ("broken", install())


def test_a_wrong_result_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = module.monotonic_alignment
    monkeypatch.setattr(module, "monotonic_alignment", lambda scores: right(scores + 0.01))
    finding = _find(doctor(), "The alignment against all paths")
    assert finding.verdict == "broken"
    assert "10 paths" in finding.found


def test_a_crash_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        msg = "no libsndfile"
        raise OSError(msg)

    monkeypatch.setattr(module.soundfile, "write", crash)
    finding = _find(doctor(), "Audio written and read")
    assert (finding.verdict, finding.found) == ("broken", "OSError: no libsndfile")


def _hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let a package look as if it were not installed."""
    version = metadata.version

    def known(name: str) -> str:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", known)
