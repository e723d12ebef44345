"""What large samples take is measured in a process of its own."""

import pytest

from experiments.large_data import measure_large


def test_a_measurement_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)--support wrong.*invalid choice"):
        measure_large(300, 20, support="wrong")


@pytest.mark.thorough
def test_a_measurement_has_time_memory_and_certificate():
    row = measure_large(300, 20, one_core=True)
    assert (row["n_obs"], row["n_supp"], row["allowed"]) == (300, 20, 1)
    assert 0 < row["fit_s"] < row["first_s"]
    assert 0.1 < row["peak_GB"] < 10
    assert 0 < row["cores"] < 1.5
    assert row["gap"] < 1e-9
