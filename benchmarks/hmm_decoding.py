"""How long does it take to decode with hidden Markov models? Real-time factors by beam, beside plain token passing in Python.

    python benchmarks/hmm_decoding.py [--utterances 16] [--frames 500] [--words 2000] [--beams 50 200] [--rounds 3] [--threads 1]

Likelihoods of 40 phones of three states each are made, 100 frames a second: sentences of random words, each of which is followed by few,
with noise, between silences; a 3-gram is trained on other sentences. The plain loop decodes the first second, without look-ahead.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from sentences import Draws, language
from timing import take_turns, times_faster

from foresay.contracts import Encoded, Topology
from foresay.contracts.language_models import LanguageModel
from foresay.decoding.hmm_search import StateMoves, StateSearch
from foresay.decoding.weights import Weights
from foresay.loading import load_language_model
from foresay.statistics.edit_distance import edit_distance

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.state_loops import States, TokenLoops

PHONES, STATES = 40, 3
RATE = 100
"""Frames a second."""
WEIGHTS = Weights(1.0, 0.0)


class Task(NamedTuple):
    """What is decoded."""

    likelihoods: Encoded
    said: list[str]
    spellings: dict[str, list[tuple[int, ...]]]
    states: States
    model: LanguageModel


def made(utterances: int, frames: int, words: int, folder: Path) -> Task:
    """Speak sentences in a random lexicon: each state for one to five frames, as likely as noise lets it be."""
    drawn = Draws()
    spellings, sentence, arpa = language(drawn, words, (1, PHONES), 9, 3, folder)
    chains = [[STATES * phone + n for n in range(STATES)] for phone in range(PHONES)]
    scores = torch.randn(utterances, frames, STATES * PHONES, generator=drawn.generator)
    said: list[list[str]] = [[] for _ in scores]
    for row, words_said in zip(scores, said, strict=True):
        path = silence = [0] * 8 + [1, 2]
        for word in sentence(frames):
            states = [state for phone in spellings[f"w{word}"][0] for state in chains[phone] for _ in range(drawn(1, 6)[0])]
            if len(path) + len(states) + len(silence) > frames:
                break
            words_said.append(f"w{word}")
            path = path + states
        path = path + [0] * (frames - len(path) - 2) + [1, 2]
        row[torch.arange(frames), torch.tensor(path)] += 1.7
    even = [torch.tensor(0.5).log().item()] * (STATES * PHONES)
    return Task(
        Encoded(scores, torch.full((utterances,), frames)),
        [" ".join(one) for one in said],
        spellings,
        States(chains, even, even),
        load_language_model(arpa),
    )


def ours(task: Task, beam: int) -> Callable[[], list[str]]:
    """Decode the whole batch."""
    moves = StateMoves(Topology(task.states.chains, torch.tensor(task.states.stay), torch.tensor(task.states.go)))
    search = StateSearch(task.spellings, moves, scale=1.0, beam=beam, weights=WEIGHTS, language_model=task.model)
    return lambda: [found[0].text for found in search(task.likelihoods)]


def plain(task: Task, beam: int) -> Callable[[], object]:
    """Decode the first second, token by token."""
    loops = TokenLoops(task.spellings, task.states, task.model, WEIGHTS.language, WEIGHTS.words)
    rows = task.likelihoods.frames[0, :RATE].log_softmax(-1).tolist()
    return lambda: loops.search(rows, beam)


def main() -> None:
    """Print real-time factors, error rates and ratios."""
    parser = argparse.ArgumentParser(description="Decoding with hidden Markov models, by beam, beside plain token passing.")
    for name, value in {"utterances": 16, "frames": 500, "words": 2000, "rounds": 3, "threads": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--beams", type=int, nargs="+", default=[50, 200])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    speech = options.utterances * options.frames / RATE
    with tempfile.TemporaryDirectory() as folder:
        task = made(options.utterances, options.frames, options.words, Path(folder))
        ways: dict[str, Callable[[], object]] = {f"ours, {beam}": ours(task, beam) for beam in options.beams}
        ways |= {f"plain, {beam}": plain(task, beam) for beam in options.beams}
        seconds = take_turns(ways, options.rounds, "cpu")
        print(f"{'beam':>5}{'real-time factor':>18}{'word errors, %':>16}{'x plain':>9}")
        for beam in options.beams:
            mine, theirs = seconds[f"ours, {beam}"], seconds[f"plain, {beam}"]
            wrong = sum(edit_distance(a.split(), b.split()) for a, b in zip(task.said, ours(task, beam)(), strict=True))
            rate = 100 * wrong / sum(len(text.split()) for text in task.said)
            print(f"{beam:5}{statistics.median(mine) / speech:18.3f}{rate:16.1f}{times_faster(theirs, mine) * speech:9.1f}")


if __name__ == "__main__":
    main()
