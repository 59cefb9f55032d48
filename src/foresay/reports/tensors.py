"""What a model holds worth drawing (`inspect_*`), drawn by its shape: nothing here knows a model.

    ()       a number         (T,)       a line over time         (T, M, K)  images at some frames, and their summary over time
    (N,)     a line           (T, D)     an image over time       anything else is named with its shape
    (A, B)   an image         (A, B, C)  its first images

T is recognized by its length: as many frames as a layer has, or somewhat fewer (the last positions have no future to predict).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import DASHES, SOFT, draw, series_color
from foresay.reports.example import Example, Layer
from foresay.reports.markup import Html, join, tag
from foresay.reports.speech import BOUNDARY, draw_over_time, frame_edges, image_over_time
from foresay.reports.wording import number

SHOWN = 6
"""Images shown one by one."""

ROUNDING = 1e-2
"""What probabilities may miss of adding up to one: they may have been stored in half precision."""


@dataclass(frozen=True)
class Meaning:
    """What the name of a tensor says, whichever model it comes from."""

    title: str
    second: str = "dimension 2"
    """What the second dimension counts."""
    third: str = "dimension 3"
    caption: str = ""


MEANINGS = {
    "alignment_posterior": Meaning(
        "Alignment of predictions with the future",
        "future frame",
        "prediction",
        "At every moment the model predicts what comes next, and its predictions are aligned, in order, with the frames that follow "
        "(arXiv:2104.11946, Figure 1). Bright: this prediction covers this frame.",
    )
}


def draw_tensor(key: str, array: NDArray[Any], example: Example, name: str) -> Html:
    """Draw one tensor of the example as its shape allows, from () to (A, B, C); `name` is unique on the page."""
    meaning = MEANINGS.get(key, Meaning(key.replace("_", " ")))
    shape = " x ".join(map(str, array.shape))
    if array.size == 0 or not (
        np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_
    ):
        return tag("p", f"It holds {array.dtype} ({shape or 'one'}), which is not drawn.", class_="missing")
    values = np.nan_to_num(array.astype(np.float64))
    layer = timeline_of(values, example)
    if layer is not None:
        values = values[: len(layer.values)]
    picture: Html
    match values.ndim, layer:
        case 0, _:
            picture = tag("p", number(float(values)))
        case 1 | 2, Layer():
            picture = _over_time(values, layer, example, meaning, name)
        case 1, None:
            picture = _line(values, meaning, name)
        case 2, None:
            picture = _images(values[None], [""], Meaning(meaning.title, "dimension 1", meaning.second), name)
        case 3, Layer():
            picture = _moments(values, layer, example, meaning, name)
        case 3, None:
            titles = [f"{i + 1} of {len(values)}" for i in range(min(SHOWN, len(values)))]
            picture = _images(values[:SHOWN], titles, meaning, name)
        case _:
            picture = tag("p", f"It has {values.ndim} dimensions ({shape}), and is not drawn.", class_="missing")
    return picture


def timeline_of(values: NDArray[Any], example: Example) -> Layer | None:
    """Return the layer whose frames the first dimension of (T, …) counts, or None where it counts something else."""
    fits = [layer for layer in example.layers if values.ndim and layer.count / 2 <= len(values) <= layer.count]
    return min(fits, key=lambda layer: layer.count, default=None)


def expected_index(posterior: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return where the weight of the last dimension lies: (T, M, K) -> (T, M), from 1 to K; None where it holds no probabilities."""
    if posterior.min() < -ROUNDING or np.abs(posterior.sum(axis=-1) - 1.0).max() > ROUNDING:
        return None
    return np.asarray(posterior @ np.arange(1, posterior.shape[-1] + 1))


