"""CTC recognizers of the Hugging Face hub: the same scores and the same text as transformers', there and back, or refused whole."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from foresay.building import build, describe
from foresay.contracts import Recognizer
from foresay.corpora.manifest import Manifest
from foresay.decoding.greedy import best_path
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.recognition.wer import WordErrorRate
from foresay.hub.encoder import EncoderOnly
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.runs import Run
from foresay.statistics.edit_distance import edit_distance
from foresay.training.trainer import described
from foresay.workflows.export import export
from foresay.workflows.transcribe import transcribe
from reference.tiny_checkpoints import network, transformers
from reference.tones import write_tones

KINDS = ["Wav2Vec2ForCTC", "HubertForCTC", "WavLMForCTC"]
LIBRISPEECH = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
QUIET = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # in transformers' WavLM


def write(model: nn.Module, folder: Path, symbols: list[str], *, standardize: bool = False, **described: object) -> str:
    """Save a recognizer of transformers with its processor as transformers does; `symbols` by their numbers."""
    model.config.pad_token_id = symbols.index(str(described.get("pad_token", "<pad>")))
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({symbol: number for number, symbol in enumerate(symbols)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), **described)
    prepare = transformers.Wav2Vec2FeatureExtractor(do_normalize=standardize, return_attention_mask=standardize)
    transformers.Wav2Vec2Processor(prepare, tokenizer).save_pretrained(folder)
    return f"hf:{folder}"


def waveforms(samples: int = 6_000, rows: int = 2) -> tuple[Tensor, Tensor]:
    return 0.3 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(1)), torch.full((rows,), samples)


@torch.no_grad()
def theirs(folder: Path | str, clips: Tensor) -> tuple[Tensor, list[str]]:
    """Score and write clips (B, S) with transformers, from the folder alone."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForCTC.from_pretrained(folder).eval()
    prepared = processor(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt").input_values
    logits = model(prepared).logits
    return logits, [" ".join(text.split()) for text in processor.batch_decode(logits.argmax(-1))]


@torch.no_grad()
def assert_alike(model: Recognizer, folder: Path | str, rows: list[int]) -> None:
    """`rows`: those of their head that score our symbols."""
    clips, lengths = waveforms()
    logits, texts = theirs(folder, clips)
    found = model.emissions(clips, lengths)
    torch.testing.assert_close(found.log_probabilities, logits[..., rows].log_softmax(-1), atol=1e-4, rtol=0)
    assert [one.text for one in best_path(found, model.text_of)] == texts
    assert all(texts)


@torch.no_grad()
def written_with(head: nn.Linear, special: tuple[int, ...] = ()) -> None:
    """Let a random head write one symbol here and another there, and never what no text has, as a trained one."""
    head.weight.mul_(10.0)
    head.bias.zero_()
    head.bias[list(special)] = -1000.0


def foreign(kind: str, special: tuple[int, ...], variant: str = "base") -> nn.Module:
    model = network(kind, variant, seed=1)
    written_with(model.lm_head, special)
    return model


@QUIET
@pytest.mark.parametrize("variant", ["base", "large"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_recognizer_scores_and_writes_as_transformers(kind: str, variant: str, tmp_path: Path) -> None:
    name = write(foreign(kind, (1, 2, 3), variant), tmp_path, LIBRISPEECH, standardize=variant == "large")
    model = load(name)
    assert isinstance(model, CTC)
    assert model.symbols == ("<blank>", "|", *LIBRISPEECH[5:])
    assert (model.settings.units, model.settings.normalization, model.boundary) == ("letters", "librispeech", 1)
    assert model.encoder.settings.standardize == (variant == "large")
    assert_alike(model, tmp_path, [0, *range(4, 32)])


@QUIET
@pytest.mark.parametrize("variant", ["base", "large"])
@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
def test_ours_scores_and_writes_alike_there_and_back(family: str, variant: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    table = {"name": family, "channels": 24, "size": 32, "layers": 2, "heads": 4, "inner": 48, "position_kernel": 16, "position_groups": 4}
    if variant == "large":
        table |= {"norm": "layer", "pre_norm": True, "standardize": True, "convolution_bias": True}
    settings = CTCSettings(("<blank>", "|", *"abcd"), normalization="en", outside="map", mask_probability=0.05, channel_probability=0.01)
    model = CTC(settings, build(table).eval()).eval()
    written_with(model.head)
    run(model, tmp_path / "run")
    folder = export(tmp_path / "run", tmp_path / "out", to="huggingface")
    names = {"config.json", "model.safetensors", "vocab.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert_alike(model, folder, list(range(6)))
    older = {"processor_config.json", "preprocessor_config.json"}
    for file in older:  # each alone will do: transformers 4 reads the one, 5 the other
        kept = (folder / file).read_text()
        (folder / file).unlink()
        assert_alike(load(f"hf:{folder}"), folder, list(range(6)))
        (folder / file).write_text(kept)
    again = load(f"hf:{folder}")
    for name in ("symbols", "units", "normalization", "outside", "mask_length", "channel_length"):
        assert getattr(again.settings, name) == getattr(model.settings, name)
    assert again.settings.mask_probability == pytest.approx(0.05)
    assert again.settings.channel_probability == pytest.approx(0.01)


def run(model: CTC, folder: Path) -> None:
    """Save a recognizer as a run."""
    saved = Run(folder)
    saved.begin("# resolved\n")
    saved.save(1, model.state_dict(), {}, described("ctc", 1, describe(model)), keep=1)


def test_the_blank_is_symbol_0_whatever_its_number_there(tmp_path: Path) -> None:
    symbols = ["a", "<unk>", "'", " ", *"bcdefghijklmnopqrstuvwxyz", "[PAD]", "ä", "ö"]
    model = foreign("Wav2Vec2ForCTC", (1,))
    described = {"pad_token": "[PAD]", "word_delimiter_token": " ", "bos_token": None, "eos_token": None}
    name = write(model, tmp_path, symbols, **described)
    with pytest.raises(UserError, match=r"28 letters .* exactly those of no profile. Choose one of librispeech, plain, en"):
        load(name)
    ours = load(name, normalization="de")
    assert ours.symbols[:4] == ("<blank>", "a", "'", "|")
    assert ours.settings.normalization == "de"
    assert_alike(ours, tmp_path, [29, 0, 2, 3, *range(4, 29), 30, 31])
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"foresay": {"normalization": "de"}}))
    assert load(name).settings == ours.settings


def test_what_a_tokenizer_adds_beyond_the_head_is_left_out(tmp_path: Path) -> None:
    symbols = ["|", *"abcdefghijklmnopqrstuvwxyz'", "[UNK]", "[PAD]", "é", "è"]
    described = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    name = write(network("Wav2Vec2ForCTC"), tmp_path, symbols, **described)
    (tmp_path / "added_tokens.json").write_text('{"<s>": 32, "</s>": 33}')
    assert load(name, normalization="plain").symbols == ("<blank>", *symbols[:28], "é", "è")


@torch.no_grad()
def test_phones_are_symbols_of_a_plain_tokenizer(tmp_path: Path) -> None:
    symbols = ("<blank>", "AA", "B", "K", "tʃ")
    torch.manual_seed(0)
    encoder = load(f"hf:{_encoder(tmp_path / 'encoder')}")
    model = CTC(CTCSettings(symbols, units="phones"), encoder)
    written_with(model.head)
    run(model, tmp_path / "run")
    folder = export(tmp_path / "run", tmp_path / "out", to="huggingface")
    again = load(f"hf:{folder}")
    assert (again.symbols, again.settings.units, again.boundary) == (symbols, "phones", None)
    clips, lengths = waveforms()
    logits, _ = theirs(folder, clips)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer.decode(row, spaces_between_special_tokens=True) for row in logits.argmax(-1)]
    assert [one.text for one in best_path(again.emissions(clips, lengths), again.text_of)] == texts
    assert any(" " in text for text in texts)
    config = json.loads((folder / "config.json").read_text())
    del config["foresay"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load(f"hf:{folder}").settings.units == "phones"  # several letters, and no boundary
    described = json.loads((folder / "tokenizer_config.json").read_text())
    described |= {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer", "word_delimiter_token": "|"}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    assert load(f"hf:{folder}").settings.units == "phones"


def _encoder(folder: Path) -> Path:
    network("HubertModel").save_pretrained(folder)
    return folder


def test_it_transcribes_and_is_evaluated(tmp_path: Path) -> None:
    corpus = write_tones(tmp_path / "tones.jsonl", 3)
    symbols = [*LIBRISPEECH[:5], *"abcdefghijklmnopqrstuvwxyz'"]
    name = write(foreign("HubertForCTC", (1, 2, 3)), tmp_path / "folder", symbols)
    found = {one.id: one for one in transcribe(name, corpus)}
    assert all(one.words for one in found.values())
    model, manifest = load(name), Manifest.open(corpus)
    rows = WordErrorRate(WordErrorRate.protocols["greedy"])([Subject("theirs", model, ("emissions",))], Corpora(test=manifest))
    said = [((item.text or "").split(), found[item.id].text.split()) for item in manifest]
    errors = sum(edit_distance(*pair) for pair in said)
    assert rows[0].value == pytest.approx(errors / sum(len(words) for words, _ in said))


def test_a_part_is_named_after_a_hash(tmp_path: Path) -> None:
    name = write(network("HubertForCTC"), tmp_path / "a", LIBRISPEECH)
    encoder, model = load(f"{name}#encoder"), load(name)
    assert isinstance(encoder, EncoderOnly)
    run(model, tmp_path / "run")
    for same in (model.encoder, load(f"{tmp_path / 'run'}#encoder")):
        for key, tensor in encoder.state_dict().items():
            torch.testing.assert_close(same.state_dict()[key], tensor, rtol=0, atol=0)
    with pytest.raises(UserError, match=r"is a CTC, which has no part 'head': its parts are encoder"):
        load(f"{name}#head")
    with pytest.raises(UserError, match=r"has no part 'encoder': it is made of none"):
        load("mfcc#encoder")
    (tmp_path / "a" / "vocab.json").unlink()
    assert isinstance(load(f"{name}#encoder"), EncoderOnly)  # which needs no vocabulary
    with pytest.raises(UserError, match=r"is a recognizer, .*#encoder"):
        CTC(CTCSettings(("<blank>", "a")), model)


@pytest.mark.parametrize(
    "spoil, message",
    [
        ({"vocab.json": {"<pad>": 0, "|": 1, "a": 2}}, r"numbers 3 symbols, and lm_head scores 32"),
        ({"vocab.json": {**{s: n for n, s in enumerate(LIBRISPEECH)}, "Ä": 32}}, r"numbers 33 symbols, and lm_head scores 32"),
        ({"vocab.json": {"eng": {"a": 0}}}, r"must number symbols from 0: if it has a table for each language"),
        ({"vocab.json": None}, r"has no vocab.json.*#encoder"),
        ({"vocab.json": {s.replace("<pad>", "[X]"): n for n, s in enumerate(LIBRISPEECH)}}, r"lacks '<pad>', the padding"),
        ({"tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}}, r"the tokenizer 'BertTokenizer', which Foresay does not know"),
        ({"config.json": {"pad_token_id": 4}}, r"the blank is symbol 4 in config.json .* and 0 in vocab.json"),
        ({"config.json": {"foresay": {"units": "letters", "beam": 3}}}, r'"foresay" must be an object of units, normalization, outside'),
        ({"processor_config.json": {"feature_extractor": 3}}, r'must have an object "feature_extractor", not 3'),
        ({"vocab.json": {s.replace("E", "EE"): n for n, s in enumerate(LIBRISPEECH)}}, r"symbols of several letters, such as 'EE'"),
    ],
)
def test_what_cannot_be_read_is_explained(spoil: dict[str, dict[str, object] | None], message: str, tmp_path: Path) -> None:
    name = write(network("Wav2Vec2ForCTC"), tmp_path, LIBRISPEECH)
    for file, content in spoil.items():
        path = tmp_path / file
        if content is None:
            path.unlink()
            continue
        before = json.loads(path.read_text()) if file != "vocab.json" else {}
        path.write_text(json.dumps(before | content))
    with pytest.raises(UserError, match=message):
        load(name)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: {k: v for k, v in t.items() if not k.startswith("lm_head")}, r"lacks lm_head.weight, lm_head.bias.*needs its head"),
        (lambda t: t | {"lm_head.weight": torch.ones(32, 5)}, r"lm_head.weight has the shape \[32, 5\].* gives 32 features"),
    ],
)
def test_a_head_that_is_not_there_or_does_not_fit(change: object, message: str, tmp_path: Path) -> None:
    assert callable(change)
    name = write(network("Wav2Vec2ForCTC"), tmp_path, LIBRISPEECH)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    safetensors.torch.save_file(change(tensors), tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=message):
        load(name)


@pytest.mark.parametrize(
    "encoder, changed, message",
    [
        ("mfcc", {}, "has no CTC on MFCC: it has CTC on wav2vec 2.0"),
        ("hf", {"layer": "L1"}, r"scores the last layer frame by frame, not L1 \(model.stack = 1\)"),
        ("hf", {"stack": 2}, r"\(model.stack = 2\)"),
        ("hf", {"lstm": 4}, "has no LSTM between"),
        ("hf", {"cmvn": True}, r"does not normalize features over the utterance \(model.cmvn\)"),
        ("hf", {"symbols": ("<blank>", "<pad>")}, "calls the blank <pad>"),
        ("hf", {"units": "bpe"}, "no tokenizer of CTC for subwords"),
    ],
)
def test_what_transformers_has_not_is_not_exported(encoder: str, changed: dict[str, object], message: str, tmp_path: Path) -> None:
    part = load("mfcc" if encoder == "mfcc" else f"hf:{_encoder(tmp_path / 'encoder')}")
    run(CTC(CTCSettings(**({"symbols": ("<blank>", "|", "a")} | changed)), part), tmp_path / "run")
    with pytest.raises(UserError, match=message):
        export(tmp_path / "run", tmp_path / "out", to="huggingface")
    with pytest.raises(UserError, match="recognizers --to huggingface"):
        export(tmp_path / "run", tmp_path / "out", to="torch")
