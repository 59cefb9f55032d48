"""Language models of text of the Hugging Face hub, without their text: Llama, Qwen, OPT, GPT-2, whatever reads from left to right.

    embeddings of words        -->  [ body, taken over ]  -->  output layer
    left out                                                   left out

A thin adapter on the library `transformers` (the extra `hf`), for what models other symbols with such a body (TWIST). No code that comes
with a checkpoint is run.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import CausalBody, Model
from foresay.errors import UserError
from foresay.extras import optional
from foresay.files import parse_json_object
from foresay.hub._tensors import misfit
from foresay.settings import Table

KINDS = ("ForCausalLM", "LMHeadModel")
"""Endings of the names that transformers has for such models."""
CACHES = ("cache", "past_key_values")
"""What `forward` calls keys and values of the past, in newer and older versions of transformers."""
NOT_OF_THE_NETWORK = ("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version")
"""What a configuration says beside: where it lay, of which precision the file was."""


@dataclass(frozen=True)
class HubBodySettings:
    """A network of transformers."""

    config: str
    """The text of its configuration, as of config.json."""


class HubBody(Model, CausalBody):
    """A network of transformers, untrained; `read_body` gives it the weights of a checkpoint."""

    def __init__(self, settings: HubBodySettings) -> None:
        """Build the network.

        Raises:
            UserError: transformers knows none of its kind, or it has no keys and values that could be kept.
        """
        self.adapt(settings, _untrained(parse_json_object(settings.config, "the configuration of the language model")))

    @classmethod
    def around(cls, network: Any) -> "HubBody":  # noqa: ANN401 - of transformers, which may not be there
        """Adapt a network that is there, and has its weights."""
        stated = parse_json_object(network.config.to_json_string(use_diff=False), "the configuration of the language model")
        kept = {key: value for key, value in stated.items() if key not in NOT_OF_THE_NETWORK}
        body = cls.__new__(cls)
        body.adapt(HubBodySettings(json.dumps(kept, sort_keys=True)), network)
        return body

    def adapt(self, settings: HubBodySettings, network: Any) -> None:  # noqa: ANN401 - as above
        """Begin with a network that is there."""
        super().__init__()
        self.settings, self.network = settings, network
        config, taken = network.config, inspect.signature(network.forward).parameters
        cache = next((name for name in CACHES if name in taken), None)
        if cache is None or not {"inputs_embeds", "attention_mask", "position_ids"} <= set(taken):
            msg = f"a {config.model_type} keeps no keys and values of what it has read at places of its own: name another language model"
            raise UserError(msg)
        self._cache = cache
        self.size = network.get_input_embeddings().embedding_dim
        self.blocks = config.num_hidden_layers
        self.longest = getattr(config, "max_position_embeddings", None)  # not where positions are nowhere counted
        self.tied = bool(getattr(config, "tie_word_embeddings", False))
        network.set_input_embeddings(nn.Identity())

    def states(self, embedded: Tensor) -> list[Tensor]:
        """Return what block 1 is given, … what the last one gives, normalized: (B, U, D) -> (B, U, D) each."""
        self._require_short(embedded.shape[1])
        # With a cache, although nothing is read on: without one transformers asks the device whether several texts share a row.
        found = self.network(inputs_embeds=embedded, use_cache=True, output_hidden_states=True)
        return [*found.hidden_states[:-1], found.last_hidden_state]  # only the latter has always had its norm

    def read(self, embedded: Tensor, real: Tensor, past: Any = None) -> tuple[Tensor, Any]:  # noqa: ANN401 - a cache of transformers
        """Read on: (N, U, D), of which `real` (N, P + U) says what came, -> what the last block gives (N, U, D), and the past."""
        counts = real.cumsum(1)
        self._require_short(int(counts[:, -1].max()))
        places = (counts - 1).clamp(min=0)[:, -embedded.shape[1] :]
        kept = {self._cache: past}
        found = self.network(inputs_embeds=embedded, attention_mask=real.long(), position_ids=places, use_cache=True, **kept)
        return found.last_hidden_state, found[self._cache]

    def rows_of(self, past: Any, rows: Tensor) -> Any:  # noqa: ANN401 - as above
        """Choose rows (N,) of a past."""
        past.batch_select_indices(rows)
        return past

    def _require_short(self, symbols: int) -> None:
        if self.longest is not None and symbols > self.longest:
            msg = (
                f"a {self.network.config.model_type} of this configuration reads {self.longest} symbols at most, and these are {symbols}, "
                "their begin counted: give it shorter recordings, merge runs of equal units, or continue for fewer"
            )
            raise UserError(msg)


def is_causal_lm(config: Mapping[str, Any]) -> bool:
    """Whether a configuration of transformers is of a causal language model."""
    named = config.get("architectures")
    return isinstance(named, list) and any(str(kind).endswith(KINDS) for kind in named)


def read_body(folder: Path) -> HubBody:
    """Read a causal language model from a folder, in single precision, and leave its embeddings and its output layer out.

    Raises:
        UserError: it cannot be read, lacks weights, or is none.
    """
    with optional("transformers", "hf", f"the language model of {folder}"):
        import transformers  # noqa: PLC0415 - an extra, and four seconds
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    causal: Any = transformers.AutoModelForCausalLM
    try:
        whole, found = causal.from_pretrained(folder, output_loading_info=True, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:  # whatever it makes of a damaged folder
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"{folder} cannot be loaded ({why}): is it a folder with config.json and weights, saved by save_pretrained?"
        raise UserError(msg) from error
    if missing := sorted(found["missing_keys"]):
        raise misfit(str(folder), missing)  # transformers would go on, with random numbers in their place
    body = HubBody.around(whole.base_model)
    if not _reads_from_left_to_right(body):
        msg = f"{folder} is no causal language model: of four words, read two by two, it makes something else than at once"
        raise UserError(msg)
    return body


@torch.no_grad()
def _reads_from_left_to_right(body: HubBody) -> bool:
    """Whether four vectors give the same at once and two by two."""
    vectors = torch.randn(1, 4, body.size, generator=draws.generator("self-test", 0))
    real = torch.ones(1, 4, dtype=torch.bool)
    try:
        whole = body.eval().states(vectors)[-1]
        first, past = body.read(vectors[:, :2], real[:, :2])
        second, _ = body.read(vectors[:, 2:], real, past)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):  # of a network that cannot read on
        return False
    return torch.allclose(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-3 * float(whole.std()))


def _untrained(table: Table) -> Any:  # noqa: ANN401 - of transformers, which may not be there
    """Build the network that a configuration describes."""
    kind = table.pop("model_type", None)
    with optional("transformers", "hf", f"a language model of the kind {kind!r}"):
        import transformers  # noqa: PLC0415 - an extra, and four seconds
    try:
        config = transformers.AutoConfig.for_model(kind, **table)
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False).base_model
    except (AttributeError, ImportError, KeyError, OSError, TypeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"transformers {transformers.__version__} cannot build a network of the kind {kind!r} ({why}): is it too old for it?"
        raise UserError(msg) from error
