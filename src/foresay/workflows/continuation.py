"""Continuation: a language model of units goes on where a recording ends, and a synthesizer speaks what it says (GSLM).

Lakhotia et al. (arXiv:2102.01192), section 3: speech to units, units to more units, units to speech; no text in between.

```text
OUT/units.jsonl            of each continuation its prompt, its temperature, and the units of both
OUT/manifest.jsonl         what is spoken: the prompt, and what follows it, in one file
OUT/continuations.jsonl    of the same files only what follows the prompt
```

The prompt is spoken again from its units, as long and as high as it was; of what follows, durations and pitch are predicted.
"""

import dataclasses
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from foresay import draws
from foresay.audio.read import Waveform
from foresay.audio.write import write_speech
from foresay.contracts import Sampling, Synthesizer, TokenModel, Tokens
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.resynthesis import Resynthesizer, speaker_of
from foresay.errors import AudioError, UserError, at_least, with_article
from foresay.files import write_list
from foresay.fingerprint import fingerprint, of_model
from foresay.loading import load
from foresay.locks import exclusive
from foresay.progress import ProgressBar
from foresay.results import read_lines
from foresay.training.devices import find_process
from foresay.version import __version__
from foresay.workflows.resynthesize import ChosenVoice, load_synthesizer, only_voice, voice_of
from foresay.workflows.speech_folder import SpeechFolder, contents_of, stems_of
from foresay.workflows.transcribe import manifest_of

UNITS, CONTINUATIONS = "units.jsonl", "continuations.jsonl"


@dataclass(frozen=True)
class Continued:
    """A continuation of a prompt."""

    id: str
    prompt: str
    """The id of the recording."""
    temperature: float
    sample: int
    """Which of those of the prompt at this temperature, from 1."""
    prompt_units: tuple[int, ...]
    units: tuple[int, ...]
    ended: bool
    """Whether its end was drawn before it was as long as it may be."""


@dataclass
class Continuation:
    """What was done."""

    continued: list[Continued] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each continuation that is spoken, by its id, how long it lasts, the prompt not counted."""
    limited: int = 0
    """Samples that were beyond full scale and are limited to it."""
    unmet: set[int] = field(default_factory=set)
    """Units that the synthesizer was not trained on."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Prompts that could not be read, or are too short, by their ids, and why."""
    window: int = 0
    """Units that the language model reads at once, the begin counted."""

    @property
    def long_prompts(self) -> int:
        """Of how many prompts it read no more than the end."""
        return len({one.prompt for one in self.continued if len(one.prompt_units) >= self.window})

    @property
    def long(self) -> int:
        """In how many continuations it drew units by the last ones before them, and not by all."""
        return sum(len(one.prompt_units) + len(one.units) > self.window for one in self.continued)


@dataclass(frozen=True)
class Continuing:
    """How prompts are continued."""

    samplings: Sequence[Sampling]
    """One for each temperature."""
    samples: int = 1
    """Continuations of each prompt at each temperature."""
    prompt_seconds: float | None = None
    """How much of a recording is the prompt, from its beginning; None: all."""
    seed: int = 0
    """Of all that is drawn. The numbers that a prompt is continued by are the same at all temperatures."""

    def __post_init__(self) -> None:
        at_least(1, samples=self.samples)
        at_least(0, seed=self.seed)
        if not self.samplings or len({sampling.temperature for sampling in self.samplings}) < len(self.samplings):
            msg = "name at least one temperature, and each once, such as --temperature 0.3,1.0,1.5"
            raise UserError(msg)
        if self.prompt_seconds is not None and not 0 < self.prompt_seconds < math.inf:
            msg = f"--prompt-seconds {self.prompt_seconds:g} is no length of a prompt: it must be above 0"
            raise UserError(msg)

    def ids(self, stem: str, sampling: Sampling) -> list[str]:
        """Name the continuations of a prompt at a temperature; `stem`: what the prompt is called, without the ending of a file."""
        return [f"{stem}-T{sampling.temperature:g}-{number}" for number in range(1, self.samples + 1)]

    def keys(self, prompt: str) -> list[int]:
        """Draw the keys of the continuations of a prompt: its own, whatever else is continued."""
        return [draws.seed("continuations", self.seed, zlib.crc32(prompt.encode()), number) for number in range(self.samples)]


