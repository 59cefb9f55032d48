"""What recognizers get wrong, side by side, of what `foresay evaluate` kept: nothing is decoded again."""

from collections.abc import Sequence
from pathlib import Path

from foresay.errors import UserError
from foresay.reports.comparisons import compare
from foresay.reports.error_analysis import Analysis, analyses
from foresay.reports.record import read_records

MEASURES = ("wer", "per")


def errors(runs: str | Path | Sequence[str | Path]) -> list[Analysis]:
    """Return an analysis for each corpus that recognizers were tested on: their rates, frequent errors, and transcripts.

    Raises:
        UserError: a folder is no run, or no transcripts were kept of any.
    """
    folders = [Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)]
    records = read_records(folders)
    found = analyses(compare(records))
    if not found:
        names = " ".join(map(str, folders))
        older = any(result.measure in MEASURES for record in records for result in record.results)
        why = "its error rates were measured by a version that kept none: add --again" if older else "error rates keep them"
        msg = f"there are no transcripts of {names} to look at: `foresay evaluate {names} --corpus … --measures wer:greedy` ({why})"
        raise UserError(msg)
    return found
