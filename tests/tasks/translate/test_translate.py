"""Translating: the network against torch's own layers, its parts by hand, and a little language that it learns."""

import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise import bundle, cells
from gatewise.data.paired.pairs import Pairs
from gatewise.data.split import split_at_random
from gatewise.decoding import Decoding
from gatewise.errors import DataError, ModelFileError, OptionError, ShapeError
from gatewise.metrics.text import bleu, signatures, text_scores
from gatewise.tasks import Translator
from gatewise.tasks.attention_decoder import Steps
from gatewise.tasks.translate.baselines import Nearest, first_words, usual_first_words
from gatewise.tasks.translate.evaluation import translated
from gatewise.tasks.translate.network import Fading, TranslationNetwork
from gatewise.tasks.translate.texts import PairBatches, Texts, padded

SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = dict(zip(SPELLED, "0123456789", strict=True))
SMALL = {
    "tokens": "words",
    "embedding_size": 16,
    "hidden_size": 32,
    "epochs": 2,
    "batch_tokens": 100,
    "dropout": 0.0,
    "learning_rate": 0.01,
    "label_smoothing": 0.0,
    "split": (0.8, 0.1, 0.1),
}


def numbers(count, seed=0):
    """Numbers spelled out, and as digits in the other order."""
    draw = random.Random(seed)
    words = [draw.choices(list(DIGITS), k=draw.randint(1, 4)) for _ in range(count)]
    return [" ".join(some) for some in words], [" ".join(DIGITS[word] for word in some[::-1]) for some in words]


@pytest.fixture(scope="module")
def reverser():
    return Translator(**{**SMALL, "epochs": 14}, seed=1).fit(Pairs(*numbers(400)))


# --- the network ------------------------------------------------------------------------------------------------------


def network(attention="multiplicative", input_feeding=False, cell="lstm", layers=1, **options):
    torch.manual_seed(0)
    sizes = {"embedding_size": 6, "hidden_size": 8, "num_layers": layers, "dropout": 0.0, "label_smoothing": 0.0}
    chosen = {"attention": attention, "input_feeding": input_feeding, "copying": False, **sizes, **options}
    ids = (11, 11, True) if chosen["copying"] else (11, 9, False)
    return TranslationNetwork(cells.find(cell), *ids, **chosen).eval()


SOURCES = [np.array([1, 5, 7]), np.array([2]), np.array([10, 3, 3, 4, 0])]
TARGETS = [np.array([4, 2]), np.array([1, 1, 6, 7]), np.array([], np.int64)]


def torch_scores(model, source, inputs, attention):
    """The same with torch's own layers, one pair: log-probabilities (T, V)."""
    encoder = torch.nn.LSTM(6, 4, bidirectional=True)
    encoder.load_state_dict(model.encoder.state_dict())
    decoder = torch.nn.LSTM(6, 8)
    decoder.load_state_dict(model.layers.state_dict())
    y, (h, _) = encoder(6**0.5 * model.source_embedding(torch.from_numpy(source)))
    end = torch.cat([h[0], h[1]])
    first = tuple(torch.tanh(model.start[name](end))[None] for name in "hc")
    q, _ = decoder(6**0.5 * model.embedding(torch.tensor(inputs)), first)
    own = model.attention
    if attention == "additive":
        scores = own.v(torch.tanh(own.W(q)[:, None] + own.U(y)[None]))[..., 0]
    elif attention == "multiplicative":
        scores = q @ own.W.weight @ y.T
    both = q if attention == "none" else torch.cat([scores.softmax(-1) @ y, q], -1)
    put_out = torch.tanh(model.combine(both))
    if model.gate is None:
        return model.output(put_out).log_softmax(-1)
    gate = model.gate(put_out).sigmoid()
    p = gate * model.output(put_out).softmax(-1)
    for place, token in enumerate(source):
        p[:, token] += (1 - gate[:, 0]) * scores.softmax(-1)[:, place]
    return p.log()


def every_log_p(model, batch):
    """Log-probabilities (T, B, V) with the target fed."""
    everywhere = {**batch, "targets": np.zeros_like(batch["targets"])}
    with torch.no_grad():
        return model.forced(everywhere)[0].log_softmax(-1).unflatten(0, batch["targets"].shape)