def continue_speech(
    sources: str | Path | Sequence[str | Path],
    lm: str | Path,
    out: str | Path,
    how: Continuing,
    *,
    vocoder: str | Path | None = None,
    speaker: str | None = None,
    device: str | None = None,
) -> Continuation:
    """Continue every recording of files, folders and manifests, into the folder `out`: new, empty, or of the same command, which goes on.

    What was spoken of another recording by the same name, or where other units follow, is spoken anew.

    Args:
        sources: One or more.
        lm: A language model of units: a run of `foresay train unit-lm…`, a step of it, or a model folder.
        out: A folder.
        how: Temperatures, and the like.
        vocoder: A synthesizer of the same units; None: units are written, and nothing is spoken.
        speaker: In whose voice: a name that the synthesizer knows, or a recording of somebody; None: the prompt's own.
        device: As of PyTorch; None: a GPU if there is one.

    Raises:
        UserError: a model is of another kind, the two are of different units, the folder holds something else, or nothing can be continued.
    """
    if speaker is not None and vocoder is None:
        msg = f"--speaker {speaker} says in whose voice a continuation is spoken, and nothing speaks it: give --vocoder RUN"
        raise UserError(msg)
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    if inside := [source for source in several if Path(out).resolve().is_relative_to(Path(source).resolve())]:
        msg = f"{out} lies in {inside[0]}, and what is written there would itself be continued the next time: choose another --out"
        raise UserError(msg)
    place = str(find_process(device).device)
    model = load_token_model(lm, place)
    synthesizer = None if vocoder is None else load_synthesizer(vocoder, place)
    if synthesizer is not None:
        _refuse_other_units(model, synthesizer, str(lm), str(vocoder))
    voice = voice_of(synthesizer, speaker, place) if synthesizer is not None and speaker is not None else None
    unreadable: dict[str, AudioError] = {}
    with ExitStack() as stack:
        manifests = [stack.enter_context(manifest_of(Path(source), unreadable)) for source in several]
        stack.enter_context(exclusive(Path(out), "Wait until it has ended, or choose another --out"))
        if synthesizer is not None and voice is None:
            voice = only_voice(synthesizer, manifests, place)
        stamp = fingerprint(of_model(model), synthesizer and of_model(synthesizer), voice, how, __version__)
        prompts = [prompt for manifest in manifests for prompt in contents_of(manifest)]
        stems = stems_of([prompt for prompt, _ in prompts])
        named = [(name, content) for prompt, content in prompts for one in how.samplings for name in how.ids(stems[prompt], one)]
        about = {"lm": str(lm), "vocoder": str(vocoder or "none")}
        folder = SpeechFolder(Path(out), stamp, about, named, beside=(UNITS, CONTINUATIONS))
        speaking = None if synthesizer is None else _Speaking(synthesizer, voice, folder, place)
        done = _Work(model, how, folder, speaking, place, stems).all(manifests)
        done.left_out |= {name: str(error) for name, error in unreadable.items()}
        folder.close(done.left_out)
    if not done.continued:
        name, why = next(iter(done.left_out.items()))
        msg = f"nothing can be continued; the first of {len(done.left_out):,}: {name}: {why}"
        raise UserError(msg)
    return done


def load_token_model(name: str | Path, device: str) -> TokenModel:
    """Load a language model of units.

    Raises:
        UserError: it is none.
    """
    model = load(name, device)
    if not isinstance(model, TokenModel):
        msg = (
            f"{name} is {with_article(type(model))}, which continues no speech: train a language model of units "
            "(`foresay train unit-lm-tiny --units RUN …`)"
        )
        raise UserError(msg)
    return model


def _refuse_other_units(model: TokenModel, synthesizer: Synthesizer, lm: str, vocoder: str) -> None:
    """Make sure that a synthesizer speaks the units that a language model predicts."""
    ours, theirs = model.tokenizer.fingerprint, synthesizer.tokenizer.fingerprint
    if ours != theirs:
        msg = (
            f"{lm} predicts the units of tokenizer {ours}, and {vocoder} speaks those of tokenizer {theirs}: equal numbers mean other "
            "sounds. Train both with the same --units"
        )
        raise UserError(msg)


class _Speaking:
    """Speaks prompts and what follows them."""

    def __init__(self, synthesizer: Synthesizer, voice: ChosenVoice | None, folder: SpeechFolder, device: str) -> None:
        self.synthesizer, self.voice, self.folder, self.device = synthesizer, voice, folder, device
        self.resynthesizer = Resynthesizer(synthesizer, device)

    @torch.no_grad()
    def speak(self, name: str, prompt: Waveform, speaker: str, units: Tokens, done: Continuation) -> None:
        """Speak a prompt (S,) and what follows it, units (1, 1, U)."""
        rate = self.synthesizer.sample_rate
        pieces = self.resynthesizer.analyze(prompt, speaker, None if self.voice is None else self.voice.vector)
        before, after = self.resynthesizer.speak(pieces), np.zeros(0, np.float32)
        if int(units.lengths[0]):
            found = self.synthesizer.synthesize(units, pieces[-1].voice)
            after = found.waveforms[0, : int(found.lengths[0])].float().cpu().numpy()
            ids = units.ids[0, 0].cpu()
            done.unmet.update(ids[~self.synthesizer.met.cpu()[ids]].tolist())
        whole = np.concatenate([before, after])
        path = self.folder.path(name)
        done.limited += write_speech(path, whole, rate)
        who = self.voice.name if self.voice else speaker
        self.folder.add(Item(name, path, duration=len(whole) / rate, sample_rate=rate, speaker=who))
        done.seconds[name] = len(after) / rate


