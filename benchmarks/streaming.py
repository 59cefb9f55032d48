"""How fast, how late and how well does a recognizer write while audio arrives? Real-time factors, lag and word errors, by search.

    python benchmarks/streaming.py RUN MANIFEST [--beams 8] [--delays 10] [--chunk 0.1] [--threads 1]

Every recording is pushed in chunks. The lag of a symbol is how long after its frame it is certain, in the time of the audio: computing
comes on top, and a frame is complete when the encoder has read all that it depends on. Beside it, the same search of the whole recordings.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from foresay.contracts import Encoded, Hypothesis, Recognizer, SearchStream, StablePrefix, TransducingRecognizer
from foresay.corpora.manifest import Manifest
from foresay.decoding.greedy import GreedyStream
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.prefix_stream import PrefixStream
from foresay.decoding.transducer_frame_beam import TransducerFrameBeam
from foresay.decoding.transducer_search import TransducerStream
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.streaming import RecognitionStream
from foresay.statistics.edit_distance import edit_distance
from foresay.workflows.transcribe import load_recognizer, transcribe


class Timed:
    """A search that notes when each symbol is certain."""

    def __init__(self, search: SearchStream) -> None:
        self._search, self._frames = search, 0
        self.lags: list[int] = []
        """Frames from that of each symbol to the last one that was read when it was certain."""

    def push(self, encoded: Encoded) -> StablePrefix:
        """Go on, and look at what is new."""
        found = self._search.push(encoded)
        self._frames += encoded.frames.shape[1]
        self.lags += [self._frames - 1 - frame for frame in found.frames[len(self.lags) :]]
        return found

    def finish(self) -> Hypothesis:
        """At the end all is certain."""
        found = self._search.finish()
        self.lags += [self._frames - 1 - frame for frame in found.frames[len(self.lags) :]]
        return found


def search_of(recognizer: Recognizer, beam: int | None, delay: int | None) -> Callable[[], SearchStream]:
    """Return what begins a search: greedy without a beam."""
    text_of = recognizer.text_of
    if isinstance(recognizer, TransducingRecognizer):
        if beam is None:
            return lambda: TransducerStream(recognizer.joint, text_of, symbols_a_frame=recognizer.symbols_a_frame)
        return lambda: PrefixStream(TransducerFrameBeam(recognizer.joint, beam=beam), text_of, delay)
    if beam is None:
        return lambda: GreedyStream(text_of)
    return lambda: PrefixStream(PrefixBeam(recognizer.symbols, beam=beam, boundary=recognizer.boundary), text_of, delay)


def main() -> None:
    """Print a line a search."""
    parser = argparse.ArgumentParser(description="Recognition of audio as it arrives: speed, lag and errors.")
    parser.add_argument("run")
    parser.add_argument("manifest")
    parser.add_argument("--beams", type=int, nargs="*", default=[8])
    parser.add_argument("--delays", type=int, nargs="*", default=[10])
    parser.add_argument("--chunk", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recognizer, manifest = load_recognizer(options.run, "cpu"), Manifest.open(options.manifest)
    rate, said = recognizer.sample_rate, [recognizer.normalized(item.text or "").split() for item in manifest]
    frame = 1 / next(iter(recognizer.features(torch.zeros(1, 2 * rate), torch.tensor([2 * rate])).frame_rate.values()))
    seconds, chunk, words = float(manifest.durations.sum()), round(options.chunk * rate), sum(map(len, said))
    print(f"{'search':<22}{'real time':>10}{'WER, %':>8}{'whole, %':>9}{'lag, ms: median':>17}{'90 %':>7}{'most':>7}")
    for beam, delay in [(None, None), *((beam, delay) for beam in options.beams for delay in (None, *options.delays))]:
        begin, lags, wrong, took = search_of(recognizer, beam, delay), [0], 0, 0.0
        for index, reference in enumerate(said):
            waveform = torch.from_numpy(manifest.read(index, rate))
            search, start = Timed(begin()), time.process_time()
            stream = RecognitionStream(recognizer, search)
            for part in waveform.split(chunk):
                stream.push(part)
            wrong += edit_distance(reference, stream.finish().text.split())
            took += time.process_time() - start
            lags += search.lags
        whole = {one.id: one.text.split() for one in transcribe(recognizer, options.manifest, SearchSettings(beam=beam))}
        others = sum(edit_distance(reference, whole.get(name, [])) for name, reference in zip(manifest.ids, said, strict=True))
        late = [1000 * frame * lag for lag in lags]
        name = "greedy" if beam is None else f"beam {beam}" + (f", delay {delay}" if delay else "")
        tenths = statistics.quantiles(late, n=10)
        shown = f"{statistics.median(late):17.0f}{tenths[-1]:7.0f}{max(late):7.0f}"
        print(f"{name:<22}{took / seconds:10.3f}{100 * wrong / words:8.1f}{100 * others / words:9.1f}{shown}", flush=True)


if __name__ == "__main__":
    main()
