"""An estimator that has learned nothing says so, whatever is asked of it."""

import copy
import inspect
import pickle

import pytest

import gatewise
from gatewise.errors import NotFittedError
from gatewise.tasks import (
    Captioner,
    Classifier,
    Detector,
    Forecaster,
    Generator,
    Sequential,
    Tagger,
    Transcriber,
    Translator,
)

ESTIMATORS = [Captioner, Classifier, Detector, Forecaster, Generator, Sequential, Tagger, Transcriber, Translator]
# Of options alone, or what learns.
NEED_NOTHING = {
    *("fit", "fit_predict", "load", "get_params", "set_params", "check", "check_values", "check_kind", "find_cell"),
    *("plain_options", "data_at", "opened", "report", "reads_numbers", "csv_format", "rate_or", "begun", "of"),
    *("choose_preset", "sized_as", "fit_as"),
}
GIVEN = {"texts": ["a"], "data": [[1.0, 2.0]], "path": "model.gatewise", "picture": "picture.png", "metrics": {}}


def asked():
    for kind in ESTIMATORS:
        for name in dir(kind):
            found = inspect.getattr_static(kind, name)
            if (
                not name.startswith("_")
                and name not in NEED_NOTHING
                and (callable(found) or isinstance(found, property))
            ):
                yield pytest.param(kind, name, id=f"{kind.__name__}.{name}")


def test_every_estimator_is_here():
    public = [getattr(gatewise, name) for name in gatewise.__all__]
    assert set(ESTIMATORS) == {p for p in public if inspect.isclass(p) and hasattr(p, "fit")}


@pytest.mark.parametrize(("kind", "name"), list(asked()))
def test_it_says_that_it_has_learned_nothing(kind, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def ask():
        found = getattr(kind(), name)
        found(*(GIVEN[p.name] for p in inspect.signature(found).parameters.values() if p.default is p.empty))

    with pytest.raises(NotFittedError, match="has learned nothing yet") as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_attributes_of_fit_are_not_there(kind):
    for name in ("model_", "metrics_", "classes_", "n_features_in_"):
        assert not hasattr(kind(), name)
        with pytest.raises(NotFittedError, match="has learned nothing yet"):
            getattr(kind(), name)
    with pytest.raises(AttributeError, match="no attribute 'wrong'"):
        _ = kind().wrong
    assert vars(copy.deepcopy(kind(seed=3))) == vars(pickle.loads(pickle.dumps(kind(seed=3)))) == vars(kind(seed=3))
