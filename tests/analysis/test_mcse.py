import pytest
from mcse_study import N_STUDIES, compare, measures

TOLERANCE = (
    0.05  # 3.2 standard errors of a spread over 2000 normal values, 1/sqrt(4000)
)
MEASURES = measures()


@pytest.mark.parametrize("label", MEASURES)
def test_error_is_the_spread_of_the_measure_over_studies(label):
    assert N_STUDIES >= 2000
    spread, claimed = compare(MEASURES[label]())
    assert claimed == pytest.approx(spread, rel=TOLERANCE)
