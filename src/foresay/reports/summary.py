"""The top of the page: what was trained on how much, for how long, and what came of it, in sentences with numbers."""

from collections.abc import Sequence

from foresay.reports.comparisons import Comparison, Line
from foresay.reports.markup import Html, join, tag
from foresay.reports.record import Record
from foresay.reports.wording import PERCENT, amount, listed, plural, span, spread


def summary(records: Sequence[Record], comparisons: Sequence[Comparison]) -> Html:
    """A paragraph for each run and, for a single run, its main numbers large."""
    headline = next((c for c in comparisons if c.best and any(_trained(line) for line in c.lines)), None)
    several = len({c.kind.corpus for c in comparisons if not c.seen}) > 1
    own = [_headline_of(place, headline, comparisons) for place in range(len(records))]
    sentences = [join([_training(one), " ", _outcome(own[place], place, several=several)]) for place, one in enumerate(records)]
    sentences[-1] = join([sentences[-1], _references(headline)])
    paragraphs = [tag("p", sentence, class_="lead") for sentence in sentences]
    tiles = _tiles(records[0], headline) if len(records) == 1 else []
    if not tiles:
        return join(paragraphs)
    return join([*paragraphs, tag("dl", *(tag("div", tag("dt", what), tag("dd", value)) for what, value in tiles), class_="tiles")])


def _training(record: Record) -> Html:
    """What was trained, how long, and whether it is done."""
    name = tag("strong", record.name)
    if not record.recipe:
        return join([name, " holds results only: it has no recipe, so nothing is known of a training."])
    parts: list[str] = [name, " (model ", tag("code", record.model), ") "]
    if "data" not in record.recipe:
        return join(
            [*parts, f"was fitted: {plural(record.step, 'step')} logged." if record.step else "is fitted, not trained: it logs no updates."]
        )
    if not record.step:
        return join([*parts, "has not been trained yet: no update has been logged."])
    data = record.recipe["data"]
    took = f", in about {span(record.training_seconds)}" if record.training_seconds else ""
    if data.get("sampler") == "texts":
        batch = plural(data.get("characters", 0), "character")
    elif data.get("sampler") in {"utterances", "transcripts"}:
        batch = f"{span(data['seconds'])}, in utterances of at most {data['longest']:.3g} s"
    elif data.get("sampler") == "items":
        batch = plural(data.get("batch", 0), "item")
    else:
        batch = f"{plural(data.get('batch', 0), 'window')} of {data.get('window', 0) / data.get('sample_rate', 1):.3g} s"
    parts.append(f"was trained for {plural(record.step, 'update')} of {batch}")
    most = "at most " if data.get("sampler") == "items" else ""
    audio = f": {most}{span(record.audio_seconds)} of audio, repetitions counted{took}" if record.audio_seconds else ""
    parts.append(f"{audio}.")
    return join([*parts, *_unfinished(record)])


def _unfinished(record: Record) -> list[str]:
    trainer = record.recipe.get("trainer", {})
    epoch = max((int(line["epoch"]) for line in record.lines_of("train") if "epoch" in line), default=0)
    if record.planned is not None and record.step < record.planned:
        left = f"{record.planned:,} updates are planned"
    elif epoch + 1 < trainer.get("epochs", 0):
        left = f"it is in epoch {epoch + 1} of {trainer['epochs']}"
    else:
        return []
    return [" ", tag("span", f"The run is unfinished: {left}.", class_="alarm")]


def _outcome(headline: Comparison | None, run: int, *, several: bool) -> Html:
    """What was measured first, on which corpus if on several: the run's best layer, beside its untrained copy and the references."""
    best = _best_of(headline, run)
    if headline is None or best is None:
        return Html("Nothing was measured of it yet.")
    unit, between = headline.declared.unit, spread(best.result)
    parts: list[str] = [
        f"{headline.title} on layer {best.result.layer}{f', tested on {headline.kind.corpus}' if several else ''}: {headline.metric} ",
        tag("strong", amount(best.result.value, unit=unit) + _sign(unit)),
    ]
    parts += [f" ({_interval(between)})"] if between else []
    if best.gain is not None:
        points, gained = " points" if unit == PERCENT else "", spread(best.gain)
        gain = f"{amount(best.gain.value, unit=unit, signed=True)}{points}"
        parts.append(f"; gain over its untrained copy {gain}{f' ({gained})' if gained else ''}")
    return join([*parts, "."])


def _interval(between: str) -> str:
    return between if between.startswith("no ") else f"95% interval {between}"


def _sign(unit: str) -> str:
    """What follows a value in a sentence."""
    return unit if unit in {"", PERCENT} else f" {unit}"


def _references(headline: Comparison | None) -> str:
    """What needs no training, for comparison."""
    if headline is None:
        return ""
    unit = headline.declared.unit
    others = [f"{line.label} {amount(line.result.value, unit=unit)}{_sign(unit)}" for line in headline.lines if line.run is None]
    return f" For comparison: {listed(others)}." if others else ""


def _tiles(record: Record, headline: Comparison | None) -> list[tuple[str, str]]:
    tiles = []
    best = _best_of(headline, 0)
    if headline is not None and best is not None:
        unit = headline.declared.unit
        what = f"{headline.metric}, {headline.title.lower()} on layer {best.result.layer}"
        tiles.append((what, amount(best.result.value, unit=unit) + _sign(unit)))
        if best.gain is not None:
            gained = amount(best.gain.value, unit=unit, signed=True)
            tiles.append((f"{'points ' if unit == PERCENT else ''}gained over its untrained copy", gained))
    if record.step:
        tiles.append(("updates", f"{record.step:,}"))
    if record.audio_seconds:
        tiles.append(("audio processed, with repetitions", span(record.audio_seconds)))
    if record.training_seconds:
        tiles.append(("training time, about", span(record.training_seconds)))
    return tiles


def _headline_of(run: int, headline: Comparison | None, comparisons: Sequence[Comparison]) -> Comparison | None:
    """What is said first of a run: what is of all or, where it has no part in that, the first measure that it has a part in."""
    return next((c for c in [headline, *comparisons] if c and c.best and _best_of(c, run)), None)


def _best_of(headline: Comparison | None, run: int) -> Line | None:
    return headline.best_of([line for line in headline.lines if _trained(line) and line.run == run]) if headline else None


def _trained(line: Line) -> bool:
    return line.run is not None and not line.untrained
