"""Whether phone times can be right: the one guard of everything that counts frames or boundaries by phones."""

import math
from collections.abc import Sequence

from foresay.corpora.manifest import Interval, Manifest
from foresay.errors import UserError

TOLERANCE = 0.02
"""Seconds that times may be off by: a frame of most aligners, or two."""
SHOWN = 3
"""Recordings in a message."""


def misplaced(phones: Sequence[Interval], duration: float) -> str | None:
    """Say what cannot be about the times of a recording's phones, in seconds; None if nothing is wrong with them.

    Examples:
        >>> misplaced([Interval(0.0, 120.0, "ih"), Interval(120.0, 900.0, "s")], 1.0)
        "'ih' from 0 to 120 s lies beyond the end at 1 s (as milliseconds they would fit)"
    """
    end = 0.0
    for phone in sorted(phones, key=lambda phone: phone[:2]):
        said = f"{phone.label!r} from {phone.start:g} to {phone.end:g} s"
        if not -math.inf < phone.start <= phone.end < math.inf:
            return f"{said} is no stretch of time"
        if phone.start < -TOLERANCE:
            return f"{said} begins before the recording"
        if phone.end > duration + TOLERANCE:
            fits = 0.2 * duration < max(phone.end for phone in phones) / 1000 <= duration + TOLERANCE
            return f"{said} lies beyond the end at {duration:g} s{' (as milliseconds they would fit)' if fits else ''}"
        if phone.start < end - TOLERANCE:
            return f"{said} begins before the phone before it ends, at {end:g} s"
        end = phone.end
    return None


def checked_phones(manifest: Manifest) -> tuple[str, ...]:
    """List the distinct phones of a corpus, sorted; none if it has no phone times. Reads every item.

    Raises:
        UserError: phone times lie outside of their recording, or over each other: all numbers about phones would be wrong.
    """
    labels: set[str] = set()
    wrong: list[str] = []
    recordings = 0
    for item in manifest:
        if item.phones:
            recordings += 1
            labels.update(phone.label for phone in item.phones)
            if why := misplaced(item.phones, item.duration):
                wrong.append(f"{item.id}: {why}")
    if wrong:
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        msg = (
            f"the phone times of {len(wrong):,} of {recordings:,} recordings of {manifest.name} cannot be right: {'; '.join(wrong[:SHOWN])}"
            f"{more}. Usual causes: milliseconds or samples instead of seconds, times from the start of a longer file, or the phones of "
            "two speakers in one. `foresay corpus check` lists them; import the corpus with its alignments again"
        )
        raise UserError(msg)
    return tuple(sorted(labels))
