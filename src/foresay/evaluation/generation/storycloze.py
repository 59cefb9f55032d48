"""Spoken StoryCloze: does a model of speech find the right ending of a story likelier? (tStoryCloze, sStoryCloze; arXiv:2305.13009)

Whole stories are compared, beginning and ending, of which the beginnings are equal. No list says which is right; names do:

    ends       12_correct.wav, 12_incorrect.wav          what the names begin with is the story's; --option storycloze.right=_correct
    first      12_a.wav, 12_b.wav; sample_3_0.wav, …     two recordings of a folder that have one number: the first by name is right

SALMon (arXiv:2409.07437) names its recordings in the second manner, a folder for each of its tasks: the accuracy is given by folder.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.generation._pairs import Pair, PairMeasure, PairProtocol


@dataclass(frozen=True)
class StoryProtocol(PairProtocol):
    """How names say which story is right."""

    gold: str = ""
    """There is no list."""
    by: Literal["end", "first"] = "end"
    right: str = "_correct"
    """What the names of right stories end with, where their end says it."""
    wrong: str = "_incorrect"


class StoryCloze(PairMeasure):
    """Share of stories that are found likelier with their own ending."""

    name = "storycloze"
    protocols: ClassVar[Mapping[str, StoryProtocol]] = {
        "ends": StoryProtocol("ends"),
        "first": StoryProtocol("first", by="first"),
    }

    def pairs(self, manifest: Manifest) -> list[Pair]:
        """Put the recordings of a story together.

        Raises:
            UserError: a story has another number of recordings than two, or a name says nothing.
        """
        stories: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for name in manifest.ids:
            folder, _, file = name.rpartition("/")
            story, order = self._read(file, manifest)
            stories[folder, story].append((order, name))
        pairs = []
        for (folder, story), recordings in stories.items():
            right, *others = [name for _, name in sorted(recordings)]
            if len(others) != 1:
                named = ", ".join([right, *others][:3])
                msg = (
                    f"{manifest.name}: story {story!r} has {named}, and a pair is a right recording and a wrong one. Usual cause: the "
                    "manifest has more, or less, than the stories. Give that of their folder alone, or another protocol"
                )
                raise UserError(msg)
            pairs.append(Pair(f"{folder}/{story}", "", right, others[0], {"folder": folder} if folder else {}))
        return pairs

    def _read(self, file: str, manifest: Manifest) -> tuple[str, str]:
        """Say which story a recording is of, and what sorts the right one before the wrong one."""
        own = cast("StoryProtocol", self.protocol)
        if own.by == "first" and (number := re.search(r"\d+", file)):
            return str(int(number[0])), file
        ends = {end: order for order, end in (("0", own.right), ("1", own.wrong)) if own.by == "end" and file.endswith(end)}
        if ends:
            end = max(ends, key=len)
            return file.removesuffix(end), ends[end]
        expected = "have a number" if own.by == "first" else f"end in {own.right} or {own.wrong}"
        msg = (
            f"{manifest.name}: {file!r} does not say which story it is of: it must {expected}. Other names: the protocols "
            "storycloze:ends and storycloze:first, or --option storycloze.right=…, storycloze.wrong=…"
        )
        raise UserError(msg)
