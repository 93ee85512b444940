"""What a finished run says of a longer one."""

import pytest

from gatewise.training.outlook import GAINS, outlook

STEPS = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_it_follows_what_the_second_half_gained():
    losses = [5.0, 4.0, 3.5, 3.2, 3.0, 2.9, 2.8, 2.7, 2.6, 2.5]
    said = outlook(STEPS, losses, 100)
    least, likely, most = (2.5 * (2.5 / 3.0) ** share for share in GAINS)
    assert f"from 2.5 to about {likely:.4g};" in said
    assert f"between {most:.4g} and {least:.4g}." in said


def test_a_flat_end_is_called_so():
    losses = [5.0, 4.0, 3.0, 2.5, 2.0, 2.2, 2.1, 2.3, 2.2, 2.4]
    assert "No validation was better since step 50 of 100" in outlook(STEPS, losses, 100)


@pytest.mark.parametrize(
    ("steps", "losses"),
    [
        ([25, 50, 75, 100], [4.0, 3.0, 2.0, 1.0]),
        (STEPS, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]),
        ([60, 70, 80, 90, 100], [5.0, 4.0, 3.0, 2.0, 1.0]),
        (STEPS, [5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -1.5]),
        (STEPS, [5.0, 3.0, 2.0, 1.02, 1.01, 1.01, 1.01, 1.0, 1.0, 0.99]),
        ([], []),
    ],
    ids=["few validations", "nothing was learned", "no validation in the first half", "a density", "noise", "none"],
)
def test_a_curve_that_says_too_little_says_nothing(steps, losses):
    assert outlook(steps, losses, 100) == ""