@pytest.mark.parametrize(
    ("attention", "copying"),
    [("additive", False), ("multiplicative", False), ("none", False), ("additive", True), ("multiplicative", True)],
)
def test_the_network_is_that_of_torchs_layers(attention, copying):
    model = network(attention, copying=copying)
    batch = PairBatches(SOURCES, TARGETS, edge=8, batch_tokens=100).batch(np.arange(3))
    log_p = every_log_p(model, batch)
    total = 0.0
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        want = torch_scores(model, source, [8, *target], attention)
        torch.testing.assert_close(log_p[: len(want), row], want)
        total += torch.nn.functional.nll_loss(want, torch.tensor([*target, 8]), reduction="sum").item()
    nats, count = model.validation_sums(batch)
    assert (nats.item(), count) == (pytest.approx(total, rel=1e-5), 9)


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ["additive", "multiplicative", "none"])
@pytest.mark.parametrize(("cell", "layers"), [("lstm", 2), ("gru", 1), ("slstm", 1), ("mlstm", 1), ("peephole", 1)])
def test_one_token_at_a_time_is_the_same_as_all_at_once(cell, layers, attention, input_feeding):
    model = network(attention, input_feeding, cell, layers, copying=attention == "additive")
    batch = PairBatches(SOURCES, TARGETS, edge=8, batch_tokens=100).batch(np.arange(3))
    want = every_log_p(model, batch)
    steps, parents = Steps(model, padded(SOURCES), width=2), np.arange(3)
    for place in range(2):
        log_p, looked = steps(batch["inputs"][place], parents)
        going = batch["target_lengths"] > place
        np.testing.assert_allclose(log_p[going], want[place, going], atol=2e-6)
        if attention != "none":
            np.testing.assert_allclose(looked.sum(1), 1, rtol=1e-5)
            assert all((row[len(source) :] == 0).all() for row, source in zip(looked, SOURCES, strict=True))
    # The middle row goes on alone, twice, and then in another order with the last.
    log_p, _ = steps(batch["inputs"][2][[1, 1]], np.array([1, 1]))
    np.testing.assert_allclose(log_p, want[2, [1, 1]], atol=2e-6)
    log_p, _ = steps(batch["inputs"][3][[1]], np.array([1]))
    np.testing.assert_allclose(log_p, want[3, [1]], atol=2e-6)
    if attention != "none":
        with pytest.raises(ShapeError, match="3 rows, but at most 2"):
            steps(np.ones(3, int), np.zeros(3, int))


