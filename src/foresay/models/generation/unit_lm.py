"""Unit LM: a causal Transformer over the units of speech, which predicts the next unit (textless NLP, GSLM).

Lakhotia et al., "On Generative Spoken Language Modeling from Raw Audio" (arXiv:2102.01192), section 3.2. No text is needed, and none is
learnt from: units come from speech alone.

    <s> 71 11 --> embeddings + positions --> blocks, each place attends to those before it --> log p of the next unit
    71 11 8                                                                                    (B, U + 1, V + 2)

How speech becomes units, and units features, is said in `_unit_model.py`. The Transformer is that of `transformer_lm.py`, and so are its
states for sampling.
"""

from dataclasses import dataclass

from foresay.contracts import Tokenizer
from foresay.models.generation._unit_model import UnitModel
from foresay.models.generation.transformer_lm import TransformerLM, TransformerLMSettings


@dataclass(frozen=True)
class UnitLMSettings:
    """The paper's model, `transformer_lm_big` of fairseq (section 4.3)."""

    merged: bool = True
    """Whether runs of equal units are merged into one (section 3.1)."""
    size: int = 1024
    """D."""
    layers: int = 12
    heads: int = 16
    inner: int = 4096
    """Width of the feed-forward networks."""
    dropout: float = 0.1


class UnitLM(UnitModel):
    """A Transformer of this package, untrained."""

    def __init__(self, settings: UnitLMSettings, tokenizer: Tokenizer) -> None:
        """`tokenizer`: of one unit a frame; it is not trained."""
        s = settings
        units = tuple(map(str, range(tokenizer.vocabulary)))
        network = TransformerLM(TransformerLMSettings(units, size=s.size, layers=s.layers, heads=s.heads, inner=s.inner, dropout=s.dropout))
        super().__init__(tokenizer, network, s.layers, merged=s.merged)
        self.settings = settings
