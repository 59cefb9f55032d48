"""Sentences said in four styles by pitch, its range, rate, loudness and effort, which bear the names of emotions (er)."""

from collections.abc import Iterator, Mapping

import numpy as np

from foresay.corpora.made.sentences import draw_sentences
from foresay.corpora.made.spoken.clips import SPLITS, Clip, Split, SpokenClip, Style, dealt, several, speakers_of

STYLES: Mapping[str, Style] = {
    "neutral": Style(),
    "happy": Style(rate=1.1, pitch=16, melody=25, louder=1, effort=0.4),
    "angry": Style(rate=1.2, pitch=6, melody=-10, louder=3, effort=0.8),
    "sad": Style(rate=0.85, pitch=-10, melody=-25, louder=-2, effort=-0.6),
}
"""They are no emotions: a synthesizer has none. They differ as those do that people act (K. R. Scherer, "Vocal communication of emotion",
Speech Communication 40, 2003): joy and anger are higher, faster and louder, sadness is the opposite. A mood and a level blur them."""

COUNTS: dict[Split, int] = {"train": 36, "valid": 8, "test": 16}
"""Sentences."""
FORM = "{one} {acted} {how}"


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan sentences, each said in all styles by one speaker: neither the text nor the speaker says which style it is."""
    counts = {split: several(COUNTS[split], scale) for split in SPLITS}
    sentences = iter(draw_sentences(sum(counts.values()), rng, FORM))
    for split in SPLITS:
        speakers = dealt(speakers_of(split), rng)
        for number in range(counts[split]):
            speaker, sentence = next(speakers), next(sentences)
            for label, style in STYLES.items():
                yield SpokenClip(f"er-{split}-{number:02d}-{label}", "er", (f"er/{split}",), speaker, sentence, label, style=style)
