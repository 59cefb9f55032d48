"""The units of recordings, as a token model's tokenizer gives them, and how likely they are: by the model, and by counting n-grams."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import LanguageModel, TokenModel, Tokens
from foresay.corpora.manifest import Manifest
from foresay.encoding.labels import find_labels
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.models.generation.ngram import NGram, NGramSettings

Units: TypeAlias = Mapping[int, Tensor]
"""By the places of recordings: (U,) int64 on the CPU."""

TOGETHER = 32
"""Recordings that are scored at once, at most."""
ATTENDED = 2**24
"""Pairs of units, of which one attends to the other, in all of them together, at most: a head takes 64 MB for them."""


def token_model(subject: Subject, measure: str) -> TokenModel:
    """Return the token model that a subject is; `measure` needs one.

    Raises:
        UserError: it is none.
    """
    if isinstance(subject.model, TokenModel):
        return subject.model
    msg = (
        f"{measure} asks what a language model of units finds likely, and {subject.name} is none: train one on units "
        "(`foresay train unit-lm-tiny --units RUN …`)"
    )
    raise UserError(msg)


def said_of_training(subject: Subject, corpora: Corpora) -> dict[str, str]:
    """Note what a model learnt from, as far as its run says: from what it is tested on, or from other texts than the n-grams beside it.

    What could not be read, and is left out of a corpus, makes no other corpus of it.
    """
    train, test, notes = corpora.train, corpora.test, []
    if test.whole.digest in subject.trained_on:
        notes.append(f"{subject.name} was trained on {test.name}, on which it is tested: this is what it remembers.")
    if train is not None and subject.trained_on and train.whole.digest not in subject.trained_on:
        notes.append(
            f"{subject.name} was trained on another corpus than {train.name}, in which the n-grams beside it are counted: what it gains "
            "over them may be due to the corpus. Give --train-corpus as it was in training."
        )
    return {"note": " ".join(notes)} if notes else {}


def said_of_windows(model: TokenModel, units: Units, what: str = "recordings") -> dict[str, Any]:
    """Count the texts of units that are longer than a model reads at once, and say what that means; nothing where there are none."""
    longer = sum(len(own) > model.window for own in units.values())
    note = (
        f"{longer:,} of {len(units):,} {what} are of more units than the {model.window:,} that the model reads at once: beyond these each "
        f"unit is predicted by the last {model.window // 2:,} or more, not by all before it."
    )
    return {"in_windows": longer, "note": note} if longer else {}


def joined(*said: Mapping[str, Any]) -> dict[str, Any]:
    """Put together what is said of a result, with all notes."""
    notes = [one["note"] for one in said if "note" in one]
    return {key: value for one in said for key, value in one.items()} | ({"note": "\n".join(notes)} if notes else {})


def encode_units(subject: Subject, manifest: Manifest, device: str, places: Collection[int] | None = None) -> Units:
    """Encode recordings, those in some places or all, as the units that a token model models. What is too short for a unit is left out.

    Raises:
        UserError: the tokenizer has several levels.
        AudioError: a recording cannot be read.
    """
    return modelled_units(_of(subject), encode_frames(subject, manifest, device, places))


def encode_frames(subject: Subject, manifest: Manifest, device: str, places: Collection[int] | None = None) -> Units:
    """Encode recordings as `encode_units` does: the units of all their frames. Those that the model's run has written are read."""
    tokenizer = _of(subject).tokenizer
    if tokenizer.levels != 1:
        msg = f"the model's tokenizer gives {tokenizer.levels} symbols to each frame, and what is measured here is of one: choose another"
        raise UserError(msg)
    if subject.labels and (written := find_labels(subject.labels, tokenizer.fingerprint, manifest)):
        rows = {place: torch.from_numpy(written.of_item(place)) for place in (range(len(manifest)) if places is None else sorted(places))}
        return {place: row for place, row in rows.items() if len(row)}
    encoder = Subject("the tokenizer's encoder", tokenizer.encoder, (tokenizer.layer,), kept=subject.kept)
    found: dict[int, Tensor] = {}
    for recording in encode_recordings(encoder, manifest, device, places):
        frames = recording.features[tokenizer.layer]
        if len(frames):
            found[recording.index] = tokenizer.quantize(frames)[:, 0].cpu()
    return found


def _of(subject: Subject) -> TokenModel:
    return token_model(subject, "what encodes units")


def modelled_units(model: TokenModel, frames: Units) -> Units:
    """Bring the units of frames into the form that is modelled, such as with runs of equal ones merged."""
    found: dict[int, Tensor] = {}
    for some in _batches(frames):
        tokens = model.prepared(_tokens(model, some, model.tokenizer.frame_rate))
        rows = zip(some, tokens.ids[:, 0].cpu(), tokens.lengths.tolist(), strict=True)
        found |= {place: row[:length] for place, row, length in rows}
    return found


def score_units(model: TokenModel, units: Units, device: str) -> Mapping[int, Tensor]:
    """Score the units that `encode_units` gave by those before them: log p (U,) in nats on the CPU.

    Recordings of the same units are scored once: whatever batch they might be in, they are equally likely.
    """
    scores: dict[int, Tensor] = {}
    first: dict[tuple[int, ...], int] = {}
    like = {place: first.setdefault(tuple(own.tolist()), place) for place, own in units.items()}
    with torch.no_grad():
        for some in _batches({place: units[place] for place in first.values()}, model.window):
            tokens = _tokens(model, some, None)
            found = model.log_probabilities(replace(tokens, ids=tokens.ids.to(device))).float().cpu()
            scores |= {place: row[: len(own)] for (place, own), row in zip(some.items(), found, strict=True)}
    return {place: scores[one] for place, one in like.items()}


def count_units(units: Units, order: int) -> NGram:
    """Estimate n-grams of units: interpolated modified Kneser-Ney smoothing."""
    model = NGram(NGramSettings(order)).eval()
    model.learn(" ".join(map(str, own.tolist())) for own in units.values())
    return model


def score_symbols(model: LanguageModel, units: Units) -> Mapping[int, Tensor]:
    """Score units by a model of their numbers as text, each by those before it: log p (U,) in nats."""
    numbers = {symbol: number for number, symbol in enumerate(model.symbols)}
    scores: dict[int, Tensor] = {}
    with torch.no_grad():
        for some in _batches(units):
            rows = [torch.tensor([numbers.get(str(unit), -1) for unit in own.tolist()]) for own in some.values()]
            symbols = pad_sequence(rows, batch_first=True)  # (B, U)
            states, found = torch.full((len(rows),), model.start), []
            for place in range(symbols.shape[1]):
                score, states = model.advance(states, symbols[:, place])
                found.append(score)
            scores |= {place: row[: len(own)] for (place, own), row in zip(some.items(), torch.stack(found, 1), strict=True)}
    return scores


def _batches(units: Units, window: int | None = None) -> Iterator[Units]:
    """Yield some recordings at a time, of about one length; `window`: so many units at most attend to each other."""
    order = sorted(units, key=lambda place: len(units[place]), reverse=True)
    while order:
        longest = max(len(units[order[0]]), 1)
        count = max(min(TOGETHER, ATTENDED // min(longest, window or longest) ** 2), 1)
        yield {place: units[place] for place in order[:count]}
        order = order[count:]


def _tokens(model: TokenModel, units: Units, frame_rate: float | None) -> Tokens:
    ids = pad_sequence(list(units.values()), batch_first=True)[:, None]
    lengths = torch.tensor([len(own) for own in units.values()])
    return Tokens(ids, lengths, model.tokenizer.vocabulary, model.tokenizer.fingerprint, frame_rate)
