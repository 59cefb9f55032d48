"""TWIST: a unit LM whose Transformer begins as that of a language model of text (warm start; textually pretrained speech LM).

Hassid et al., "Textually Pretrained Speech Language Models" (arXiv:2305.13009): the embeddings of text are replaced by new ones of units,
and the rest of the network goes on from what it has learnt from text.

    text     words --> embeddings ------> [ body ] --> output layer --> next word
                       left out           taken over   left out
    units    71 11 --> new embeddings --> [ body ] --> new one ------> next unit, or the end

The body is any causal language model of transformers (`hub/causal_lm.py`): `--set parts.body=hf:NAME`. The control is the same network
from scratch: `--set parts.body=untrained:hf:NAME`. How speech becomes units, and units features, is said in `_unit_model.py`.
"""

from dataclasses import dataclass

from foresay.contracts import CausalBody, Tokenizer
from foresay.models.generation._body_lm import BodyLM
from foresay.models.generation._unit_model import UnitModel


@dataclass(frozen=True)
class TwistSettings:
    """What is modelled; the network is that of the part `body`."""

    merged: bool = True
    """Whether runs of equal units are merged into one."""


class Twist(UnitModel):
    """New embeddings and a new output layer around the body of a language model of text."""

    network: BodyLM

    def __init__(self, settings: TwistSettings, tokenizer: Tokenizer, body: CausalBody) -> None:
        """`tokenizer`: of one unit a frame; it is not trained. `body`: all of it is trained."""
        super().__init__(tokenizer, BodyLM(tokenizer.vocabulary, body), body.blocks, merged=settings.merged, places=body.longest)
        self.settings = settings

    @property
    def body(self) -> CausalBody:
        """The part of that name, which lies in the network."""
        return self.network.body