def ahead(values: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Put what frame t says of the frame m later in the place of that frame: (W, M), m from 1 -> (M, frames), NaN where nothing is said."""
    placed = np.full((values.shape[1], frames), np.nan)
    for row, said in enumerate(values.T):
        m = row + 1
        placed[row, m : m + len(said)] = said[: max(0, frames - m)]
    return placed


def change_rate(index: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """How likely a frame has another prediction than the one before, averaged over when this was predicted: (W, M) -> (frames,).

    In a monotonic alignment the index grows by 0 or 1 a frame, so the growth of its mean is the probability of a change. Frames that were
    not predicted from all distances (the first and last ones) are NaN: the mean over some distances differs from that over all.
    """
    return np.asarray(ahead(np.diff(index, axis=1, prepend=np.nan), frames)[1:].mean(axis=0))


def _moments(values: NDArray[np.float64], layer: Layer, example: Example, meaning: Meaning, name: str) -> Html:
    """(T, M, K): images at some frames; then, over time, where the weight lies."""
    index = expected_index(values)
    monotonic = index is not None and index.shape[1] > 1 and bool((np.diff(index, axis=1) > -ROUNDING).all())
    places = np.linspace(0, len(values), SHOWN + 2).astype(int)[1:-1]
    titles = [_moment(float(layer.times[t]), example) for t in places]
    # Where m counts frames ahead, a phone boundary has its place among them.
    marks = [(example.boundaries - layer.times[t]) * layer.frame_rate for t in places] if monotonic else None
    images = _images(values[places].transpose(0, 2, 1), titles, Meaning(meaning.title, meaning.third, meaning.second), name, marks)
    if index is None or not monotonic:
        summary = values.mean(axis=-1) if index is None else index
        what = f"Over time: the mean over {meaning.third}." if index is None else f"Over time: where the weight of {meaning.third} lies."
        return join([images, tag("p", what, class_="caption"), _over_time(summary, layer, example, meaning, f"{name}-time")])
    if np.allclose(np.diff(index, axis=1), 1.0, atol=ROUNDING):
        what = f"There are as many {meaning.third}s as {meaning.second}s, so that each has its own: no other alignment is possible."
        return join([images, tag("p", what, class_="caption")])
    what = (
        f"Above, which {meaning.third} covers a frame, by how far ahead it was made (dark: the first, bright: the last, "
        f"{values.shape[-1]}). Below, how likely the next {meaning.third} takes over at a frame, averaged over all distances "
        "(dashed: if the time were only shared out): "
        "a model that has found phones changes its prediction at their boundaries (vertical lines)."
    )
    return join([images, _alignment(index, layer, example, meaning, f"{name}-time"), tag("p", what, class_="caption")])


def _alignment(index: NDArray[np.float64], layer: Layer, example: Example, meaning: Meaning, name: str) -> Html:
    frames = len(layer.values)
    placed, change = ahead(index, frames), change_rate(index, frames)
    even = float((index[:, -1] - index[:, 0]).mean()) / (index.shape[1] - 1)

    def paint(above: Any, below: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        image_over_time(above, np.round(placed), frame_edges(layer, frames), cmap="viridis")
        above.set_ylabel(f"{meaning.second}s ahead")
        above.vlines(example.boundaries, 0.5, len(placed) + 0.5, **BOUNDARY)
        below.axhline(even, color=SOFT, linewidth=1.0, linestyle=DASHES[1])
        below.fill_between(layer.times, even, change, color=series_color(0), alpha=0.2, linewidth=0)
        below.plot(layer.times, change, color=series_color(0), linewidth=1.2)
        below.set_ylabel("change")
        below.vlines(example.boundaries, *below.get_ylim(), color=SOFT, linewidth=0.6)

    return draw_over_time(name, f"{meaning.title} over time", (1.6, 0.9), example, paint)


def _over_time(values: NDArray[np.float64], layer: Layer, example: Example, meaning: Meaning, name: str) -> Html:
    """(T,) as a line, (T, D) as an image, above the phones."""

    def paint(axes: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        if values.ndim == 1:
            axes.plot(layer.times[: len(values)], values, color=series_color(0))
            axes.vlines(example.boundaries, *axes.get_ylim(), color=SOFT, linewidth=0.6)
            return
        image_over_time(axes, values.T, frame_edges(layer, len(values)), cmap="viridis")
        axes.vlines(example.boundaries, 0.5, values.shape[1] + 0.5, **BOUNDARY)
        axes.set_ylabel(meaning.second)

    return draw_over_time(name, f"{meaning.title} over time", (1.6,), example, paint)


def _images(
    images: NDArray[np.float64], titles: Sequence[str], meaning: Meaning, name: str, marks: Sequence[NDArray[np.float64]] | None = None
) -> Html:
    """(N, A, B): images side by side in one scale, `meaning` naming A and B; `marks` are places along B to draw lines at."""
    scale = {"vmin": min(0.0, float(images.min())), "vmax": float(images.max())}
    rows, columns = images.shape[1:]
    edges = (0.5, columns + 0.5, 0.5, rows + 0.5)

    def one(place: int, title: str) -> Html:
        def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
            axes = figure.subplots()
            axes.imshow(images[place], origin="lower", aspect="auto", cmap="magma", extent=edges, **scale)
            if marks is not None:
                axes.vlines([x for x in marks[place] if edges[0] < x < edges[1]], *edges[2:], **(BOUNDARY | {"linewidth": 1.2}))
            axes.set_title(title, fontsize=8, fontweight="normal")
            axes.set_xlabel(meaning.third, fontsize=8)
            axes.set_ylabel(meaning.second, fontsize=8)
            axes.grid(visible=False)
            axes.locator_params(integer=True, nbins=5)

        size = (1.95, 1.75) if len(titles) > 1 else (4.6, 3.4)
        return draw(f"{name}-{place}", f"{meaning.title} {title}".strip(), size, paint)

    return tag("div", *(one(place, title) for place, title in enumerate(titles)), class_="small-multiples" if len(titles) > 1 else "panels")


def _line(values: NDArray[np.float64], meaning: Meaning, name: str) -> Html:
    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        axes.fill_between(np.arange(1, len(values) + 1), 0.0, values, step="mid", color=series_color(0), linewidth=0)
        axes.set_xlabel("dimension 1")

    return draw(name, meaning.title, (6.0, 2.2), paint)


def _moment(time: float, example: Example) -> str:
    phone = next((phone.label for phone in example.phones if phone.start <= time < phone.end), None)
    return f"at {time:.2f} s" + (f", in {phone}" if phone else "")
