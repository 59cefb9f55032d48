"""What may be wrong with a recording, in a word for tables and in a sentence for people."""

from enum import StrEnum

from foresay.errors import AudioError


class Fault(StrEnum):
    """What may be wrong with a recording, in a word or two."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    NOT_AUDIO = "not audio"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    SEVERAL = "several recordings in one"
    NOT_FINITE = "not finite"
    TOO_LOUD = "integers taken for full scale"
    TOO_SHORT = "too short"
    NO_CHANNEL = "no such channel"


class FaultyAudioError(AudioError):
    """An `AudioError` that also says what it is in a word, for tables."""

    def __init__(self, message: str, fault: Fault) -> None:
        """Take the message for people, and what to count."""
        super().__init__(message)
        self.fault = fault
