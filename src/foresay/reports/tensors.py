"""What a model holds worth drawing (`inspect_*`), drawn by its shape: nothing here knows a model.

    ()           a number           (T,)    a line over time        (T, M, K)   images at some frames, and their summary over time
    (N,)         bars               (T, D)  an image over time
    (A, B)       an image           (A, B, C)  its first images     anything else is named with its shape

T is recognized by its length: as many frames as a layer has, or somewhat fewer (the last positions have no future to predict).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import SOFT, draw, series_color
from foresay.reports.markup import Html, join, tag
from foresay.reports.speech import BOUNDARY, LEFT, RIGHT, Example, Layer, paint_phones
from foresay.reports.wording import number

SHOWN = 6
"""Images shown one by one."""


@dataclass(frozen=True)
class Meaning:
    """What the name of a tensor says, whichever model it comes from."""

    title: str
    axes: tuple[str, str]
    """Of the dimensions after the first."""
    caption: str


MEANINGS = {
    "alignment_posterior": Meaning(
        "Alignment of predictions with the future",
        ("future frame", "prediction"),
        "At every moment the model predicts what comes next and aligns its predictions, in order, with the frames that follow "
        "(arXiv:2104.11946, Figure 1). Bright: this prediction covers this frame.",
    )
}


def draw_tensor(key: str, array: NDArray[Any], example: Example, name: str) -> Html:
    """Draw one tensor of the example utterance as its shape allows; `name` is unique on the page."""
    meaning = MEANINGS.get(key, Meaning(key.replace("_", " "), ("dimension 2", "dimension 3"), ""))
    shape = " x ".join(map(str, array.shape))
    if not np.issubdtype(array.dtype, np.number) and array.dtype != np.bool_:
        return _noted(meaning, f"It holds {array.dtype}, not numbers ({shape}), and is not drawn.")
    values = array.astype(np.float64)
    layer = timeline(values, example)
    if layer is not None:
        values = values[: len(layer.values)]
    match values.ndim, layer:
        case 0, _:
            picture: Html = tag("p", number(float(values)))
        case 1, None:
            picture = _bars(values, meaning, name)
        case 1 | 2, Layer():
            picture = _over_time(values, layer, example, meaning, name)
        case 2, None:
            picture = _images(values[None], [""], meaning, name)
        case 3, None:
            picture = _images(values[:SHOWN], [f"{i + 1} of {len(values)}" for i in range(min(SHOWN, len(values)))], meaning, name)
        case 3, Layer():
            picture = _moments(values, layer, example, meaning, name)
        case _:
            return _noted(meaning, f"It has {values.ndim} dimensions ({shape}), and is not drawn.")
    return join([tag("h4", meaning.title), *([tag("p", meaning.caption)] if meaning.caption else []), picture])


def timeline(values: NDArray[Any], example: Example) -> Layer | None:
    """Return the layer whose frames the first dimension counts, or None where it counts something else."""
    fits = [layer for layer in example.layers if values.ndim and layer.count / 2 <= len(values) <= layer.count]
    return min(fits, key=lambda layer: layer.count, default=None)


def expected_index(posterior: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return where the weight of the last dimension lies: (T, M, K) -> (T, M), from 1 to K; None where it holds no probabilities."""
    if posterior.min() < -1e-3 or np.abs(posterior.sum(axis=-1) - 1.0).max() > 1e-2:  # noqa: PLR2004 - half precision
        return None
    return np.asarray(posterior @ np.arange(1, posterior.shape[-1] + 1))