class _Work:
    """Continues prompts, one after the other."""

    def __init__(
        self, model: TokenModel, how: Continuing, folder: SpeechFolder, speaking: _Speaking | None, device: str, stems: Mapping[str, str]
    ) -> None:
        """`stems`: what prompts are called, by their ids."""
        self.stems = stems
        self.model, self.how, self.folder, self.speaking, self.device = model, how, folder, speaking, device
        self.done, self.path = Continuation(window=model.window), folder.out / UNITS
        self.before = {row["id"]: row for row in read_lines(self.path)}
        """What was continued before, by the ids."""
        if self.path.exists():
            write_list(self.path, map(json.dumps, self.before.values()))  # without a line that was cut short

    def all(self, manifests: Sequence[Manifest]) -> Continuation:
        """Continue the recordings of all manifests; list the units, and where in the files what follows the prompts begins."""
        starts: dict[str, float] = {}
        for manifest in manifests:
            for place in ProgressBar(range(len(manifest)), "continuing", "recording"):
                try:
                    waveform = self._prompt(manifest, place)
                except AudioError as error:
                    self.done.left_out[manifest.ids[place]] = str(error)
                    continue
                for one in self._continue(manifest.ids[place], waveform, speaker_of(manifest, place)):
                    starts[one.id] = len(waveform) / self.model.sample_rate
        write_list(self.path, (json.dumps(dataclasses.asdict(one)) for one in self.done.continued))
        spoken = [item for one in self.done.continued if (item := self.folder.done.get(one.id)) is not None]
        follows = [
            dataclasses.replace(item, start=starts[item.id], duration=item.duration - starts[item.id])
            for item in spoken
            if item.duration > starts[item.id]
        ]
        if follows:
            write_manifest(self.folder.out / CONTINUATIONS, follows)
        self.done.seconds = {item.id: item.duration - starts[item.id] for item in spoken}
        return self.done

    def _prompt(self, manifest: Manifest, place: int) -> Waveform:
        """Read a prompt (S,)."""
        rate = self.model.sample_rate
        whole = int(manifest.lengths(rate)[place])
        seconds = self.how.prompt_seconds
        return manifest.read(place, rate, 0, whole if seconds is None else min(round(seconds * rate), whole))

    @torch.no_grad()
    def _continue(self, prompt: str, waveform: Waveform, speaker: str) -> Iterator[Continued]:
        """Continue a prompt (S,) at each temperature, and speak it; nothing, if it is too short for a unit."""
        lengths = torch.tensor([len(waveform)], device=self.device)
        tokens = self.model.prepared(self.model.tokenizer.encode(torch.from_numpy(waveform)[None].to(self.device), lengths))
        if not int(tokens.lengths[0]):
            self.done.left_out[prompt] = f"{len(waveform) / self.model.sample_rate:.3g} s are too short for a unit"
            return
        units = tuple(tokens.ids[0, 0].tolist())
        for sampling in self.how.samplings:
            drawn = self.model.generate(repeated(tokens, self.how.samples), sampling, self.how.keys(prompt))
            for number, name in enumerate(self.how.ids(self.stems[prompt], sampling), start=1):
                length = int(drawn.lengths[number - 1])
                own = drawn.ids[number - 1 : number, :, :length]
                found = tuple(own[0, 0].tolist())
                one = Continued(name, prompt, sampling.temperature, number, units, found, ended=length < sampling.longest)
                if self.speaking is not None and not self._is_spoken(one):
                    one_drawn = dataclasses.replace(drawn, ids=own.to(self.device), lengths=drawn.lengths[number - 1 : number])
                    self.speaking.speak(name, waveform, speaker, one_drawn, self.done)
                    with self.path.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(dataclasses.asdict(one)) + "\n")
                self.done.continued.append(one)
                yield one

    def _is_spoken(self, one: Continued) -> bool:
        """Whether a continuation of these very units was spoken before."""
        return one.id in self.folder.done and self.before.get(one.id) == json.loads(json.dumps(dataclasses.asdict(one)))


def repeated(tokens: Tokens, count: int) -> Tokens:
    """Take the tokens of one utterance (1, G, T) so many times."""
    durations = None if tokens.durations is None else tokens.durations.expand(count, -1)
    return dataclasses.replace(tokens, ids=tokens.ids.expand(count, -1, -1), lengths=tokens.lengths.expand(count), durations=durations)
