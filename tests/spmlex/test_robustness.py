"""More than 500 random and nasty problems: certified, or a code that says why."""

import pytest
from hard_problems import count_outcomes


@pytest.mark.slow
def test_every_hard_problem_ends_certified_or_says_why():
    counts = count_outcomes(seeds=4)
    assert sum(row["solved"] for row in counts.values()) >= 500
    for kind, row in counts.items():
        assert row["not_finite"] == 0
        if kind == "a row without likelihood":
            assert row["zero_likelihood"] == row["solved"]
        else:
            assert row.get("successful", 0) == row["solved"], kind
