"""Unit vocoder: what is made of units, pitch and voice, each by itself, and what is learnt."""

import dataclasses
import math

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from foresay.contracts import Batch, Tokens
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.synthesis.unit_vocoder import UnitVocoder, UnitVocoderSettings, _at_samples
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings
from reference.toy_pitch import ToyPitch, ToyPitchSettings
from reference.toy_speakers import ToySpeakers, ToySpeakersSettings

RATE, HOP, V = 16_000, 160, 6
SMALL = UnitVocoderSettings(
    embedding=8,
    generator_options={"size": 16, "blocks": 1, "inner": 32, "coefficients": 24, "fft": 640},
    mel_windows=(256, 1024),
    mel_bands=(20, 40),
    predictor_size=8,
    predictor_blocks=1,
    predictor_kernel=3,
)


def _vocoder(settings: UnitVocoderSettings = SMALL) -> UnitVocoder:
    torch.manual_seed(0)
    units = KMeansUnits(KMeansUnitsSettings("logmel", V), load("logmel"))
    units.kmeans.centers.normal_()
    return UnitVocoder(settings, units.eval(), ToyPitch(ToyPitchSettings()), ToySpeakers(ToySpeakersSettings())).eval()


JUDGES = ("multi-period", "multi-scale", "multi-scale-stft")
JUDGED = dataclasses.replace(SMALL, discriminators=JUDGES, discriminator_width=1 / 8)
HIFIGAN = dataclasses.replace(
    SMALL, generator="hifigan", generator_options={"channels": 16, "rates": [5, 4, 4, 2], "kernels": [11, 8, 8, 4]}
)


@pytest.fixture
def vocoder() -> UnitVocoder:
    return _vocoder()


def _tokens(vocoder: UnitVocoder, ids: list[list[int]]) -> Tokens:
    lengths = torch.tensor([len(row) for row in ids])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)
    return Tokens(padded[:, None], lengths, V, vocoder.tokenizer.fingerprint, 100.0)


def _pitch(hertz: float, frames: int) -> Tensor:
    """(1, T', 2): of the toy, whose hop is 200 samples, and whose middle is 200 Hz."""
    return torch.tensor([math.log(hertz / 200), 1.0]).repeat(1, frames, 1)


