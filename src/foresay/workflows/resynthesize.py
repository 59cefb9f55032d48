"""Speak recordings again, from their units: in the speaker's own voice or another, with their own pitch, a flat or a predicted one.

What is spoken is as long as the recording, so that its transcript and times, which stand in the new manifest too, hold for it.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from foresay.audio.read import read_audio
from foresay.audio.write import write_speech
from foresay.contracts import Synthesizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.resynthesis import Analyzed, Resynthesizer, spoken_again
from foresay.errors import AudioError, UserError, nearest, with_article
from foresay.fingerprint import fingerprint, of_file, of_model
from foresay.loading import load
from foresay.locks import exclusive
from foresay.progress import say
from foresay.reports.wording import plural
from foresay.training.devices import find_process
from foresay.version import __version__
from foresay.workflows.speech_folder import SpeechFolder, contents_of
from foresay.workflows.transcribe import manifest_of


@dataclass
class Resynthesis:
    """What was done."""

    manifest: Path
    written: int = 0
    there: int = 0
    """Recordings that had been written before."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Recordings that could not be read, or are too short, by their ids, and why."""
    limited: Counter[str] = field(default_factory=Counter)
    """Samples of recordings, by their ids, that were beyond full scale and are limited to it."""
    unmet: Counter[int] = field(default_factory=Counter)
    """Frames of units that the synthesizer was not trained on, by the unit."""
    resampled: Counter[int] = field(default_factory=Counter)
    """Recordings of other sample rates than the synthesizer's, by their rate in Hz."""


def resynthesize(
    sources: str | Path | Sequence[str | Path],
    vocoder: str | Path,
    out: str | Path,
    *,
    speaker: str | None = None,
    flat_pitch: bool = False,
    predicted_pitch: bool = False,
    device: str | None = None,
) -> Resynthesis:
    """Speak every recording of files, folders and manifests again, into the folder `out`; given again, the command goes on where it was.

    A recording whose file, or whose line in the manifest, has changed since it was spoken is another one, and is spoken anew.

    Args:
        sources: One or more.
        vocoder: A synthesizer: a run of `foresay train unit-vocoder…`, a step of it, or a model folder.
        out: A folder, new, empty, or of the same command.
        speaker: In whose voice: a name that the synthesizer knows, or a recording of somebody; None: each speaker's own.
        flat_pitch: Hold the pitch in the middle of the speaker's range.
        predicted_pitch: Take the pitch that the synthesizer predicts from the units.
        device: As of PyTorch; None: a GPU if there is one.

    Raises:
        UserError: a voice is unknown, the model is no synthesizer, or the folder holds something else.
    """
    if flat_pitch and predicted_pitch:
        msg = "a pitch is flat or predicted, not both: leave out --flat-pitch or --predicted-pitch"
        raise UserError(msg)
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    if inside := [source for source in several if Path(out).resolve().is_relative_to(Path(source).resolve())]:
        msg = f"{out} lies in {inside[0]}, and what is written there would itself be spoken again the next time: choose another --out"
        raise UserError(msg)
    place = str(find_process(device).device)
    model = load_synthesizer(vocoder, place)
    voice = None if speaker is None else voice_of(model, speaker, place)
    unreadable: dict[str, AudioError] = {}
    with ExitStack() as stack:
        stack.enter_context(exclusive(Path(out), "Wait until it has ended, or choose another --out"))
        manifests = [stack.enter_context(manifest_of(Path(source), unreadable)) for source in several]
        voice = voice or only_voice(model, manifests, place)
        how = {"speaker": voice.name if voice else "own", "flat_pitch": flat_pitch, "predicted_pitch": predicted_pitch}
        stamp = fingerprint(of_model(model), voice, flat_pitch, predicted_pitch, __version__)
        recordings = [recording for manifest in manifests for recording in contents_of(manifest)]
        folder = SpeechFolder(Path(out), stamp, {"vocoder": str(vocoder), **how}, recordings)
        return _Speaking(model, voice, folder, flat=flat_pitch, predicted=predicted_pitch, device=place).all(manifests, unreadable)


def load_synthesizer(name: str | Path, device: str) -> Synthesizer:
    """Load what turns units into speech.

    Raises:
        UserError: the model does not.
    """
    model = load(name, device)
    if not isinstance(model, Synthesizer):
        msg = f"{name} is {with_article(type(model))}, which synthesizes no speech: `foresay train unit-vocoder-tiny …` makes what does"
        raise UserError(msg)
    return model


@dataclass(frozen=True)
class ChosenVoice:
    """In whose voice is spoken."""

    name: str
    vector: Tensor = field(repr=False)
    """(1, D)."""
    content: str
    """A digest of the recording that it is known by, if it is one."""


