"""Texts of scores, with a language model and without."""

import numpy as np
import pytest
import torch
from transcribe_examples import numbers

from gatewise.decoding import CTCDecoding
from gatewise.errors import OptionError
from gatewise.tasks.transcribe.decoder import CharacterPrior, Decoder


def test_a_language_model_tells_what_comes_next(trained):
    prior = CharacterPrior(trained.writer(), "cekp")
    state = prior.start()
    for character in "pec":
        state = prior.after(state, "cekp".index(character) + 1)
    vocabulary = trained.vocabulary_
    with torch.no_grad():
        wanted = trained.model_(torch.from_numpy(vocabulary.encode("\npec"))[:, None])[0][-1, 0].log_softmax(-1)
    np.testing.assert_allclose(prior.scores(state)[1:], wanted[vocabulary.encode("cekp")], atol=1e-4)
    assert prior.end(state) == pytest.approx(float(wanted[int(vocabulary.encode("\n")[0])]), abs=1e-4)


def test_a_language_model_decides_what_is_not_heard(trained):
    heard = [[0.02, 0.01, 0.01, 0.01, 0.95], [0.02, 0.01, 0.95, 0.01, 0.01], [0.02, 0.95, 0.01, 0.01, 0.01]]
    p = np.log([*heard, [0.02, 0.01, 0.46, 0.42, 0.09]])  # "pece" a little before "peck"
    plain = Decoder(CTCDecoding(beam_size=8), "cekp")
    assert plain.text(plain.labels(p)) == "pece"
    for model in (trained, trained.writer()):
        fused = Decoder(CTCDecoding(beam_size=8, language_model=model), "cekp")
        assert fused.text(fused.labels(p)) == "peck"


def test_how_to_search_reaches_the_search(reader, model_file):
    x, texts = numbers(10, seed=8)
    silent = CTCDecoding(beam_size=4, language_model=model_file, language_weight=0.0)
    beam = reader.evaluate(x, texts, decoding=CTCDecoding(beam_size=4))
    assert reader.evaluate(x, texts, decoding=silent)["all"] == beam["all"]
    longer = reader.predict(x, decoding=CTCDecoding(beam_size=4, length_bonus=20.0))
    assert sum(map(len, longer)) > sum(map(len, reader.predict(x)))


def test_a_language_model_must_know_the_characters(trained):
    with pytest.raises(OptionError, match="the language model never saw 'z', which this model transcribes"):
        CharacterPrior(trained.writer(), "az")
    for options, message in (
        ({"beam_size": 0}, "beam_size must be a whole number, 1 or more, not 0"),
        ({"language_weight": "much"}, "language_weight must be a number, not 'much'"),
        ({"language_weight": 0.3}, "the weight of a language model. Give language_model too"),
        ({"length_bonus": 9.0}, r"length_bonus is 9, but without a beam no texts are compared\. Raise beam_size"),
    ):
        with pytest.raises(OptionError, match=message):
            CTCDecoding(**options)
    with pytest.raises(OptionError, match="language_model must be a model of generate or its file, not 5"):
        Decoder(CTCDecoding(language_model=5), "a")
