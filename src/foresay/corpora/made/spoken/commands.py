"""Commands to a house with three slots (action, object, location), as in Fluent Speech Commands (ic)."""

from collections.abc import Iterator, Mapping

import numpy as np

from foresay.corpora.made.spoken.clips import SPLITS, Clip, Split, SpokenClip, dealt, several, speakers_of

WORDINGS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("activate", "lights"): ("turn on the lights{place}", "switch the lights on{place}", "lights on{place}"),
    ("deactivate", "lights"): ("turn off the lights{place}", "switch the lights off{place}", "lights off{place}"),
    ("activate", "music"): ("turn on the music{place}", "play some music{place}", "start the music{place}"),
    ("deactivate", "music"): ("turn off the music{place}", "stop the music{place}", "no more music{place}"),
    ("increase", "heat"): ("turn up the heat{place}", "make it warmer{place}", "more heat{place}"),
    ("decrease", "heat"): ("turn down the heat{place}", "make it cooler{place}", "less heat{place}"),
}
"""(action, object) -> ways to say it."""
PLACES: Mapping[str, tuple[str, ...]] = {
    "none": (" now", " for me", " everywhere"),
    "kitchen": (" in the kitchen",),
    "bedroom": (" in the bedroom",),
}
"""Location -> ways to say it. Where there is none something else is said, so that the length says little."""
INTENTS = {f"{action} | {thing} | {place}": (action, thing, place) for action, thing in WORDINGS for place in PLACES}

COUNTS: dict[Split, int] = {"train": 8, "valid": 2, "test": 4}
"""Of an intent."""


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan as many clips of each intent, by speakers of the split and in its wordings in turn."""
    for split in SPLITS:
        speakers = dealt(speakers_of(split), rng)
        for kind, (label, (action, thing, place)) in enumerate(INTENTS.items()):
            wordings = dealt(wordings_of(action, thing, place), rng)
            for number in range(several(COUNTS[split], scale)):
                yield SpokenClip(f"ic-{split}-{kind:02d}-{number:02d}", "ic", (f"ic/{split}",), next(speakers), next(wordings), label)


def wordings_of(action: str, thing: str, place: str) -> list[str]:
    """List the ways to say an intent: three of each, and every one comes in train."""
    places = PLACES[place]
    return [text.format(place=places[number % len(places)]) for number, text in enumerate(WORDINGS[action, thing])]
