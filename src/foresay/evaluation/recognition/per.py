"""Phone error rate of a recognizer of phones: edits between the phones that were said, and those of the best path."""

from collections.abc import Mapping
from typing import ClassVar

from foresay.contracts import Recognizer
from foresay.corpora.item import Item, Transcript
from foresay.errors import UserError
from foresay.evaluation.recognition._error_rate import ErrorRate, SearchProtocol, metrics_of


class PhoneErrorRate(ErrorRate):
    """Error rates of a recognizer on utterances whose phones are known."""

    name = "per"
    protocols: ClassVar[Mapping[str, SearchProtocol]] = {"greedy": SearchProtocol("greedy", "greedy")}
    metrics = metrics_of("phone")
    transcript: ClassVar[Transcript] = "phones"

    def reference(self, recognizer: Recognizer, item: Item) -> str:
        """Return the phones of an item, or its text, where this is of phones.

        Raises:
            UserError: the recognizer writes none.
        """
        if recognizer.units != "phones":
            msg = f"the recognizer writes {recognizer.units}, and a phone error rate is that of phones: measure wer:greedy"
            raise UserError(msg)
        return super().reference(recognizer, item)
