"""Requests whose slots hold names, places and times, as in SNIPS (sf). The target is the text with marks around each slot."""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from foresay.corpora.made.spoken.clips import SPLITS, Clip, Split, SpokenClip, dealt, several, speakers_of

TEMPLATES = (
    "play {song} by {artist}",
    "play some {genre} by {artist}",
    "add {song} to my {list} list",
    "find a {genre} song by {artist}",
    "will it {weather} in {city} {time}",
    "is there {genre} music in {city} {time}",
    "what is the weather in {city} {time}",
    "book a table for {number} in {city}",
    "a table for {number} {time}",
    "find {food} for {number} in {city}",
    "wake me up {time}",
    "rate the song {song} {number} points",
)
VALUES: Mapping[str, str] = {
    "artist": """
        the river band | anna stone | the silver birds | martin field | the north wind | judith king | seven lions | paul rivers
        | the garden choir | ruth winter | golden engine | roy summers""",
    "song": """
        summer rain | the long road | blue window | dancing alone | under the bridge | my old guitar | paper boats | midnight sun
        | hold the line | one more letter | winter morning | burning fields""",
    "city": """
        london | boston | oxford | denver | dublin | bristol | madrid | paris | chicago | leeds | dallas | berlin""",
    "time": """
        today | tomorrow | at noon | this evening | on monday | at seven | next friday | in an hour | tonight | at midnight | on sunday
        | this weekend""",
    "genre": "jazz | rock | folk | blues | soul | country",
    "list": "party | running | morning | dinner | driving | sleeping",
    "weather": "rain | snow | be windy | be sunny | freeze | be cloudy",
    "number": "two | three | four | five | six | eight",
    "food": "pizza | soup | noodles | fish | pasta | curry",
}
"""Slot -> what it may hold, parted by bars. The last sixth comes in valid and test only: values are an open list."""

COUNTS: dict[Split, int] = {"train": 96, "valid": 18, "test": 36}


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan requests of all templates, with all values, by all speakers of the split in turn."""
    for split in SPLITS:
        values = {slot: dealt(values_of(slot, split), rng) for slot in VALUES}
        templates, speakers = dealt(TEMPLATES, rng), dealt(speakers_of(split), rng)
        for number in range(several(COUNTS[split], scale)):
            target = re.sub(r"\{(\w+)\}", lambda slot: f"B-{slot[1]} {next(values[slot[1]])} E-{slot[1]}", next(templates))  # noqa: B023
            yield SpokenClip(f"sf-{split}-{number:03d}", "sf", (f"sf/{split}",), next(speakers), untagged(target), target=target)


def values_of(slot: str, split: Split) -> list[str]:
    """List the values that a slot may have in a split."""
    values = [" ".join(value.split()) for value in VALUES[slot].split("|")]
    return values[: len(values) * 5 // 6] if split == "train" else values


def untagged(target: str) -> str:
    """Return the text alone.

    >>> untagged("play B-song paper boats E-song now")
    'play paper boats now'
    """
    return " ".join(word for word in target.split() if not word.startswith(("B-", "E-")))
