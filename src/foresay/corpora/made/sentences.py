"""Sentences for the embedded corpus: a small grammar over our own word list.

The words were chosen so that every English phone comes often, the rare ones too (the middle of "treasure", the end of "boy").
The sentences are grammatical and mean little: nobody can guess the end of one from its beginning, but its sounds are those of English.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from foresay.corpora.manifest import Manifest
from foresay.files import write_text

GRAMMAR: Mapping[str, str] = {
    "sentence": """
        {one} {did} {thing} {where} | {one} {acted} {how} {where} | {when}, {one} {did} {thing}
        | {one} {did} {thing} and {acted} {how} | {where}, {one} {acted} {how} | {one} {acted} {where} and {one} {acted} {how}
        | {why} {one} {did} {thing}, {other} {acted} | {many} {did} {thing} {when} | {many} {acted} {how} {where}
        | {one} gave {other} {thing} and {thing} {when} | {thing} and {thing} were {quality}
        | {when}, {many} were {quality}, but {one} was {quality} | {one} could {how} measure {thing} {where}
        | {one} should choose {thing} or {thing} | {one} would usually enjoy {thing} {where}""",
    "one": "{name} | {owner} {person} | {owner} {quality} {person} | {owner} {animal} | {owner} {quality} {animal}",
    "other": "{name} | {owner} {person} | {owner} {animal}",
    "many": "{number} {quality} {animal}s | {number} {person}s | {number} {quality} {object}s",
    "thing": """
        {owner} {object} | {owner} {quality} {object} | {number} {object}s | {number} {quality} {object}s | {owner} {animal}""",
    "where": "{side} {owner} {place} | {side} {owner} {quality} {place}",
    "name": """
        George | Joyce | Ruth | Judith | Arthur | Roy | Hugh | Paul | Sarah | Thelma | Yvonne | Zoe | Charlie | Ethan | Vera
        | Ursula | Martha | Brian""",
    "owner": "the | my | your | our | their | his | her | this | that | another | every | each | one",
    "number": """
        two | three | four | five | six | seven | eight | nine | ten | eleven | twelve | thirty | forty | many | few | those
        | both""",
    "person": """
        boy | girl | father | mother | teacher | farmer | doctor | nurse | judge | sailor | painter | cousin | uncle | singer
        | driver | baker | friend | youth | king | queen | lawyer | butcher | cook | brother | stranger | major | viewer
        | chef | tourist | pirate | hero | artist | potter | choir""",
    "animal": """
        dog | cat | bird | horse | goat | whale | frog | bear | lion | tiger | zebra | giraffe | monkey | donkey | eagle
        | hawk | owl | chicken | duck | cow | rabbit | spider | panther | beaver | squirrel | lizard | deer hound""",
    "object": """
        book | boat | chair | table | wheel | feather | picture | treasure | engine | mirror | cloth | flower | toy | coin
        | spoon | bowl | cup | jar | shoe | boot | jacket | shirt | scarf | ring | bag | letter | pencil | television
        | cushion | sugar bowl | cookie | hook | thumb | cloud | crown | gown | joint | voice | earring | oyster | yacht
        | pear | moth | vision | measure | collar | shawl | fork | cake | wool hat | poison jar | oil can | leather belt
        | path | shovel | van | jewel | thread | saw | car | card | marble | wire | iron gate | beard | pier glass | song
        | string | water bottle | diary page""",
    "place": """
        house | garden | river | mountain | valley | bridge | road | church | school | kitchen | window | garage | tower
        | village | fire | shore | field | harbor | lighthouse | pool | tree | wood | city | south gate | north wall | pasture
        | moor | airport | pier | yard | market | farm""",
    "quality": """
        red | blue | green | yellow | purple | orange | brown | black | white | old | young | large | small | huge | tiny
        | tall | short | wide | narrow | thick | thin | rough | smooth | hot | cold | warm | dry | loud | quiet | sharp | dull
        | strange | pleasant | beige | rich | poor | pure | cheap | good | bad | brave | shy | royal | noisy | rusty | golden
        | wooden | northern | southern | thirsty | hungry | lazy | busy | angry | joyful | curious | rare | fair | weary
        | foolish | casual | bushy | spoiled | mature | full | dark | tired | weird | dear | clear | pretty | dirty | secure
        | singing""",
    "did": """
        saw | found | took | pushed | pulled | carried | watched | heard | measured | painted | washed | followed | enjoyed
        | joined | chose | caught | threw | moved | touched | fixed | cooked | burned | loved | bought | sold | brought | held
        | turned | showed | counted | drew | changed | reached | charged | destroyed | put down | looked for | thought about
        | shook | feared | annoyed | admired | guarded | cured""",
    "acted": """
        slept | laughed | waited | played | danced | coughed | sneezed | smiled | walked | jumped | yawned | shouted | sang
        | swam | flew | vanished | stood still | hurried | stayed | cried | whispered | dreamed | arrived | rejoiced | bathed
        | sighed | breathed | wept | disappeared | departed""",
    "how": """
        slowly | quickly | quietly | loudly | gently | usually | rarely | often | always | never | together | early | alone
        | outside | calmly | thoughtfully | with pleasure | without a choice | as usual | joyfully | for sure | too soon""",
    "when": """
        this morning | last Thursday | on Tuesday | at noon | before dawn | after school | in July | every year | for an hour
        | in the south | on a rare occasion | in the usual way | at the third hour | one day in January | with some confusion
        | in the age of steam | in the dark | this evening""",
    "why": "because | while | although | when | before | unless | wherever | as soon as",
    "side": """
        in | on | under | near | behind | above | beside | beyond | around | through | toward | by | before | after | outside
        | without""",
}
"""Symbol -> its expansions, parted by bars; {symbol} stands for any expansion of it."""

_EXPANSIONS = {symbol: [" ".join(choice.split()) for choice in choices.split("|")] for symbol, choices in GRAMMAR.items()}


SENTENCE = "{sentence}"


def draw_sentence(rng: np.random.Generator, form: str = SENTENCE) -> str:
    """Draw one sentence of a form, such as `{one} {acted} {how}`: capitalized, ending in a full stop."""
    words = expand(form, rng)
    return words[0].upper() + words[1:] + "."


def draw_sentences(count: int, rng: np.random.Generator, form: str = SENTENCE) -> list[str]:
    """Draw `count` sentences of a form, all different."""
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        sentences[draw_sentence(rng, form)] = None
    return list(sentences)


def word_frequencies() -> dict[str, float]:
    """Compute how often each word comes in a sentence, on average."""
    counts: dict[str, float] = {}

    def count(text: str, share: float) -> None:
        for word in text.split():
            if symbol := re.search(r"\{(\w+)\}", word):
                choices = _EXPANSIONS[symbol[1]]
                for choice in choices:
                    count(choice, share / len(choices))
            else:
                counts[word] = counts.get(word, 0.0) + share

    count(SENTENCE, 1.0)
    return counts


def write_sentences(path: Path, count: int, rng: np.random.Generator, *, besides: Path) -> None:
    """Write sentences, one a line, that the manifest `besides` does not have: text for a language model of it; once."""
    if path.exists():
        return
    spoken = {item.text for item in Manifest.open(besides)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{one}\n" for one in draw_sentences(count, rng) if one not in spoken))


def expand(text: str, rng: np.random.Generator) -> str:
    """Put an expansion, drawn at random, in the place of each {symbol} of a text."""

    def expansion(found: re.Match[str]) -> str:
        choices = _EXPANSIONS[found[1]]
        return expand(choices[rng.integers(len(choices))], rng)

    return re.sub(r"\{(\w+)\}", expansion, text)
