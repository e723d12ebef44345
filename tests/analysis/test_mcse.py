import pytest
from mcse_study import MEASURES, N_STUDIES, compare, draw

TOLERANCE = (
    0.05  # 3.2 standard errors of a spread over 2000 normal values, 1/sqrt(4000)
)


@pytest.fixture(scope="module")
def studies():
    return draw()


@pytest.mark.parametrize("label", MEASURES)
def test_error_is_the_spread_of_the_measure_over_studies(label, studies):
    assert N_STUDIES >= 2000
    spread, claimed = compare(MEASURES[label](studies))
    assert claimed == pytest.approx(spread, rel=TOLERANCE)