def voice_of(model: Synthesizer, speaker: str, device: str) -> ChosenVoice:
    """Find a voice by the name of a speaker, or by a recording.

    Raises:
        UserError: it is neither.
        AudioError: the recording cannot be read.
    """
    known, path = model.speaker.names, Path(speaker)
    with torch.no_grad():
        if speaker in known:
            return ChosenVoice(speaker, model.speaker.of_names([speaker]).to(device), "")
        if not path.is_file():
            msg = f"--speaker {speaker} is neither a voice that this synthesizer knows nor a recording: {nearest(speaker, known)}"
            raise UserError(msg)
        waveform = torch.from_numpy(read_audio(path, model.sample_rate))[None]
        vector = model.speaker.of_audio(waveform.to(device), torch.tensor([waveform.shape[1]]))
        return ChosenVoice(path.stem, vector, of_file(path))


def only_voice(model: Synthesizer, manifests: Sequence[Manifest], device: str) -> ChosenVoice | None:
    """Return the only voice there is, for recordings of speakers that are unknown to a synthesizer that knows voices by name only.

    Raises:
        UserError: there are several.
    """
    known = model.speaker.names
    strange = sorted({name for manifest in manifests for name in manifest.speakers} - set(known))
    if not strange:
        return None
    silence = torch.zeros(1, model.sample_rate, device=device)
    try:
        model.speaker.of_batch(strange[:1], silence, torch.tensor([model.sample_rate]))
    except UserError as error:
        if len(known) == 1:
            say(f"everything is spoken in the one voice that the synthesizer knows: {known[0]}")
            return voice_of(model, known[0], device)
        msg = (
            f"the synthesizer knows voices by name only, and {', '.join(strange[:5])} is none of them: say in whose voice with --speaker, "
            f"one of {', '.join(known)}"
        )
        raise UserError(msg) from error
    return None


@dataclass
class _Speaking:
    """What is spoken by what, into which folder."""

    model: Synthesizer
    voice: ChosenVoice | None
    folder: SpeechFolder
    flat: bool
    predicted: bool
    device: str

    def __post_init__(self) -> None:
        self.done = Resynthesis(self.folder.manifest, there=len(self.folder.done))

    def all(self, manifests: Sequence[Manifest], unreadable: dict[str, AudioError]) -> Resynthesis:
        """Speak what was not yet. `unreadable`: what is known to be, by its id."""
        self.done.left_out |= {name: str(error) for name, error in unreadable.items()}
        try:
            for manifest in manifests:
                self._speak(manifest)
        except KeyboardInterrupt as interrupt:
            msg = f"interrupted, with {plural(len(self.folder.done), 'recording')} spoken; the same command goes on"
            raise KeyboardInterrupt(msg) from interrupt
        self.folder.close(self.done.left_out)
        return self.done

    def _speak(self, manifest: Manifest) -> None:
        rate, unreadable = self.model.sample_rate, dict[int, AudioError]()
        missing = [place for place, name in enumerate(manifest.ids) if name not in self.folder.done]
        voice = None if self.voice is None else self.voice.vector
        speaking = Resynthesizer(self.model, self.device)
        for place, spoken in spoken_again(speaking, manifest, {"": self._changed}, voice=voice, places=missing, unreadable=unreadable):
            item, waveform = manifest[place], spoken[""]
            path = self.folder.path(item.id)
            if limited := write_speech(path, waveform, rate):
                self.done.limited[item.id] = limited
            if item.sample_rate != rate:
                self.done.resampled[item.sample_rate] += 1
            speaker = self.voice.name if self.voice else item.speaker
            length = len(waveform) / rate
            spoken_item = replace(item, audio=path, image=None, start=0.0, channel=None, duration=length, sample_rate=rate, speaker=speaker)
            self.folder.add(spoken_item)
            self.done.written += 1
        for place in missing:
            if (name := manifest.ids[place]) not in self.folder.done:
                unit = 1000 / self.model.tokenizer.frame_rate
                short = f"it lasts {manifest.durations[place]:.3g} s, too short for a unit (one comes every {unit:.3g} ms)"
                self.done.left_out[name] = str(unreadable.get(place, short))

    def _changed(self, pieces: Sequence[Analyzed], _: int) -> list[Analyzed]:
        """Put the pitch that was asked for in the place of theirs, and note strange units."""
        changed = []
        for piece in pieces:
            units = piece.units.ids[0, 0, : int(piece.units.lengths[0])]
            self.done.unmet.update(units[~self.model.met[units]].tolist())
            changed.append(piece.flattened() if self.flat else piece.without_pitch() if self.predicted else piece)
        return changed
