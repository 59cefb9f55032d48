"""How long does a search with a lexicon and a language model take? Ours beside plain Python, flashlight-text and pyctcdecode.

    python benchmarks/decoding.py [--utterances 16] [--frames 200] [--words 2000] [--beam 50] [--rounds 3] [--threads 1]

Emissions are made: random words of a random lexicon, spoken with errors, mostly blanks in between. The language model is a bigram model of
which only the begin of a sentence is not flat (an ARPA file for flashlight). flashlight-text and pyctcdecode take part where they can be
imported; pyctcdecode has no language model here, and so less to do. Scores are those of the best hypothesis at the same beam: how often
ours is lower, equal, higher.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import take_turns, times_faster

from foresay.contracts.recognition import Emissions
from foresay.decoding.lexicon_beam import LexiconBeam
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.weights import Weights, nats

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.lexicon_loops import LexiconLoops
from reference.toy_language import ToyLanguageModel

try:
    import flashlight.lib.text.decoder as flashlight
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary
except ImportError:
    flashlight = None
try:
    import pyctcdecode
except ImportError:
    pyctcdecode = None

BAR = 1
SYMBOLS = 30
A, B = 0.9, 0.5
CLOSE = 1e-2
ONE = "plain Python"
Best = list[tuple[float, str]]


class Task(NamedTuple):
    """What is searched."""

    emissions: Emissions
    spellings: dict[str, list[tuple[int, ...]]]
    model: ToyLanguageModel
    beam: int


def made(utterances: int, frames: int, words: int, beam: int) -> Task:
    """Speak random words of a random lexicon: a symbol every three frames or so, one in eight mistaken."""
    generator = torch.Generator().manual_seed(0)

    def drawn(low: int, high: int, count: int = 1) -> list[int]:
        return torch.randint(low, high, (count,), generator=generator).tolist()

    spelled: dict[tuple[int, ...], str] = {}
    while len(spelled) < words:
        spelled.setdefault(tuple(drawn(2, SYMBOLS, drawn(2, 10)[0])), f"w{len(spelled)}")
    spellings = {word: [spelling] for spelling, word in spelled.items()}
    scores = torch.randn(utterances, frames, SYMBOLS, generator=generator)
    scores[..., 0] += 4
    for row in scores:
        t = 1
        while t < frames - 40:
            (spelling,) = spellings[f"w{drawn(0, words)[0]}"]
            for symbol in (*spelling, BAR):
                row[t, symbol if drawn(0, 8)[0] else drawn(2, SYMBOLS)[0]] += 6
                t += drawn(2, 5)[0]
    return Task(Emissions(scores.log_softmax(-1), torch.full((utterances,), frames)), spellings, ToyLanguageModel(tuple(spellings)), beam)


def ours(task: Task, convention: str, paths: str) -> Callable[[], Best]:
    """Search the whole batch."""
    search = LexiconBeam(
        task.spellings,
        SYMBOLS,
        boundary=BAR,
        beam=task.beam,
        weights=Weights(A, B),
        language_model=task.model,
        paths=paths,  # type: ignore[arg-type]
        convention=convention,  # type: ignore[arg-type]
    )
    return lambda: [(found[0].score, found[0].text) for found in search(task.emissions)]


def symbols_only(task: Task) -> Callable[[], object]:
    """Search without a lexicon."""
    search = PrefixBeam([str(symbol) for symbol in range(SYMBOLS)], beam=task.beam)
    return lambda: search(task.emissions, str)


def arpa(model: ToyLanguageModel, path: Path) -> None:
    """Write the bigrams that the lexicon's words begin with, and for the rest flat back-off; the model is made equal to the file."""
    flat = math.log(1.0 / (len(model.symbols) + 2))
    begins = model.table[model.start].clone()
    begins[-1] = flat
    model.table[:] = flat
    model.table[model.start] = begins
    unigrams = "".join(f"{flat / math.log(10):.6f}\t{word}\t0\n" for word in ("<unk>", "</s>", *model.symbols))
    bigrams = "".join(f"{score / math.log(10):.6f}\t<s> {word}\n" for word, score in zip(model.symbols, begins.tolist(), strict=False))
    counts = f"\\data\\\nngram 1={len(model.symbols) + 3}\nngram 2={len(model.symbols)}\n"
    path.write_text(f"{counts}\n\\1-grams:\n0\t<s>\t0\n{unigrams}\n\\2-grams:\n{bigrams}\n\\end\\\n", encoding="utf-8")


