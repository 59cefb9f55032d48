"""The Gumbel quantizer against transformers' and by its laws."""

import pytest
import torch

from foresay.errors import UserError
from foresay.quantizers.gumbel import GumbelQuantizer, code_use, gumbel_noise, perplexity

BATCH, FRAMES, SIZE, BOOKS, CODES, WIDTH = 3, 7, 10, 2, 5, 8


def quantizer(*, noise: bool = True) -> GumbelQuantizer:
    torch.manual_seed(1)
    return GumbelQuantizer(SIZE, BOOKS, CODES, WIDTH, noise=noise)


def test_values_are_the_entries_of_the_largest_logits() -> None:
    quantize = quantizer().eval()
    latents = torch.randn(BATCH, FRAMES, SIZE)
    found = quantize(latents, 2.0)
    logits = quantize.projection(latents).view(BATCH, FRAMES, BOOKS, CODES)
    assert torch.equal(found.codes, logits.argmax(-1))
    for b in range(BATCH):
        for m in range(FRAMES):
            entries = torch.cat([quantize.entries[g, found.codes[b, m, g]] for g in range(BOOKS)])
            assert torch.equal(found.values[b, m], entries)
    torch.testing.assert_close(found.probabilities, logits.softmax(-1))


def test_one_book_for_all_and_a_layer_before_the_choice() -> None:
    torch.manual_seed(1)
    quantize = GumbelQuantizer(SIZE, BOOKS, CODES, WIDTH, shared=True, hidden=6).eval()
    latents = torch.randn(BATCH, FRAMES, SIZE)
    found = quantize(latents, 2.0)
    logits = quantize.projection(torch.nn.functional.gelu(quantize.hidden[0](latents))).view(BATCH, FRAMES, BOOKS, CODES)
    assert torch.equal(found.codes, logits.argmax(-1))
    assert quantize.entries.shape == (1, CODES, WIDTH // BOOKS)
    assert torch.equal(found.values, quantize.entries[0][found.codes].flatten(2))


def test_use_is_counted_where_frames_are_real() -> None:
    codes, real = torch.tensor([[[0, 1], [1, 1], [3, 0]]]), torch.tensor([[True, True, False]])
    used = code_use(codes, real, 4)
    torch.testing.assert_close(used["code_perplexity"], torch.tensor(2.0 * 1.0).sqrt())  # two codes as often, and one alone
    assert used["code_use"] == 3 / 8


def test_equals_that_of_transformers() -> None:
    modeling = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    config = modeling.Wav2Vec2Config(
        conv_dim=(SIZE,),
        conv_kernel=(2,),
        conv_stride=(1,),
        codevector_dim=WIDTH,
        num_codevector_groups=BOOKS,
        num_codevectors_per_group=CODES,
    )
    theirs = modeling.Wav2Vec2GumbelVectorQuantizer(config).eval()
    mine = quantizer().eval()
    theirs.codevectors.data = mine.entries.data.view(1, BOOKS * CODES, -1)
    theirs.weight_proj.load_state_dict(mine.projection.state_dict())
    latents = torch.randn(BATCH, FRAMES, SIZE)
    values, _ = theirs(latents)
    torch.testing.assert_close(mine(latents, 1.0).values, values)


def test_gradient_is_that_of_the_softmax() -> None:
    quantize = quantizer()
    latents = torch.randn(BATCH, FRAMES, SIZE, requires_grad=True)
    keys = torch.arange(BATCH)
    weights = torch.randn(BATCH, FRAMES, WIDTH)
    (hard,) = torch.autograd.grad((quantize(latents, 0.7, quantize.draw(FRAMES, keys)).values * weights).sum(), latents)
    logits = quantize.projection(latents).view(BATCH, FRAMES, BOOKS, CODES)
    soft = ((logits + gumbel_noise(logits.shape[1:], keys, logits)) / 0.7).softmax(-1)
    (expected,) = torch.autograd.grad((torch.einsum("bmgv,gvd->bmgd", soft, quantize.entries).flatten(2) * weights).sum(), latents)
    torch.testing.assert_close(hard, expected)


def test_codes_are_drawn_by_their_probabilities_at_any_temperature() -> None:
    quantize = quantizer()
    latents = torch.randn(1, 1, SIZE).expand(1, 30_000, SIZE) * 0.3
    for temperature in (2.0, 0.1):
        found = quantize(latents, temperature, quantize.draw(30_000, torch.tensor([4])))
        for book in range(BOOKS):
            counts = found.codes[0, :, book].bincount(minlength=CODES) / 30_000
            torch.testing.assert_close(counts, found.probabilities[0, 0, book].detach(), atol=0.012, rtol=0)


def test_the_draw_belongs_to_the_utterance() -> None:
    quantize = quantizer()
    latents, keys = torch.randn(BATCH, FRAMES, SIZE), torch.tensor([9, 2**62, 3])
    together = quantize(latents, 2.0, quantize.draw(FRAMES, keys))
    for row in range(BATCH):
        assert torch.equal(quantize(latents[row : row + 1], 2.0, quantize.draw(FRAMES, keys[row : row + 1])).codes[0], together.codes[row])
    assert not torch.equal(quantize(latents, 2.0, quantize.draw(FRAMES, keys + 1)).codes, together.codes)
    with pytest.raises(UserError, match="no keys"):
        quantize.draw(FRAMES, None)
    assert quantize.eval().draw(FRAMES, keys) is None


def test_without_noise_the_most_probable_is_chosen_and_taught() -> None:
    quantize = quantizer(noise=False)
    latents = torch.randn(BATCH, FRAMES, SIZE, requires_grad=True)
    found = quantize(latents, 2.0)
    assert torch.equal(found.codes, found.probabilities.argmax(-1))
    found.values.sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0


def test_half_precision_around_it_changes_no_code() -> None:
    quantize = quantizer().eval()
    latents = torch.randn(BATCH, FRAMES, SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        found = quantize(latents, 2.0)
    assert found.values.dtype == torch.float32
    assert torch.equal(found.codes, quantize(latents, 2.0).codes)


def test_perplexity() -> None:
    assert perplexity(torch.full((4,), 0.25)).item() == pytest.approx(4)
    certain = torch.tensor([0.0, 1.0, 0.0], requires_grad=True)
    assert perplexity(certain).item() == pytest.approx(1)
    perplexity(certain).backward()
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_width_must_be_shared_out() -> None:
    with pytest.raises(UserError, match="multiple of 3"):
        GumbelQuantizer(SIZE, 3, CODES, WIDTH)