def ahead(values: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Put what is said at frame t about frame t + m at the place of that frame: (W, M) -> (M, frames), NaN where nothing is said."""
    placed = np.full((values.shape[1], frames), np.nan)
    for m in range(values.shape[1]):
        said = values[: max(0, frames - 1 - m), m]
        placed[m, m + 1 : m + 1 + len(said)] = said
    return placed


def _moments(values: NDArray[np.float64], layer: Layer, example: Example, meaning: Meaning, name: str) -> Html:
    """(T, M, K): images at some frames; then, over time, where the weight lies."""
    index = expected_index(values)
    monotonic = index is not None and bool((np.diff(index, axis=1) > -1e-2).all())  # noqa: PLR2004 - half precision
    places = np.linspace(0, len(values), SHOWN + 2).astype(int)[1:-1]
    titles = [_moment(float(layer.times[t]), example) for t in places]
    marks = [(example.boundaries - layer.times[t]) * layer.frame_rate for t in places] if monotonic else None
    images = _images(values[places].transpose(0, 2, 1), titles, Meaning("", meaning.axes[::-1], ""), name, marks)
    if index is None or not monotonic:
        summary = values.mean(axis=-1) if index is None else index
        what = f"Over time: the mean over {meaning.axes[1]}." if index is None else f"Over time: where the weight of {meaning.axes[1]} lies."
        return join([images, tag("p", what), _over_time(summary, layer, example, meaning, f"{name}-time")])
    what = (
        f"Over time: which {meaning.axes[1]} covers each frame (dark: the first, bright: the last, {values.shape[-1]}), "
        "by how far ahead it was made; below, how likely it is that a new prediction takes over at this frame, averaged over all "
        "distances. A model that has found phones changes its prediction at their boundaries (vertical lines)."
    )
    return join([images, tag("p", what), _draw_alignment(index, layer, example, meaning, f"{name}-time")])


def _draw_alignment(index: NDArray[np.float64], layer: Layer, example: Example, meaning: Meaning, name: str) -> Html:
    frames = len(layer.values)
    placed = ahead(index, frames)
    changes = ahead(np.diff(index, axis=1, prepend=np.nan), frames)  # (M, frames): does frame m have another prediction than m - 1?
    heard = np.isfinite(changes).any(axis=0)
    change = np.where(heard, np.nansum(changes, axis=0) / np.maximum(1, np.isfinite(changes).sum(axis=0)), np.nan)

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        top, middle, bottom = _rows(figure, (1.7, 1.1, 0.5))
        half = 0.5 / layer.frame_rate
        extent = (layer.times[0] - half, layer.times[-1] + half, 0.5, placed.shape[0] + 0.5)
        top.imshow(placed, origin="lower", aspect="auto", cmap="viridis", extent=extent)
        top.set(xlim=(0.0, example.duration), ylabel=f"{meaning.axes[0]}s\nahead")
        top.vlines(example.boundaries, 0.5, placed.shape[0] + 0.5, **BOUNDARY)
        middle.fill_between(layer.times, 0.0, change, color=series_color(0), alpha=0.2, linewidth=0)
        middle.plot(layer.times, change, color=series_color(0), linewidth=1.2)
        middle.set(xlim=(0.0, example.duration), ylabel="change")
        middle.set_ylim(bottom=0.0)
        middle.vlines(example.boundaries, *middle.get_ylim(), color=SOFT, linewidth=0.7)
        paint_phones(bottom, example, (0.0, example.duration))
        bottom.set_xlabel("seconds")

    return draw(name, f"{meaning.title} over time", (11.0, 3.3), paint, class_="picture wide")


def _over_time(values: NDArray[np.float64], layer: Layer, example: Example, meaning: Meaning, name: str) -> Html:
    """(T,) as a line, (T, D) as an image, above the phone tier."""

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        top, bottom = _rows(figure, (2.2, 0.5))
        times = layer.times[: len(values)]
        half = 0.5 / layer.frame_rate
        if values.ndim == 1:
            top.plot(times, values, color=series_color(0))
            top.vlines(example.boundaries, *top.get_ylim(), color=SOFT, linewidth=0.7)
        else:
            extent = (times[0] - half, times[-1] + half, 0.5, values.shape[1] + 0.5)
            top.imshow(values.T, origin="lower", aspect="auto", cmap="viridis", extent=extent)
            top.vlines(example.boundaries, 0.5, values.shape[1] + 0.5, **BOUNDARY)
            top.set_ylabel(meaning.axes[0])
        top.set_xlim(0.0, example.duration)
        paint_phones(bottom, example, (0.0, example.duration))
        bottom.set_xlabel("seconds")

    return draw(name, f"{meaning.title} over time", (11.0, 2.6), paint, class_="picture wide")


def _images(
    images: NDArray[np.float64], titles: list[str], meaning: Meaning, name: str, marks: list[NDArray[np.float64]] | None = None
) -> Html:
    """(N, A, B): N images side by side with one scale; `marks` are places along B to draw lines at."""
    scale = {"vmin": min(0.0, float(images.min())), "vmax": float(images.max())}
    rows, columns = images.shape[1:]

    def painter(i: int) -> Any:  # noqa: ANN401 - a function of a matplotlib figure
        def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
            axes = figure.subplots()
            extent = (0.5, columns + 0.5, 0.5, rows + 0.5)
            axes.imshow(images[i], origin="lower", aspect="auto", cmap="magma", extent=extent, **scale)
            if marks is not None:
                axes.vlines([x for x in marks[i] if extent[0] < x < extent[1]], *extent[2:], **(BOUNDARY | {"linewidth": 1.2}))
            axes.set(title=titles[i], ylabel=meaning.axes[0], xlabel=meaning.axes[1])
            axes.grid(visible=False)
            axes.locator_params(integer=True, nbins=5)

        return paint

    size = (2.5, 2.0) if len(images) > 1 else (4.6, 3.4)
    pictures = [draw(f"{name}-{i}", f"{meaning.title} {title}".strip(), size, painter(i)) for i, title in enumerate(titles)]
    return tag("div", *pictures, class_="small-multiples" if len(images) > 1 else "panels")


def _bars(values: NDArray[np.float64], meaning: Meaning, name: str) -> Html:
    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        axes.fill_between(np.arange(1, len(values) + 1), 0.0, values, step="mid", color=series_color(0), linewidth=0)
        axes.grid(visible=False, axis="x")

    return draw(name, meaning.title, (9.0, 2.2), paint)


def _rows(figure: Any, heights: tuple[float, ...]) -> list[Any]:  # noqa: ANN401 - matplotlib is an optional extra
    """Axes one above the other over one time axis, which begins and ends where the playhead of the page expects it."""
    figure.set_layout_engine("none")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0.08, left=LEFT, right=RIGHT, top=0.98, bottom=0.14)
    rows = [figure.add_subplot(grid[i]) for i in range(len(heights))]
    for axes in rows[:-1]:
        axes.tick_params(labelbottom=False, bottom=False)
        axes.grid(visible=False)
    return rows


def _moment(time: float, example: Example) -> str:
    phone = next((phone.label for phone in example.phones if phone.start <= time < phone.end), None)
    return f"at {time:.2f} s" + (f", in {phone}" if phone else "")


def _noted(meaning: Meaning, note: str) -> Html:
    return join([tag("h4", meaning.title), tag("p", note, class_="missing")])
