"""How long does a search with a lexicon and a language model take? Ours beside plain Python, flashlight-text and pyctcdecode.

    python benchmarks/decoding.py [--utterances 16] [--frames 200] [--words 2000] [--beam 50] [--rounds 3] [--threads 1]

Emissions are made: sentences of random words, each of which is followed by few, are spoken with errors, mostly blanks in between; a 4-gram
is trained on other sentences, and all read its ARPA file. flashlight-text and pyctcdecode take part where they can be imported; pyctcdecode
and plain Python have no language model here, and so less to do. Scores are those of the best hypothesis at the same beam: how often ours is
lower, equal, higher.
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
from sentences import Draws, language
from timing import take_turns, times_faster

from foresay.contracts.language_models import LanguageModel
from foresay.contracts.recognition import Emissions
from foresay.decoding.lexicon_beam import LexiconBeam, Paths
from foresay.decoding.moves import CTCMoves, FlashlightMoves, Moves
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.weights import Weights, nats
from foresay.loading import load_language_model

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.lexicon_loops import LexiconLoops

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
    said: list[str]
    spellings: dict[str, list[tuple[int, ...]]]
    arpa: Path
    model: LanguageModel
    beam: int


def made(utterances: int, frames: int, words: int, beam: int, folder: Path) -> Task:
    """Speak sentences in a random lexicon: a symbol every three frames or so, one in eight mistaken."""
    drawn = Draws()
    spellings, sentence, arpa = language(drawn, words, (2, SYMBOLS), 10, 4, folder)
    scores = torch.randn(utterances, frames, SYMBOLS, generator=drawn.generator)
    scores[..., 0] += 4
    said: list[list[str]] = [[] for _ in scores]
    for row, words_said in zip(scores, said, strict=True):
        t = 1
        for word in sentence(frames):
            if t < frames - 4:
                words_said.append(f"w{word}")
            for symbol in (*spellings[f"w{word}"][0], BAR):
                if t < frames - 4:
                    row[t, symbol if drawn(0, 8)[0] else drawn(2, SYMBOLS)[0]] += 6
                    t += drawn(2, 5)[0]
    emissions = Emissions(scores.log_softmax(-1), torch.full((utterances,), frames))
    return Task(emissions, [" ".join(one) for one in said], spellings, arpa, load_language_model(arpa), beam)


def ours(task: Task, moves: Moves, paths: Paths) -> Callable[[], Best]:
    """Search the whole batch."""
    search = LexiconBeam(
        task.spellings,
        moves,
        boundary=BAR,
        beam=task.beam,
        weights=Weights(A, B),
        language_model=task.model,
        paths=paths,
    )
    return lambda: [(found[0].score, found[0].text) for found in search(task.emissions)]


def symbols_only(task: Task) -> Callable[[], object]:
    """Search without a lexicon."""
    search = PrefixBeam([str(symbol) for symbol in range(SYMBOLS)], beam=task.beam)
    return lambda: search(task.emissions, str)


def flashlights(task: Task) -> Callable[[], Best]:
    """Search one utterance after another, in C++."""
    dictionary = Dictionary()
    for word in (*task.spellings, "<unk>"):
        dictionary.add_entry(word)
    dictionary.set_default_index(dictionary.get_index("<unk>"))
    model, trie = KenLM(str(task.arpa), dictionary), flashlight.Trie(SYMBOLS, 0)
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
    """Search the first utterance hypothesis by hypothesis, in plain Python, without a language model."""
    loops = LexiconLoops({word: [(*s, BAR) for s in several] for word, several in task.spellings.items()}, None, A, B)
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
    with tempfile.TemporaryDirectory() as folder:
        task = made(options.utterances, options.frames, options.words, options.beam, Path(folder))
        ways: dict[str, Callable[[], object]] = {
            "ours, ctc, max": ours(task, CTCMoves(SYMBOLS), "max"),
            "ours, ctc, sum": ours(task, CTCMoves(SYMBOLS), "sum"),
            "ours, flashlight": ours(task, FlashlightMoves(SYMBOLS), "max"),
            "ours, symbols": symbols_only(task),
            ONE: plain(task),
        }
        if flashlight is not None:
            ways["flashlight-text"] = flashlights(task)
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
