"""`translate`, `caption`, `transcribe` and `generate` of numbers, trained by several ranks, which are threads here."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from caption.caption_examples import lamps, walkers
from numbers_examples import TINY, wave
from ranks_in_threads import run_ranks
from transcribe.transcribe_examples import numbers as signals
from translate.translate_examples import numbers as pairs

from gatewise.randomness import Generators, built, drawing
from gatewise.ranks import current
from gatewise.tasks import Captioner, Generator, Transcriber, Translator
from gatewise.training.division import Division
from gatewise.training.run import Run

RAGGED = np.random.default_rng(5)
REGULARISED = {"recurrent_dropout": 0.2, "zoneout": 0.1, "weight_dropout": 0.1}

TRANSLATE = {"tokens": "words", "embedding_size": 8, "hidden_size": 8, "epochs": 2, "batch_tokens": 60}
TRANSLATE |= {"learning_rate": 0.01, "split": (0.8, 0.2, 0)}
CAPTION = {"channels": 8, "embedding_size": 8, "hidden_size": 8, "batch_size": 5, "epochs": 2, "learning_rate": 0.01}
CAPTION |= {"dropout": 0.2}
TRANSCRIBE = {"hidden_size": 8, "epochs": 2, "num_layers": 2, "batch_size": 4, "learning_rate": 0.01}


def translated(**options):
    return Translator(**{**TRANSLATE, **options}), pairs(60)


def captioned(data, **options):
    return Captioner(**{**CAPTION, **options}), (data,)


def transcribed(silent=0, **options):
    """Of the first ones nothing is written."""
    x, y = signals(21)
    return Transcriber(**{**TRANSCRIBE, **options}), (x, [""] * silent + y[silent:])


def read(**options):
    """A transcriber of images of lines by a 2-D LSTM."""
    lines = [RAGGED.random((width, 6)).astype(np.float32) for width in range(8, 31)]
    return Transcriber(**{**TRANSCRIBE, "image_hidden_size": 3, **options}), (lines, ["ab"[n % 2] for n in range(23)])


def continued(lengths, **options):
    return Generator(**{**TINY, **options}), ([wave(RAGGED, length) for length in lengths],)


FITS = {
    "translate": translated(),
    "translate, masks of layers": translated(num_layers=2, dropout=0.3, **REGULARISED),
    "translate, scheduled sampling": translated(scheduled_sampling=0.5, dropout=0.2, epochs=1),
    "translate, copying": translated(copy_mechanism=True, shared_vocabulary=True, scheduled_sampling=0.3),
    "translate, no attention or feeding": translated(attention="none", input_feeding=False, dropout=0.2),
    "translate, BLEU": translated(stop_on="bleu", epochs=1),
    "caption": captioned(lamps(23)),
    "caption, clips": captioned(walkers(23)),
    "transcribe": transcribed(dropout=0.3, **REGULARISED),
    "transcribe, augmentation": transcribed(time_mask=0.2, frequency_mask=0.3, time_warp=0.1),
    "transcribe, silence": transcribed(silent=15),
    "transcribe, 2-D LSTM": read(),
    "generate numbers": continued(range(10, 34), activation_penalty=0.1, temporal_activation_penalty=0.1),
    "generate numbers, piece by piece": continued(range(200, 600, 40), split=(0.5, 0.5, 0), epochs=1),
}


def prepared(name):
    """Of an estimator that is fitted, its network and training batches."""
    estimator, data = FITS[name]
    estimator, caught = deepcopy(estimator), []
    estimator.choose_preset(None)
    estimator._fit = lambda prepare, *others: caught.append(prepare()())
    estimator.fit(*data)
    return built(1, caught[0].build).double().train(), caught[0].training


def in_double(batch):
    if isinstance(batch, tuple):
        return batch._make(map(in_double, batch))
    if isinstance(batch, dict):
        return {name: in_double(value) for name, value in batch.items()}
    return batch.double() if isinstance(batch, torch.Tensor) and batch.is_floating_point() else batch


class One:
    """Batches, of which there is one."""

    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return 1

    def at(self, step):
        return self.batch


def learned(module, batch):
    """The loss, its gradients, buffers, and the number that would be drawn next."""
    module, generators = deepcopy(module), Generators(3)
    division = Division(module)
    with drawing(generators):
        loss = division.training_loss(division.training(One(batch), 0))
    loss.backward()
    division.sum_gradients([*module.parameters()])
    loss = division.ranks.sum(loss.detach())
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    return loss, gradients, dict(module.named_buffers()), torch.rand(3, generator=generators.at("cpu"))


@pytest.mark.parametrize("name", FITS)
def test_the_gradient_of_all_ranks_is_that_of_one(name):
    """In double precision but for the losses themselves."""
    module, training = prepared(name)
    batches = sorted((in_double(training.at(step)) for step in range(len(training))), key=lambda b: len(module.work(b)))
    for batch in (batches[0], batches[-1]):
        if "sampling" in batch:
            batch["sampling"] = 0.5 * ("sampling" in name)
        loss, gradients, buffers, drawn = learned(module, batch)
        for size in (2, 3, len(module.work(batch)) + 1):
            for found in run_ranks(size, lambda rank, batch=batch: learned(module, batch)):
                assert torch.allclose(found[0].double(), loss.double(), rtol=1e-5)
                assert torch.equal(found[3], drawn)
                for key, gradient in gradients.items():
                    assert torch.allclose(found[1][key], gradient, rtol=1e-4, atol=1e-6), key
                for key, buffer in buffers.items():
                    assert torch.allclose(found[2][key], buffer, rtol=1e-6), key


@pytest.mark.parametrize("name", FITS)
def test_several_ranks_learn_what_one_does(name):
    """As far as rounding lets them, which the optimiser makes much of where a gradient is small."""
    [alone] = run_ranks(1, lambda rank: fitted(name))
    found = run_ranks(2, lambda rank: fitted(name))
    assert found[0].metrics_ == found[1].metrics_
    for own in found:
        same_losses(own, alone)
        for key, other in own.model_.state_dict().items():
            assert torch.equal(other, found[0].model_.state_dict()[key]), key
            one = alone.model_.state_dict()[key].double()
            assert (other.double() - one).norm() <= 0.01 * one.norm() + 1e-3, key


def fitted(name, **options):
    estimator, data = FITS[name]
    return deepcopy(estimator).fit(*data, **options)


def same_losses(one, other):
    assert one.history_.keys() == other.history_.keys()
    for column, values in other.history_.items():
        if "loss" in column or column == "step":
            assert one.history_[column] == pytest.approx(values, rel=2e-3), column


@pytest.mark.parametrize("name", ["translate, masks of layers", "caption, clips", "transcribe", "generate numbers"])
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3)])
def test_a_training_goes_on_in_other_processes(name, before, after, tmp_path, monkeypatch):
    whole, output, real = fitted(name), tmp_path / "model", Run.training_loss

    def interrupted(run, batch):
        run.interrupts.requested = run.counters.step == 5 and current().rank == before - 1
        return real(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "training_loss", interrupted)
        stopped = run_ranks(before, lambda rank: fitted(name, output=output))
    assert {(own.outcome_.reason, own.outcome_.step) for own in stopped} == {("interrupted", 6)}
    for own in run_ranks(after, lambda rank: fitted(name, output=output, resume=True)):
        same_losses(own, whole)


@pytest.mark.parametrize("name", ["translate, BLEU", "caption", "transcribe", "generate numbers"])
def test_a_training_that_goes_on_from_a_model_is_watched(name, tmp_path):
    first = fitted(name)
    alone = fitted(name, start_from=first)
    found = run_ranks(2, lambda rank: fitted(name, start_from=first, watch=tmp_path / "page.html"))
    assert (tmp_path / "page.html").stat().st_size
    for own in found:
        same_losses(own, alone)


@pytest.mark.parametrize("name", ["translate, copying", "caption", "transcribe", "generate numbers"])
def test_ranks_measure_together_what_one_measures(name, monkeypatch):
    """To the bit, of chunks that are made small here."""
    for path in ("translate.predictor._BATCH", "caption.predictor._BATCH", "generate.numbers.examples.ROWS"):
        monkeypatch.setattr(f"gatewise.tasks.{path}", 4)
    monkeypatch.setattr("gatewise.tasks.transcribe.predictor._BATCH_STEPS", 100)
    model, (data, *y) = fitted(name), FITS[name][1]
    alone = model.evaluate(data, *y)
    for found in run_ranks(3, lambda rank: model.evaluate(data, *y)):
        assert found == alone