def test_a_decoder_that_is_fed_its_own_tokens_learns_from_the_targets_all_the_same():
    model = network().train()
    batches = Fading(PairBatches(SOURCES, TARGETS, 8, 100), 1.0, 4)
    assert [batches.at(step)["own"] for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    model.training_loss(batches.at(3)).backward()
    assert all(weight.grad is not None for weight in model.parameters())
    torch.manual_seed(1)
    fed = model.training_loss({**batches.at(0), "own": 1e-9}).item()  # the loop of single steps, but never its own
    assert fed == pytest.approx(model.training_loss(batches.at(0)).item(), rel=1e-5)
    assert model.training_loss({**batches.at(0), "own": 1.0}).item() != pytest.approx(fed, rel=1e-3)


def test_what_no_target_held_can_only_be_copied():
    """The first word of two. Those asked for were never first in what is learned from: no target has them."""
    draw = random.Random(0)
    words = [f"w{i}" for i in range(120)]
    sources = [f"{draw.choice(words[20:])} {draw.choice(words)}" for _ in range(800)]
    asked = [f"{word} {draw.choice(words)}" for word in words[:20]]
    right = {}
    for copying in (False, True):
        model = Translator(**{**SMALL, "epochs": 12}, copy_mechanism=copying)
        said = model.fit(sources, [source.split()[0] for source in sources]).predict(asked)
        right[copying] = sum(one == source.split()[0] for one, source in zip(said, asked, strict=True))
    assert right[False] == 0
    assert right[True] >= 15


# --- texts and batches ------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40), st.integers(1, 60))
def test_every_pass_has_every_pair_once(lengths, batch_tokens):
    sources = [np.arange(s) for s, _ in lengths]
    targets = [np.full(t, n) for n, (_, t) in enumerate(lengths)]
    batches = PairBatches(sources, targets, 99, batch_tokens, seed=3)
    for number in range(2):
        seen = []
        for place in range(len(batches)):
            batch = batches.at(number * len(batches) + place)
            assert batch["targets"].size <= max(batch_tokens, len(batch["targets"]))
            for column in range(batch["targets"].shape[1]):
                length = batch["target_lengths"][column]
                target, fed = batch["targets"][:, column], batch["inputs"][:, column]
                assert (fed[0], target[length - 1]) == (99, 99)
                np.testing.assert_array_equal(fed[1:length], target[: length - 1])
                assert (target[length:] == -1).all()
                assert batch["source"].shape[0] >= batch["lengths"][column]
                seen.append((int(batch["lengths"][column]), int(length) - 1))
        assert sorted(seen) == sorted(lengths)


def test_passes_differ_and_a_seed_decides():
    pairs = [np.arange(n % 3) for n in range(60)], [np.full(n % 4, n) for n in range(60)]
    one, other = (PairBatches(*pairs, 99, 20, seed=seed) for seed in (1, 1))
    same = [np.array_equal(one.at(s)["targets"], other.at(s)["targets"]) for s in range(2 * len(one))]
    assert all(same)
    again = [np.array_equal(one.at(s)["targets"], one.at(s + len(one))["targets"]) for s in range(len(one))]
    assert not all(again)


LINES = ["Zwei Männer, 2 Hunde.", "A dog's  life", "naïve 漢字 $5"]


@pytest.mark.parametrize("tokens", ["byte-pairs", "characters"])
def test_texts_come_back_as_they_were(tokens):
    texts = Texts.learn(Pairs(LINES, LINES[::-1]), tokens, True, None, 1)
    assert [texts.text(ids) for ids in texts.targets(LINES)] == LINES
    assert Texts.from_json(texts.to_json()) == texts
    assert "".join(texts.words_of(LINES[0])).strip() == LINES[0]
    assert texts.edge == len(texts.source)


def test_the_first_word_is_the_same_token_as_within_a_sentence():
    texts = Texts.learn(Pairs(["dog dog dog dog"] * 9, ["dog dog dog dog"] * 9), "byte-pairs", True, 300, 1)
    assert len(set(texts.sources(["dog dog"])[0])) == 1


def test_limits_follow_from_the_training_pairs():
    texts = Texts.learn(Pairs(["a b c", "a"], ["x y z w", "x"]), "words", False, None, 1)
    assert (texts.longest, texts.ratio) == (4, pytest.approx(4 / 13))
    assert texts.limits([np.zeros(3), np.zeros(90)]) == [4, 4]
    assert not texts.shared
    assert Texts.from_json(texts.to_json()) == texts


def test_unknown_words_are_copied_from_the_source():
    texts = Texts.learn(Pairs(["one two"], ["eins zwei"]), "words", False, None, 1)
    text = "one Ypsilon two"
    [source] = texts.sources([text])
    ids = np.array([*texts.targets(["eins"])[0], texts.unknown, *texts.targets(["zwei"])[0]])
    assert texts.text(ids, source, text, [-1, 1, -1]) == "eins Ypsilon zwei"
    assert texts.text(ids) == "eins <unk> zwei"


# --- figures ----------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_sacrebleu():
    said, right = ["the cat sat", "a dog ran home"], ["the cat sat down", "a dog ran home"]
    found = text_scores(said, [[text] for text in right])
    assert found["bleu"] == sacrebleu.corpus_bleu(said, [right]).score == bleu(said, [[text] for text in right])
    assert found["chrf"] == sacrebleu.corpus_chrf(said, [right]).score
    assert found["exact_match"] == 0.5
    several = text_scores(said, [[right[0], said[0]], [right[1]]])
    assert several["exact_match"] == 1
    assert several["bleu"] > found["bleu"]
    assert signatures([[text] for text in right])["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|")
    assert signatures([right, right[:1]])["bleu"].startswith("nrefs:2|")


def test_texts_without_four_words_are_not_all_worth_nothing():
    wanted = ["我们下午去公园玩", "他买了一本新书"]
    said, right = ["我们下午去公园走", "他买了一本旧书"], [[text] for text in wanted]
    assert bleu(said, right) == sacrebleu.corpus_bleu(said, [wanted], tokenize="zh").score
    assert 50 < bleu(said, right) < 100
    assert "|eff:no|tok:zh|" in signatures(right)["bleu"]
    assert bleu(["a big dog", "two cats"], [["a big dog"], ["two cats"]]) == pytest.approx(100)
    # 4 of 5 words and 2 of 3 pairs are right, and half of the one row of three, for it is smoothed.
    said, right = ["a big cat", "two cats"], [["a big dog"], ["two cats"]]
    assert bleu(said, right) == pytest.approx(100 * (4 / 5 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert "|eff:yes|tok:13a|" in signatures(right)["bleu"]


def test_sacrebleu_has_no_word_on_texts_cut_into_words(caplog):
    said = ["the dog is here ."] * 100
    assert bleu(said, [[text] for text in said]) == pytest.approx(100)
    assert not caplog.records


def test_the_nearest_source_is_that_of_bm25():
    sources = ["a red dog", "a blue bird sings a song", "the red bird", "a a a"]
    nearest = Nearest(sources, ["0", "1", "2", "3"])
    documents = [text.split() for text in sources]
    mean = np.mean([len(words) for words in documents])

    def score(query, words):
        total = 0.0
        for word in query:
            n = sum(word in other for other in documents)
            rarity = np.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            f = words.count(word)
            total += rarity * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(words) / mean))
        return total

    for query in ("a Red bird", "song of a dog", "a a", "unheard"):
        scores = [score(query.lower().split(), words) for words in documents]
        assert nearest(query) == str(int(np.argmax(scores)))


def test_first_words_are_a_baseline_where_targets_are_much_shorter():
    assert usual_first_words(Pairs(["a b c d e f g"] * 2, ["a b", "a b c"])) == 2
    assert usual_first_words(Pairs(["a b"], ["a b c"])) == 0
    assert first_words("a b c d", 2) == "a b"


# --- the estimator ----------------------------------------------------------------------------------------------------


def test_a_little_language_is_learned(reverser):
    sources, targets = numbers(60, seed=9)
    found = reverser.evaluate(Pairs(sources, targets))
    assert found["all"]["exact_match"] > 0.8
    assert found["all"]["chrf"] > 80 > found["baselines"]["copy"]["chrf"]
    assert reverser.predict(["one two three"]) == ["3 2 1"]
    assert {"train", "validation", "test", "baselines", "signatures"} == set(reverser.metrics_)
    assert reverser.metrics_["baselines"].keys() == {"copy", "nearest"}
    assert reverser.score(sources, targets) == pytest.approx(found["all"]["chrf"])
    assert max(map(len, reverser.report(reverser.metrics_).splitlines())) <= 80


def test_the_training_data_is_cut_as_it_was(reverser):
    assert reverser.evaluate(Pairs(*numbers(400))) == reverser.metrics_


def test_translations_that_must_begin_so(reverser):
    texts = ["one two three", "four five"]
    free = reverser.predict(texts)
    assert reverser.predict(texts, prefixes=["", ""]) == free
    found = reverser.predict(texts, prefixes=["7 7", ""])
    assert found[0].startswith("7 7 ")
    assert found[1] == free[1]
    assert reverser.predict(texts, prefixes=["7  7 ", " "]) == found
    for prefixes, message in (
        (["7"], "2 texts cannot have 1 of prefixes"),
        ("77", "2 texts cannot have one of prefixes"),
        (["", "x 7"], r"prefixes\[1\] holds 'x', which this model never learned to write"),
        (["7", None], r"prefixes\[1\] is None, which is no text"),
    ):
        with pytest.raises(OptionError, match=message):
            reverser.predict(texts, prefixes=prefixes)


def test_beginnings_of_byte_pairs_are_those_of_whole_texts():
    lines = ["the old dog", "the old cat", "the new dog"] * 40
    texts = Texts.learn(Pairs(lines, lines), "byte-pairs", True, None, 1)
    [whole] = texts.targets(["the old dog"])
    none, blank, begun = texts.begun(["", "  ", "the old "])
    assert none == blank == []
    assert begun == whole[: len(begun)].tolist() != []


def test_measured_as_it_is_asked_to_search(reverser):
    pairs = Pairs(*numbers(20, seed=6))
    usual, short = reverser.evaluate(pairs), reverser.evaluate(pairs, decoding=Decoding(max_length=1))
    said = reverser.predict(pairs, decoding=Decoding(max_length=1))
    assert short["all"]["chrf"] == text_scores(said, [[target] for target in pairs.targets])["chrf"]
    assert short["all"]["chrf"] < usual["all"]["chrf"]
    assert short["all"]["loss"] == usual["all"]["loss"]


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("attention", ["additive", "multiplicative", "none"])
def test_together_as_alone_to_the_last_bit(attention, threads):
    torch.set_num_threads(threads)  # the fixture puts it back
    words = [f"w{n}" for n in range(300)]
    draw = random.Random(3)
    lines = [" ".join(draw.choices(words, k=draw.randint(1, 25))) for _ in range(12)]
    texts = Texts.learn(Pairs([*lines, " ".join(words)], [*lines, " ".join(words)]), "words", True, None, 1)
    texts = replace(texts, longest=9)
    torch.manual_seed(0)
    model = TranslationNetwork(cells.find("lstm"), 303, 303, True, 64, 96, 1, attention, False, False, 0.0, 0.0).eval()
    sources = texts.sources(lines)
    for options in (Decoding(n_best=5, coverage_penalty=0.1), Decoding(sampling=True, n_best=2, top_k=20)):
        for source, found in zip(sources, translated(model, texts, sources, options), strict=True):
            [alone] = translated(model, texts, [source], options)
            assert [one.tokens.tolist() for one in alone] == [one.tokens.tolist() for one in found]
            assert [one.score for one in alone] == [one.score for one in found]


def test_saved_and_loaded_it_says_the_same(reverser, tmp_path):
    reverser.save(tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    sources = numbers(20, seed=4)[0]
    assert loaded.predict(sources) == reverser.predict(sources)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_a_file_that_contradicts_itself_is_refused(reverser, tmp_path):
    reverser.save(tmp_path / "model")
    for spoil in (
        lambda document: document["texts"]["source"]["words"].pop(),
        lambda document: document["texts"].pop("longest"),
        lambda document: document["sizes"].update(hidden_size=34),
        lambda document: document["sizes"].update(dropout=2.0),
    ):
        found = bundle.load(tmp_path / "model")
        spoil(found.document)
        bundle.save(tmp_path / "broken", found.document, found.tensors)
        with pytest.raises(ModelFileError, match="contradicts itself"):
            Translator.load(tmp_path / "broken")


def test_products_of_bfloat16_are_judged_by_bleu_as_they_will_translate():
    train, held_out = Pairs(*numbers(80)), Pairs(*numbers(20, seed=1))
    model = Translator(**SMALL, precision="bfloat16", stop_on="bleu").fit(train, validation=held_out)
    found = model.predict(held_out.sources, decoding=Decoding(beam_size=1))
    assert model.outcome_.best_loss == pytest.approx(1 - bleu(found, [[text] for text in held_out.targets]) / 100)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    data = Pairs(*numbers(80))
    options = {**SMALL, "dropout": 0.2, "scheduled_sampling": 0.3, "stop_on": "bleu", "zoneout": 0.1}

    class Stops:
        """Progress that a user interrupts at the fourth step."""

        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step == 4:
                signal.raise_signal(signal.SIGINT)

    whole = Translator(**options).fit(data)
    stopped = Translator(**options).fit(data, output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    assert Translator.load(tmp_path / "model").predict(["one"]) == stopped.predict(["one"])
    resumed = Translator(**options).fit(data, output=tmp_path / "model", resume=True)
    assert resumed.outcome_.reason == "finished"
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name


def test_validation_data_of_its_own_and_targets_beside_texts():
    sources, targets = numbers(60)
    one = Translator(**SMALL).fit(sources, targets, validation=numbers(10, seed=2))
    assert set(one.metrics_) == {"train", "validation", "baselines", "signatures"}
    assert one.metrics_["train"]["pairs"] == 60
    parts = split_at_random(Pairs(sources, targets), (0.8, 0.1, 0.1), 0, "pairs")
    assert [len(part) for part in parts.values()] == [48, 6, 6]
    assert sorted(text for part in parts.values() for text in part.sources) == sorted(sources)


@pytest.mark.parametrize(
    "options",
    [
        {"tokens": "byte-pairs", "vocabulary_size": 300, "shared_vocabulary": False},
        {"tokens": "characters", "attention": "additive", "input_feeding": True, "cell": "gru"},
        {"tokens": None, "attention": "none", "precision": "bfloat16", "num_layers": 2, "recurrent_dropout": 0.1},
    ],
    ids=str,
)
def test_options_are_kept_in_the_file(options, tmp_path):
    one = Translator(**{**SMALL, **options, "epochs": 1}).fit(Pairs(*numbers(30)), output=tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    assert loaded.get_params() == one.get_params()
    assert loaded.predict(["one two"]) == one.predict(["one two"])


def test_tables_of_predictions(reverser):
    [chunk] = reverser.predictions(["one two", "six"])
    assert chunk["predicted"] == ["2 1", "6"]
    assert set(chunk) == {"source", "predicted", "score"}
    [chunk] = reverser.predictions(["one two", "six"], decoding=Decoding(n_best=2))
    assert chunk["text"].tolist() == [0, 0, 1, 1]
    assert chunk["rank"].tolist() == [1, 2, 1, 2]
    assert (np.diff(chunk["score"])[[0, 2]] <= 0).all()
    assert len(list(reverser.predictions(["one"] * 300))) == 2


def test_a_picture_of_attention(reverser, tmp_path):
    reverser.plot(["one two three"], tmp_path / "looked.png")
    assert (tmp_path / "looked.png").read_bytes()[:4] == b"\x89PNG"
    blind = Translator(**{**SMALL, "attention": "none", "epochs": 1}).fit(Pairs(*numbers(30)))
    with pytest.raises(OptionError, match="no attention to draw"):
        blind.plot(["one"], tmp_path / "blind.png")
    with pytest.raises(DataError, match="there is no text whose translation could be drawn"):
        reverser.plot([], tmp_path / "none.png")
    assert [path.name for path in tmp_path.iterdir()] == ["looked.png"]


def test_it_is_an_estimator_of_scikit_learn():
    from sklearn.base import clone

    assert clone(Translator(seed=3, hidden_size=8)).get_params()["hidden_size"] == 8
    with pytest.raises(OptionError, match="learned nothing yet"):
        Translator().predict(["one"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "dot"}, "no attention named 'dot'"),
        ({"tokens": "letters"}, "no kind of tokens named 'letters'"),
        ({"tokens": "characters", "vocabulary_size": 9}, "characters are kept all"),
        ({"tokens": None, "vocabulary_size": 300}, "characters are kept all. Leave it out, or name other tokens"),
        ({"tokens": None, "min_frequency": 9}, "min_frequency is for words and byte-pairs"),
        ({"stop_on": "chrf"}, "no figure to stop on named 'chrf'"),
        ({"precision": "float16"}, "no precision named 'float16'"),
        ({"label_smoothing": 1.0}, "label_smoothing must be a number from 0"),
        ({"scheduled_sampling": -0.1}, "scheduled_sampling must be a number from 0 to 1"),
        ({"batch_tokens": 0}, "batch_tokens must be a whole number"),
        ({"input_feeding": "yes"}, "input_feeding must be true or false"),
        ({"cell": "nocell"}, "no cell named 'nocell'"),
        ({"cell": "lstmp"}, "the cell 'lstmp' needs a proj_size, which is no option here. Take lstm instead"),
        (
            {"cell": "mlstm", "hidden_size": 12},
            "half per direction, and 6 is no multiple of the 4 heads",
        ),
    ],
    ids=str,
)
def test_impossible_options(options, message):
    with pytest.raises(OptionError, match=message):
        Translator(**{**SMALL, **options}).fit(Pairs(*numbers(20)))


def test_data_that_nothing_can_be_learned_from():
    with pytest.raises(DataError, match="leaves none to learn from"):
        Translator(split=(0.1, 0.0, 0.9)).fit(Pairs(["a"], ["b"]))
    with pytest.raises(OptionError, match="as many targets beside it"):
        Translator().fit(["a", "b"])
    with pytest.raises(DataError, match="2 texts, but 1 targets"):
        Translator().fit(["a", "b"], ["c"])
