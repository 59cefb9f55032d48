"""ProsAudit: does a model of speech find pauses likelier where they belong? (de Seyssel et al., arXiv:2302.12057)

    english/dev/gold.csv    filename, id, type, correct         type: protosyntax (pauses between phrases), lexical (between words)

The accuracy is given of all pairs, and by type. The published scorer pairs by place, as that of sBLIMP: `official` keeps that, `repaired`
pairs what has one (type, id). Another layout: `--option prosaudit.gold=PATH`, from the manifest's folder.
"""

from collections.abc import Mapping
from typing import ClassVar

from foresay.corpora.manifest import Manifest
from foresay.evaluation.generation._pairs import Pair, PairMeasure, PairProtocol, gold_rows, paired

GOLD = "english/dev/gold.csv"


class ProsAudit(PairMeasure):
    """Share of sentences that are found likelier than those with a misplaced pause."""

    name = "prosaudit"
    protocols: ClassVar[Mapping[str, PairProtocol]] = {
        "official": PairProtocol("official", GOLD, published=True),
        "repaired": PairProtocol("repaired", GOLD),
    }

    def pairs(self, manifest: Manifest) -> list[Pair]:
        """Put the rows together, by their place or by their names. No voice says a pair but one."""
        where, rows = gold_rows(manifest, self.protocol.gold, "id", "type", "correct")
        both = paired(rows, ("type", "id"), where, by_place=self.protocol.published)
        return [
            Pair(f"{right['type']}/{right['id']}", "", right["filename"], wrong["filename"], {"type": right["type"]})
            for right, wrong in both
        ]
