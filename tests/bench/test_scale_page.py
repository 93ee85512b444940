"""The programs of docs/scale.md give the bits of a plain loop. Spark's are run by hand, see benchmarks/results."""

import pytest

from benchmarks.scale import differences, looped, prepare, programs, scored


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    prepare(folder, pumps=6, steps=40)
    return folder


@pytest.fixture(scope="module")
def wanted(folder):
    return looped(folder)


def test_a_plain_loop_over_files(folder, wanted):
    found, _ = scored(programs()["Plain loop over files"], folder)
    assert differences(found, wanted) == 0


def test_a_difference_is_seen(wanted):
    other = wanted.copy()
    other.iloc[3, 2] += 1e-12
    assert differences(other, wanted) == 1
    assert differences(wanted[1:], wanted) == 2 * len(wanted)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's own use of pandas
def test_dask(folder, wanted):
    pytest.importorskip("dask.dataframe", reason="Dask is not installed")
    found, _ = scored(programs()["Dask"], folder)
    assert differences(found, wanted) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray and of what it imports
@pytest.mark.parametrize("section", ["Ray Data", "Ray actors"])
def test_ray(section, folder, wanted, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found, _ = scored(programs()[section], folder)
    finally:
        ray.shutdown()
    assert differences(found, wanted) == 0