def flashlights(task: Task, path: Path) -> Callable[[], Best]:
    """Search one utterance after another, in C++."""
    dictionary = Dictionary()
    for word in (*task.spellings, "<unk>"):
        dictionary.add_entry(word)
    dictionary.set_default_index(dictionary.get_index("<unk>"))
    model, trie = KenLM(str(path), dictionary), flashlight.Trie(SYMBOLS, 0)
    start = model.start(False)  # noqa: FBT003 - its only signature
    for word, several in task.spellings.items():
        index = dictionary.get_index(word)
        for spelling in several:
            trie.insert([*spelling, BAR], index, model.score(start, index)[1])
    trie.smear(flashlight.SmearingMode.MAX)
    options = flashlight.LexiconDecoderOptions(
        beam_size=task.beam,
        beam_size_token=SYMBOLS,
        beam_threshold=1e9,
        lm_weight=A / nats(1.0),
        word_score=B,
        unk_score=-math.inf,
        sil_score=0,
        log_add=False,
        criterion_type=flashlight.CriterionType.CTC,
    )
    decoder = flashlight.LexiconDecoder(options, trie, model, 0, 0, dictionary.get_index("<unk>"), [], False)  # noqa: FBT003 - as above
    rows = [row.contiguous().numpy() for row in task.emissions.log_probabilities]

    def run() -> Best:
        found = [decoder.decode(row.ctypes.data, *row.shape)[0] for row in rows]
        return [(best.score, " ".join(dictionary.get_entry(word) for word in best.words if word >= 0)) for best in found]

    return run


def pyctcdecodes(task: Task) -> Callable[[], object]:
    """Search one utterance after another, in Python, without a language model."""
    letters = ["", " ", *(chr(ord("A") + n) for n in range(SYMBOLS - 2))]
    decoder = pyctcdecode.build_ctcdecoder(letters)
    rows = [row.numpy() for row in task.emissions.log_probabilities]
    return lambda: [decoder.decode(row, beam_width=task.beam) for row in rows]


def plain(task: Task) -> Callable[[], object]:
    """Search the first utterance hypothesis by hypothesis, in plain Python and without look-ahead."""
    loops = LexiconLoops({word: [(*s, BAR) for s in several] for word, several in task.spellings.items()}, task.model, A, B)
    rows: Any = task.emissions.log_probabilities[0].tolist()
    return lambda: loops.search(rows, paths="max", beam_size=task.beam)


def compared(mine: Best, theirs: Best) -> str:
    """Say how the scores of two searches compare."""
    signs = [0 if abs(a - b) < CLOSE else math.copysign(1, a - b) for (a, _), (b, _) in zip(mine, theirs, strict=True)]
    words = sum(a == b for (_, a), (_, b) in zip(mine, theirs, strict=True))
    return f"lower {signs.count(-1)}, equal {signs.count(0)}, higher {signs.count(1)}; same words {words} of {len(mine)}"


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description="Searches with a lexicon, ours beside others.")
    for name, value in {"utterances": 16, "frames": 200, "words": 2000, "beam": 50, "rounds": 3, "threads": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = made(options.utterances, options.frames, options.words, options.beam)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.arpa"
        arpa(task.model, path)
        ways: dict[str, Callable[[], object]] = {
            "ours, ctc, max": ours(task, "ctc", "max"),
            "ours, ctc, sum": ours(task, "ctc", "sum"),
            "ours, flashlight": ours(task, "flashlight", "max"),
            "ours, symbols": symbols_only(task),
            ONE: plain(task),
        }
        if flashlight is not None:
            ways["flashlight-text"] = flashlights(task, path)
        if pyctcdecode is not None:
            ways["pyctcdecode"] = pyctcdecodes(task)
        seconds = take_turns(ways, options.rounds, "cpu")
        print(f"{'':24}{'ms an utterance':>16}{'x ours, ctc, max':>18}")
        for name, times in seconds.items():
            count = 1 if name == ONE else options.utterances
            ratio = times_faster(times, seconds["ours, ctc, max"]) * options.utterances / count
            print(f"{name:24}{statistics.median(times) * 1000 / count:16.1f}{ratio:18.2f}")
        if flashlight is not None:
            theirs: Any = ways["flashlight-text"]()
            for name in ("ours, ctc, max", "ours, flashlight"):
                mine: Any = ways[name]()
                print(f"{name}, scores beside flashlight-text: {compared(mine, theirs)}")


if __name__ == "__main__":
    main()