def _period(waveform: Tensor, shortest: int = 40, longest: int = 200) -> int:
    """Samples of the shortest lag, about as good as the best, in a stretch of the middle."""
    middle = waveform[len(waveform) // 2 :][:2_000]
    scores = torch.stack([(middle[:-longest] * middle[lag : lag - longest or None]).sum() for lag in range(shortest, longest)])
    return shortest + int((scores > 0.8 * scores.max()).nonzero()[0])


def _batch(size: int = 4, samples: int = 3_200) -> Batch:
    time = torch.arange(samples) / RATE
    waveforms = torch.stack([0.2 * torch.sin(2 * torch.pi * (150 + 40 * row) * time) + 0.02 * torch.randn(samples) for row in range(size)])
    labels = ((torch.arange(samples // HOP) // 4)[None] + torch.arange(size)[:, None]) % (V - 1)  # the last unit is never met
    return Batch(
        tuple(map(str, range(size))),
        waveforms,
        torch.full((size,), samples),
        keys=torch.arange(size),
        labels=labels,
        speaker_names=("anna", "ben") * (size // 2),
    )


def test_loss_falls_on_one_batch(vocoder: UnitVocoder) -> None:
    batch = _batch()
    optimizer = torch.optim.Adam(vocoder.trained("train"), lr=5e-3)
    first = vocoder(batch, 0).total().item()
    vocoder.train()
    for step in range(12):
        optimizer.zero_grad()
        vocoder(batch, step).total().backward()
        optimizer.step()
    assert vocoder.eval()(batch, 0).total().item() < 0.8 * first


def test_all_but_the_parts_is_trained(vocoder: UnitVocoder) -> None:
    vocoder.train()(_batch(), 0).total().backward()
    trained = {id(parameter) for parameter in vocoder.trained("train")}
    for name, parameter in vocoder.named_parameters():
        of_a_part = name.startswith(("tokenizer.", "pitch.", "speaker."))
        assert (id(parameter) in trained) != of_a_part, name
        assert of_a_part or (parameter.grad is not None and bool(parameter.grad.isfinite().all())), name
    assert not any(part.training for part in (vocoder.tokenizer, vocoder.pitch, vocoder.speaker) if isinstance(part, torch.nn.Module))


def test_the_range_of_voices_units_and_melody_learn_faster(vocoder: UnitVocoder) -> None:
    """From 150 Hz to a high voice it is far: 0.4 of log F0, of which an update moves a learning rate."""
    names = [name for name, _ in vocoder.named_parameters()]
    assert [name for name in names if name.startswith("range.")] == ["range.weight", "range.bias"]
    assert all(any(name.startswith(group) for name in names) for group in vocoder.rate_groups)
    assert [vocoder.rate(group, 7) for group in (*vocoder.rate_groups, "")] == [10, 10, 3, 1]


def test_units_whose_centers_are_near_begin_near(vocoder: UnitVocoder) -> None:
    """There are as many components as units: all distances are kept, in proportion, and the power is that of the embedding."""
    assert vocoder.tokenizer.centers is not None
    embeddings = vocoder.of_unit.weight.data[:V]
    ratios = torch.pdist(embeddings) / torch.pdist(vocoder.tokenizer.centers)
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios), rtol=1e-4, atol=0)
    assert embeddings[:, :V].square().mean() == pytest.approx(1, rel=1e-4)
    assert not vocoder.of_unit.weight[V].any()  # of no unit


def test_units_without_centers_begin_at_random() -> None:
    torch.manual_seed(0)
    units = KMeansUnits(KMeansUnitsSettings("logmel", V), load("logmel")).eval()  # not fitted: all centers are alike
    made = UnitVocoder(SMALL, units, ToyPitch(ToyPitchSettings()), ToySpeakers(ToySpeakersSettings()))
    assert 0.5 < made.of_unit.weight[:V].std() < 1.5


def test_units_that_were_met_are_known(vocoder: UnitVocoder) -> None:
    vocoder(_batch(), 0)
    assert not vocoder.met.any()  # nothing is learnt in validation
    batch = _batch()
    assert batch.labels is not None
    batch.labels[0, :4] = -1
    vocoder.train()(batch, 0)
    assert vocoder.met.tolist() == [True] * (V - 1) + [False]


def test_units_that_another_device_met_are_met(vocoder: UnitVocoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def exchanged(found: Tensor, how: dist.ReduceOp) -> None:
        assert how == dist.ReduceOp.MAX
        found[2] = 1  # of the other device

    vocoder.met[0] = True
    vocoder.after_step(0)
    assert vocoder.met.nonzero().flatten().tolist() == [0]
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", exchanged)
    assert vocoder.after_step(1) == {}
    assert vocoder.met.nonzero().flatten().tolist() == [0, 2]


def test_equal_keys_give_an_equal_loss_and_others_another(vocoder: UnitVocoder) -> None:
    batch = _batch()
    assert vocoder(batch, 0).total() == vocoder(batch, 1).total()
    other = Batch(batch.ids, batch.waveforms, batch.lengths, torch.arange(4) + 9, labels=batch.labels, speaker_names=batch.speaker_names)
    assert vocoder(other, 0).total() != vocoder(batch, 0).total()


def test_without_units_there_is_nothing_to_learn(vocoder: UnitVocoder) -> None:
    batch = _batch()
    with pytest.raises(UserError, match="tokenizer"):
        vocoder(Batch(batch.ids, batch.waveforms, batch.lengths, keys=batch.keys, speaker_names=batch.speaker_names), 0)


@pytest.mark.parametrize("hertz", [125.0, 200.0, 320.0])
def test_speech_has_the_pitch_that_is_given(vocoder: UnitVocoder, hertz: float) -> None:
    vocoder.range.bias.data = torch.tensor([math.log(200.0), 1.0])  # of the toy
    found = vocoder.synthesize(_tokens(vocoder, [[1] * 40]), torch.eye(2)[:1], _pitch(hertz, 32))
    assert found.lengths.tolist() == [40 * HOP]
    assert abs(_period(found.waveforms[0]) - RATE / hertz) <= 1


def test_speech_falls_as_the_pitch_that_is_given(vocoder: UnitVocoder) -> None:
    vocoder.range.bias.data = torch.tensor([math.log(200.0), 1.0])  # of the toy
    falling = torch.cat([_pitch(320.0, 15), _pitch(125.0, 17)], 1)
    found = vocoder.synthesize(_tokens(vocoder, [[1] * 40]), torch.eye(2)[:1], falling).waveforms[0]
    assert abs(_period(found) - RATE / 125) <= 1  # in the second half
    assert abs(_period(found[:3_000]) - RATE / 320) <= 1


def test_another_voice_speaks_in_its_own_range(vocoder: UnitVocoder) -> None:
    vocoder.range.weight.data = torch.tensor([[math.log(125.0), math.log(250.0)], [0.1, 0.1]])
    vocoder.range.bias.data.zero_()
    flat = torch.tensor([0.0, 1.0]).repeat(1, 32, 1)
    for voice, hertz in ((0, 125.0), (1, 250.0)):
        found = vocoder.synthesize(_tokens(vocoder, [[1] * 40]), torch.eye(2)[[voice]], flat)
        assert abs(_period(found.waveforms[0]) - RATE / hertz) <= 1


def test_a_voice_comes_in_by_its_vector_alone(vocoder: UnitVocoder) -> None:
    tokens, pitch = _tokens(vocoder, [[1, 1, 2, 2, 3, 3, 4, 4]]), _pitch(200.0, 7)
    anna, ben = (vocoder.synthesize(tokens, torch.eye(2)[[row]], pitch).waveforms for row in (0, 1))
    assert not torch.equal(anna, ben)
    for path in (vocoder.of_voice, vocoder.range):
        path.weight.data.zero_()
    anna, ben = (vocoder.synthesize(tokens, torch.eye(2)[[row]], pitch).waveforms for row in (0, 1))
    assert torch.equal(anna, ben)


def test_unvoiced_speech_is_noise_alone(vocoder: UnitVocoder) -> None:
    vocoder.generator.cepstra.weight.data.zero_()
    vocoder.generator.cepstra.bias.data[0] = 3.0  # however loud pulses are
    tokens = _tokens(vocoder, [[1] * 20])
    quiet = vocoder.synthesize(tokens, torch.eye(2)[:1], torch.zeros(1, 16, 2)).waveforms
    loud = vocoder.synthesize(tokens, torch.eye(2)[:1], _pitch(200.0, 16)).waveforms
    assert float(quiet.square().mean()) < 1e-3 < float(loud.square().mean())


def test_durations_that_are_said_are_kept(vocoder: UnitVocoder) -> None:
    timed = _tokens(vocoder, [[1, 1, 1, 2, 3, 3], [4, 4, 0, 0, 0]])
    voices, pitch = torch.eye(2), _pitch(200.0, 5).expand(2, -1, -1)
    one, other = (vocoder.synthesize(tokens, voices, pitch) for tokens in (timed, timed.merged()))
    assert torch.equal(one.waveforms, other.waveforms)
    assert one.lengths.tolist() == other.lengths.tolist() == [6 * HOP, 5 * HOP]


def test_durations_that_are_not_said_are_predicted(vocoder: UnitVocoder) -> None:
    torch.nn.init.zeros_(vocoder.duration_predictor.head.weight)
    torch.nn.init.constant_(vocoder.duration_predictor.head.bias, math.log(3))
    merged = _tokens(vocoder, [[1, 2, 3], [4, 0]]).merged()
    without = Tokens(merged.ids, merged.lengths, V, merged.fingerprint)
    assert vocoder.synthesize(without, torch.eye(2)).lengths.tolist() == [9 * HOP, 6 * HOP]


def test_what_is_synthesized_does_not_depend_on_its_batch(vocoder: UnitVocoder) -> None:
    ids = [[1] * 12 + [2] * 8, [3, 4, 0, 0, 5, 1, 1]]
    together = vocoder.synthesize(_tokens(vocoder, ids), torch.eye(2))
    for row, units in enumerate(ids):
        alone = vocoder.synthesize(_tokens(vocoder, [units]), torch.eye(2)[[row]])
        count = len(units) * HOP
        torch.testing.assert_close(together.waveforms[row, :count], alone.waveforms[0], atol=1e-5, rtol=0)
        assert not together.waveforms[row, count:].any()


def test_nothing_is_synthesized_of_nothing(vocoder: UnitVocoder) -> None:
    empty = Tokens(torch.zeros(1, 1, 0, dtype=torch.int64), torch.tensor([0]), V, vocoder.tokenizer.fingerprint, 100.0)
    assert vocoder.synthesize(empty, torch.eye(2)[:1]).waveforms.shape == (1, 0)


def test_pitch_that_does_not_fit_is_padded_or_cut(vocoder: UnitVocoder) -> None:
    tokens = _tokens(vocoder, [[1] * 10])
    exact = vocoder.synthesize(tokens, torch.eye(2)[:1], _pitch(200.0, 8)).waveforms
    assert torch.equal(exact, vocoder.synthesize(tokens, torch.eye(2)[:1], _pitch(200.0, 30)).waveforms)
    padded = torch.cat([_pitch(200.0, 4), torch.zeros(1, 4, 2)], 1)
    voices = torch.eye(2)[:1]
    assert torch.equal(vocoder.synthesize(tokens, voices, padded).waveforms, vocoder.synthesize(tokens, voices, padded[:, :4]).waveforms)


def test_predicted_pitch_is_on_the_clock_of_the_encoder(vocoder: UnitVocoder) -> None:
    found = vocoder.predict_pitch(_tokens(vocoder, [[1] * 10, [2] * 5]), torch.eye(2))
    assert found.shape == (2, 8, 2)  # 1,600 samples, 200 a frame
    assert set(found[..., 1].unique().tolist()) <= {0.0, 1.0}
    assert not found[1, 4:].any()


def test_units_are_read_at_the_nearest_frame(vocoder: UnitVocoder) -> None:
    """Those of logmel are 160 samples apart, the first centered at 79: at a hop of 80, frames are centered at 40, 120, 200, …"""
    assert vocoder._at(torch.tensor([[0, 1, 2]]), 7, 80).tolist() == [[0, 0, 1, 1, 2, 2, 2]]
    assert vocoder._at(torch.tensor([[0, 1, 2]]), 3, 160).tolist() == [[0, 1, 2]]
    assert vocoder._at(torch.tensor([[0, 1, V, V], [V, V, V, V]]), 4, 160).tolist() == [[0, 1, 1, 1], [V] * 4]  # beyond the end, its last


def test_pitch_is_read_on_a_line_between_frames_that_are_voiced() -> None:
    """Frames of two samples are centered between them: at a quarter and at three quarters of the way from one to the next."""
    hertz, tracked = torch.tensor([[100.0, 200.0, 0.0, 300.0], [100.0, 200.0, 0.0, 0.0]]), torch.tensor([[4], [2]])
    found = _at_samples(hertz, tracked, 8, 2)
    assert found.tolist() == [[100, 125, 175, 200, 0, 0, 300, 300], [100, 125, 175, 200, 200, 200, 200, 200]]


def test_tokens_of_another_tokenizer_are_refused(vocoder: UnitVocoder) -> None:
    other = Tokens(torch.zeros(1, 1, 4, dtype=torch.int64), torch.tensor([4]), V, "another", 100.0)
    with pytest.raises(UserError, match="other things"):
        vocoder.synthesize(other, torch.eye(2)[:1])
    with pytest.raises(UserError, match="other things"):
        vocoder.predict_pitch(other, torch.eye(2)[:1])


def test_parts_of_other_rates_are_refused() -> None:
    pitch = ToyPitch(ToyPitchSettings())
    pitch.sample_rate = 8_000
    units = KMeansUnits(KMeansUnitsSettings("logmel", V), load("logmel"))
    with pytest.raises(UserError, match="8000 Hz"):
        UnitVocoder(SMALL, units, pitch, ToySpeakers(ToySpeakersSettings()))


@pytest.mark.parametrize("phase", ["discriminate", "generate"])
def test_each_phase_moves_its_own_networks_alone(phase: str) -> None:
    vocoder = _vocoder(JUDGED).train()
    own = set(vocoder.trained(phase))
    (other,) = set(vocoder.phases) - {phase}
    assert own.isdisjoint(vocoder.trained(other))
    vocoder(_batch(), 0, phase).total().backward()
    for name, parameter in vocoder.named_parameters():
        if parameter in own:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert name.startswith("discriminators.") == (phase == "discriminate")


def test_what_is_learnt_without_discriminators_is_learnt_in_one_phase(vocoder: UnitVocoder) -> None:
    assert vocoder.phases == ("train",)
    assert set(_vocoder(JUDGED)(_batch(), 0, "generate").terms) - set(vocoder(_batch(), 0).terms) == {"adversarial", "features"}


def test_discriminators_learn_to_distinguish() -> None:
    torch.manual_seed(0)
    vocoder, batch = _vocoder(dataclasses.replace(JUDGED, discriminators=("multi-period",))).train(), _batch()
    optimizer = torch.optim.Adam(vocoder.trained("discriminate"), 5e-3)
    losses = []
    for step in range(20):
        optimizer.zero_grad()
        loss = vocoder(batch, step, "discriminate").total()
        loss.backward()
        losses.append(loss.item())
        if losses[-1] < 0.5 * losses[0]:
            break
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_discriminators_learn_that_what_is_recorded_is_1_and_the_generator_that_what_it_makes_should_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vocoder, batch = _vocoder(JUDGED), _batch()

    def judged(waveforms: Tensor) -> list[list[Tensor]]:
        score = torch.full_like(waveforms, float(torch.equal(waveforms, batch.audio[0])))
        return [[3 * score, score]]

    monkeypatch.setattr(vocoder, "_judged", judged)
    assert vocoder(batch, 0, "discriminate").total() == 0
    terms = vocoder(batch, 0, "generate").terms
    assert {name: float(terms[name].sum.detach() / terms[name].count) for name in ("adversarial", "features")} == {
        "adversarial": 1,
        "features": 3,
    }


def test_hifi_gan_is_a_generator_too() -> None:
    vocoder = _vocoder(HIFIGAN)
    assert vocoder.generator.hop == HOP
    vocoder.train()(_batch(), 0).total().backward()
    assert [name for name, p in vocoder.generator.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    tokens = _tokens(vocoder.eval(), [[1, 1, 2, 2], [3, 4]])
    found = vocoder.synthesize(tokens, torch.eye(2))
    assert found.lengths.tolist() == [4 * HOP, 2 * HOP]
    torch.testing.assert_close(found.waveforms[1, : 2 * HOP], vocoder.synthesize(_tokens(vocoder, [[3, 4]]), torch.eye(2)[1:]).waveforms[0])


def test_a_setting_that_no_generator_has_is_refused() -> None:
    with pytest.raises(UserError, match="model.generator_options.blocks"):
        _vocoder(dataclasses.replace(HIFIGAN, generator_options={"blocks": 3}))
    with pytest.raises(UserError, match="istft-vocoder"):
        _vocoder(dataclasses.replace(SMALL, generator="istft"))
    with pytest.raises(UserError, match="multi-period"):
        _vocoder(dataclasses.replace(SMALL, discriminators=("periods",)))


def test_the_range_of_a_voice_is_where_its_pitch_lies(vocoder: UnitVocoder) -> None:
    """The toy's pitch is the logarithm over that of 200 Hz."""
    for off in (0.0, 0.5):
        vocoder.range.bias.data = torch.tensor([math.log(200.0) + off, 1.0])
        term = vocoder(_batch(), 0).terms["range"]
        assert float(term.count) > 30
        assert float(term.sum.detach() / term.count) == pytest.approx(off, abs=1e-5)


def test_the_range_of_voices_and_what_is_measured_are_learnt_in_full_precision() -> None:
    vocoder, batch = _vocoder(), _batch()
    vocoder.range.bias.data = torch.tensor([math.log(187.0), 0.31])
    exact = vocoder(batch, 0).terms
    with torch.autocast("cpu", torch.bfloat16):
        rough = vocoder(batch, 0).terms
    torch.testing.assert_close(rough["range"].sum, exact["range"].sum, rtol=1e-6, atol=0)


@pytest.mark.parametrize("short", [1_600, 1_790])
def test_what_is_learnt_of_an_utterance_does_not_depend_on_its_batch(vocoder: UnitVocoder, short: int) -> None:
    """Of whole units and frames of pitch, and where its last frame is cut short."""
    batch = _batch(2)
    assert batch.waveforms is not None
    assert batch.lengths is not None
    assert batch.labels is not None
    batch.waveforms[1, short:], batch.lengths[1], batch.labels[1, short // HOP :] = 0, short, -1
    together = vocoder(batch, 0).terms
    alone = [
        vocoder(
            dataclasses.replace(
                batch,
                waveforms=batch.waveforms[row : row + 1, :samples],
                lengths=torch.tensor([samples]),
                keys=torch.tensor([row]),
                labels=batch.labels[row : row + 1, : samples // HOP],
                speaker_names=("anna", "ben")[row : row + 1],
            ),
            0,
        ).terms
        for row, samples in enumerate(batch.lengths.tolist())
    ]
    for name, term in together.items():
        torch.testing.assert_close(term.sum, alone[0][name].sum + alone[1][name].sum, rtol=1e-5, atol=1e-5)
        assert float(term.count) == sum(float(one[name].count) for one in alone), name


def test_each_term_of_the_loss_is_logged_by_itself() -> None:
    """Weighed and added up, they are the loss."""
    losses = _vocoder(JUDGED)(_batch(), 0, "generate")
    assert set(losses.scalars) == {"mel 256", "mel 1024", "pitch", "voicing", "duration", "range", "adversarial", "features"}
    assert losses.means_of == {name: name for name in losses.scalars}
    total = sum(losses.terms[name].weight * float(value) for name, value in losses.scalars.items())
    assert total == pytest.approx(float(losses.total().detach()), rel=1e-5)
    assert not any(value.requires_grad for value in losses.scalars.values())


def test_widths_that_cannot_be_divided_into_groups_are_refused() -> None:
    with pytest.raises(UserError, match=r"makes 38 of the 128 channels of a multi-scale .* set model.discriminator_width to 0.25 or 0.375"):
        _vocoder(dataclasses.replace(JUDGED, discriminator_width=0.3))


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="predictor_kernel = 4 is to be odd"):
        UnitVocoderSettings(predictor_kernel=4)


def test_bands_are_said_for_each_window() -> None:
    with pytest.raises(ValueError, match="bands for each window"):
        UnitVocoderSettings(mel_windows=(256, 512), mel_bands=(20,))
