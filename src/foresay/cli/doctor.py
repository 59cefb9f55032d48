"""Say what is installed, which devices there are, whether the main parts work, and what to do about what is missing.

Example:
    foresay doctor
"""

import tyro

from foresay.workflows.doctor import Diagnosis, doctor

MARKS = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}


def run(arguments: list[str]) -> int:
    """Print the findings; the exit code is 0 if Foresay is usable here."""
    return tyro.cli(examine, prog="foresay doctor", description=__doc__, args=arguments)


def examine() -> int:
    """Print the findings by part, then the verdict."""
    findings = doctor()
    for part in dict.fromkeys(finding.part for finding in findings):
        print(part)
        _print([finding for finding in findings if finding.part == part])
    broken = [finding.subject for finding in findings if finding.verdict == "broken"]
    print(f"not usable yet: see {', '.join(broken)}" if broken else "ready: try `foresay demo`")
    return 1 if broken else 0


def _print(findings: list[Diagnosis]) -> None:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"  {MARKS[finding.verdict]}  {finding.subject:{width}}  {finding.found}")
        if finding.advice:
            print(f"           {'':{width}}  -> {finding.advice}")
