"""Transcripts in the formats of other programs: plain text, JSON Lines, SubRip subtitles, Praat's TextGrid, NIST's CTM."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol, TypeAlias

Format: TypeAlias = Literal["txt", "jsonl", "srt", "textgrid", "ctm"]
LINE = 42
"""Letters of a line of subtitles at most, as broadcasters have them."""
PAUSE = 0.8
"""Seconds without a word that end a line of subtitles."""


class TimedWord(Protocol):
    """A word, its times in seconds, and a confidence from 0 to 1."""

    @property
    def text(self) -> str:
        """What was said."""

    @property
    def start(self) -> float:
        """Seconds."""

    @property
    def end(self) -> float:
        """Seconds."""

    @property
    def confidence(self) -> float:
        """From 0 to 1."""


class Ranked(Protocol):
    """A hypothesis."""

    @property
    def text(self) -> str:
        """What may have been said."""

    @property
    def score(self) -> float:
        """What it was ranked by, in nats."""


class TimedText(Protocol):
    """What was recognized in a recording."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def text(self) -> str:
        """What was said."""

    @property
    def duration(self) -> float:
        """Seconds."""

    @property
    def words(self) -> Sequence[TimedWord]:
        """In order."""

    @property
    def hypotheses(self) -> Sequence[Ranked]:
        """The n-best list."""


def as_txt(transcript: TimedText) -> str:
    """One line: the id, a tab, the text."""
    return f"{transcript.id}\t{transcript.text}\n"


def as_jsonl(transcript: TimedText) -> str:
    """One line of JSON, with the times of words: a manifest's keys `id` and `text`, `words` as (start, end, word).

    Where several hypotheses were asked for, `nbest` has those that were found with their scores.
    """
    words = [[round(word.start, 3), round(word.end, 3), word.text] for word in transcript.words]
    confidences = [round(word.confidence, 4) for word in transcript.words]
    line = {"id": transcript.id, "text": transcript.text, "duration": round(transcript.duration, 3), "words": words}
    several = [[round(one.score, 4), one.text] for one in transcript.hypotheses]
    nbest = {"nbest": several} if several else {}
    return json.dumps(line | {"confidence": confidences} | nbest, ensure_ascii=False) + "\n"


def as_ctm(transcript: TimedText) -> str:
    """Lines of NIST's CTM: recording, channel, start, duration, word, confidence."""
    name = "_".join(transcript.id.split())
    return "".join(f"{name} 1 {w.start:.2f} {w.end - w.start:.2f} {w.text} {w.confidence:.3f}\n" for w in transcript.words)


def as_srt(transcript: TimedText) -> str:
    """Subtitles (SubRip), numbered, of at most LINE letters each."""
    blocks = []
    for number, words in enumerate(_lines(transcript.words), start=1):
        times = f"{_clock(words[0].start)} --> {_clock(words[-1].end)}"
        blocks.append(f"{number}\n{times}\n{' '.join(word.text for word in words)}\n")
    return "\n".join(blocks)


def as_textgrid(transcript: TimedText) -> str:
    """Praat's TextGrid (long format) with one tier, `words`; what lies between words is an empty interval."""
    end = max(transcript.duration, transcript.words[-1].end if transcript.words else 0.0)
    edges: list[tuple[float, float, str]] = []
    for word in transcript.words:
        before = edges[-1][1] if edges else 0.0
        start = max(word.start, before)
        edges += [(before, start, "")] if start > before else []
        edges += [(start, max(word.end, start), word.text)] if word.end > start else []
    last = edges[-1][1] if edges else 0.0
    edges += [(last, end, "")] if end > last else []
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end:.4f}\ntiers? <exists>\nsize = 1\nitem []:\n'
    tier = f'    item [1]:\n        class = "IntervalTier"\n        name = "words"\n        xmin = 0\n        xmax = {end:.4f}\n'
    intervals = "".join(
        f"        intervals [{number}]:\n            xmin = {start:.4f}\n            xmax = {stop:.4f}\n"
        f'            text = "{text.replace(chr(34), chr(34) * 2)}"\n'
        for number, (start, stop, text) in enumerate(edges, start=1)
    )
    return f"{head}{tier}        intervals: size = {len(edges)}\n{intervals}"


WRITERS: dict[Format, Callable[[TimedText], str]] = {
    "txt": as_txt,
    "jsonl": as_jsonl,
    "srt": as_srt,
    "textgrid": as_textgrid,
    "ctm": as_ctm,
}
TOGETHER: tuple[Format, ...] = ("txt", "jsonl", "ctm")
"""Formats of which one file holds all recordings; of the others each recording has its own."""


def _lines(words: Sequence[TimedWord]) -> Iterator[list[TimedWord]]:
    """Divide words into lines: at pauses, and where a line would be too long."""
    line: list[TimedWord] = []
    for word in words:
        if line and (word.start - line[-1].end > PAUSE or _letters([*line, word]) > LINE):
            yield line
            line = []
        line.append(word)
    if line:
        yield line


def _letters(words: Iterable[TimedWord]) -> int:
    return sum(len(word.text) + 1 for word in words) - 1


def _clock(seconds: float) -> str:
    """Write a time as SubRip does.

    >>> _clock(3661.5)
    '01:01:01,500'
    """
    milliseconds = round(1000 * seconds)
    rest, thousandths = divmod(milliseconds, 1000)
    minutes, whole = divmod(rest, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02},{thousandths:03}"
