"""The table of interval kinds is what everything else says of them."""

import re
from pathlib import Path

import pytest

from analysis.labels import INTERVAL_NAMES
from experiments.estimators.efficient import EfficientScore
from experiments.estimators.profile import Profile
from spmlex import BOOTSTRAP_WEIGHTS, COVARIANCE_KINDS, INTERVAL_KINDS

PAGE = (Path(__file__).parents[2] / "spmlex" / "README.md").read_text()


def rows_of_page():
    """Return centre by kind, as the table of the page has them."""
    table = PAGE.split("| `kind=` |")[1].split("\n\n")[0]
    found, centre = {}, ""
    for line in table.splitlines()[2:]:
        first, second, *_ = line.strip("| ").split(" | ")
        centre = centre if second == "the same" else second
        found |= dict.fromkeys(re.findall("`(\\w+)`", first), centre)
    return found


def test_the_page_has_a_row_for_every_kind():
    words = {"efficient": "root of the efficient score", "maximum": "maximum"}
    expected = {kind: words[row.centre] for kind, row in INTERVAL_KINDS.items()}
    assert rows_of_page() == expected


@pytest.mark.parametrize("kind", INTERVAL_KINDS)
def test_figures_and_tables_call_a_kind_by_its_label(kind):
    assert INTERVAL_NAMES[kind] == INTERVAL_KINDS[kind].label


def test_what_has_a_covariance_has_errors_and_the_recommended_kind_comes_first():
    assert next(iter(INTERVAL_KINDS)) == "efficient"
    assert set(COVARIANCE_KINDS) < set(INTERVAL_KINDS)
    for row in INTERVAL_KINDS.values():
        assert row.has_error or row.covariance is None


def test_every_kind_belongs_to_one_estimator_of_the_studies():
    bootstraps = {f"bootstrap_{weights}" for weights in BOOTSTRAP_WEIGHTS}
    offered = [*EfficientScore.offered, *Profile.offered]
    assert len(offered) == len(set(offered))
    assert set(offered) == set(INTERVAL_KINDS) | bootstraps
