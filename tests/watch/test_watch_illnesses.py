"""Each illness is caused, found, and cured by what is advised."""

import pytest
from watched import Net, first_of, learn, noise, rare_and_large, sums, tokens, waves


def language(cell="lstm", units=32):
    return Net(cell, 12, units, 12, every_step=True)


@pytest.mark.slow
def test_a_rate_that_is_a_hundred_times_too_high_sticks_the_gates(tmp_path):
    ill = learn(tmp_path / "ill", language(), tokens(), steps=240, learning_rate=1.0)
    assert list(ill.advice) == ["stuck"]
    rate = ill.advice["stuck"].figures["lower"]
    cured = learn(tmp_path / "cured", language(), tokens(), steps=240, learning_rate=rate)
    assert cured.advice == {}
    assert cured.outcome.best_loss < ill.outcome.best_loss - 0.05


def test_a_rate_that_is_a_hundred_times_too_low_teaches_the_gates_nothing(tmp_path):
    ill = learn(tmp_path / "ill", language(), tokens(), steps=200, learning_rate=1e-4)
    assert next(iter(ill.advice)) == "unmoved"
    rate = ill.advice["unmoved"].figures["higher"]
    cured = learn(tmp_path / "cured", language(), tokens(), steps=200, learning_rate=rate)
    assert "unmoved" not in cured.advice
    assert cured.outcome.best_loss < ill.outcome.best_loss - 0.05


def test_a_limit_of_a_hundredth_decides_the_steps(tmp_path):
    def run(name, clip):
        net = Net("lstm", 2, 16, 1)
        return learn(tmp_path / name, net, rare_and_large(), steps=300, clip=clip, batches=100, validation=30)

    ill = run("ill", 0.01)
    assert next(iter(ill.advice)) == "clipped"
    cured = run("cured", ill.advice["clipped"].figures["enough"])
    assert "clipped" not in cured.advice
    assert cured.outcome.best_loss < ill.outcome.best_loss - 0.03


@pytest.mark.slow
def test_shut_forget_gates_do_not_reach_the_first_symbol(tmp_path):
    def run(name, forget_bias):
        net = Net("lstm", 8, 32, 8, forget_bias=forget_bias)
        return learn(tmp_path / name, net, first_of(20), steps=250, batches=300)

    ill = run("ill", -3.0)
    assert next(iter(ill.advice)) == "beyond"
    assert ill.advice["beyond"].figures["lag"] == 19
    cured = run("cured", 3.0)
    assert cured.advice == {}
    assert cured.outcome.best_loss < 0.1 < 1.9 < ill.outcome.best_loss


@pytest.mark.slow
def test_too_short_a_training_says_the_mean(tmp_path):
    ill = learn(tmp_path / "ill", Net("lstm", 2, 32, 1), sums(), steps=40, batches=200)
    assert list(ill.advice) == ["flat"]
    cured = learn(tmp_path / "cured", Net("lstm", 2, 32, 1), sums(), steps=800, batches=200)
    assert cured.advice == {}
    assert cured.outcome.best_loss < ill.outcome.best_loss / 10


@pytest.mark.slow
def test_noise_says_the_mean_and_nothing_helps(tmp_path):
    """As the advice says: the best that there is, the variance of the noise, is what the plain mean has too."""
    for steps in (100, 400):
        run = learn(tmp_path / str(steps), Net("lstm", 4, 32, 1), noise(), steps=steps, learning_rate=3e-3, batches=400)
        assert list(run.advice) == ["flat"]
        assert run.outcome.best_loss > 0.95


def test_rectified_units_die_of_a_high_rate(tmp_path):
    ill = learn(tmp_path / "ill", language("rnn_relu", 64), tokens(20), steps=200, learning_rate=0.3, clip=0.1)
    assert next(iter(ill.advice)) == "zero"
    rate = ill.advice["zero"].figures["lower"]
    cured = learn(tmp_path / "cured", language("rnn_relu", 64), tokens(20), steps=200, learning_rate=rate, clip=0.1)
    assert "zero" not in cured.advice
    assert cured.outcome.best_loss < ill.outcome.best_loss - 0.05


@pytest.mark.slow
def test_sixteen_times_the_width_does_nothing_more(tmp_path):
    def run(name, units):
        net = Net("lstm", 1, units, 1, every_step=True)
        return learn(tmp_path / name, net, waves(), steps=120, learning_rate=3e-3)

    ill = run("ill", 256)
    assert list(ill.advice) == ["idle"]
    enough = ill.advice["idle"].figures["enough"]
    assert enough <= 0.7 * 256
    cured = run("cured", enough)
    assert cured.outcome.best_loss < ill.outcome.best_loss + 0.02 * 0.5  # of the variance that there is to explain


def test_twenty_rows_are_learned_by_heart(tmp_path):
    ill = learn(tmp_path / "ill", language(units=64), tokens(30, 20), steps=200, batches=1)
    assert list(ill.advice) == ["apart"]
    cured = learn(tmp_path / "cured", language(units=64), tokens(30, 20), steps=200, batches=50)  # more data
    assert cured.advice == {}
    assert cured.outcome.best_loss < ill.outcome.best_loss - 0.3
