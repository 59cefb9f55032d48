"""sBLIMP: does a model of speech find sentences likelier than ungrammatical ones? (the syntactic task of ZeroSpeech 2021, arXiv:2011.11588)

    syntactic/dev/gold.csv    filename, id, voice, type, subtype, transcription, correct

The accuracy is given of all pairs, and by type. The published scorer pairs by place: the first correct row with the first incorrect one,
whatever they are, so that a line that is lost, or another order, pairs strangers. `official` keeps that; `repaired` pairs what has one
(type, subtype, id, voice), in whatever order it stands.
"""

from collections.abc import Mapping
from typing import ClassVar

from foresay.corpora.manifest import Manifest
from foresay.evaluation.generation._pairs import Pair, PairMeasure, PairProtocol, gold_rows, paired

GOLD = "syntactic/dev/gold.csv"
NAMES = ("type", "subtype", "id")
"""What names a pair, in whatever voice."""


class SBlimp(PairMeasure):
    """Share of sentences that are found likelier than their ungrammatical counterparts."""

    name = "sblimp"
    protocols: ClassVar[Mapping[str, PairProtocol]] = {
        "official": PairProtocol("official", GOLD, published=True),
        "repaired": PairProtocol("repaired", GOLD),
    }

    def pairs(self, manifest: Manifest) -> list[Pair]:
        """Put the rows together, by their place or by their names."""
        where, rows = gold_rows(manifest, self.protocol.gold, "id", "voice", "type", "subtype", "correct")
        both = paired(rows, (*NAMES, "voice"), where, by_place=self.protocol.published)
        return [
            Pair("/".join(right[column] for column in NAMES), right["voice"], right["filename"], wrong["filename"], {"type": right["type"]})
            for right, wrong in both
        ]
