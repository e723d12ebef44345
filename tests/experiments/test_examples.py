"""The examples with real data agree with what was published, or found otherwise."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import spmlex
from experiments.examples import betablockers, fabric, strikes, union

FOLDER = Path(__file__).parents[1] / "data"


@pytest.mark.thorough
def test_fabric_has_the_published_slope_and_two_points(capsys):
    found = fabric.estimate(FOLDER)
    assert -2 * float(found.log_likelihood) == pytest.approx(172.66217, abs=1e-4)
    assert float(found.theta[0]) == pytest.approx(0.79914, abs=1e-5)
    error = found.standard_errors("observed").slope
    assert float(error) == pytest.approx(0.235, abs=5e-4)
    mixing = found.mixing
    assert np.asarray(mixing.support) == pytest.approx([-3.12807, -2.36213], abs=1e-4)
    assert np.asarray(mixing.masses) == pytest.approx([0.7974, 0.2026], abs=1e-4)
    counted = spmlex.count_points(found, 3)
    # One point is Poisson regression: the deviance published for it.
    assert -2 * counted.log_likelihood[0] == pytest.approx(187.8353, abs=1e-3)
    assert counted.theta[0, 0] == pytest.approx(0.99691, abs=1e-4)
    assert -2 * counted.log_likelihood[1] == pytest.approx(172.66217, abs=1e-4)
    # No third point adds anything.
    assert len(counted.num_points) == 2
    fabric.main(FOLDER)
    assert "points by BIC: 2" in capsys.readouterr().out


@pytest.mark.thorough
def test_beta_blockers_have_the_published_effect(capsys):
    found = betablockers.estimate(FOLDER)
    assert float(found.theta[0]) == pytest.approx(-0.2597685, rel=1e-6)
    data = found.evidence.given.data
    risks = [
        spmlex.predict(
            found, betablockers.risk, data | {"treated": jnp.full((22, 2), arm)}
        )
        for arm in (0.0, 1.0)
    ]
    apart = risks[1].value - risks[0].value
    effect = spmlex.average_partial_effects(
        found, "treated", betablockers.risk, change=(0.0, 1.0)
    )
    assert float(effect.value[0]) == pytest.approx(float(apart.mean()), abs=1e-12)
    betablockers.main(FOLDER)
    assert "-0.25977    0.04989" in capsys.readouterr().out


@pytest.mark.thorough
def test_strikes_have_the_published_weibull_and_the_mixture_that_em_finds():
    one = strikes.estimate_weibull(FOLDER)
    alpha, rate = np.exp(np.asarray(one.theta))
    # Greene, "Econometric Analysis", on these data: p = 0.92083, lambda = 0.02439.
    assert alpha == pytest.approx(0.92083, abs=1e-4)
    assert rate ** (1 / alpha) == pytest.approx(0.02439, abs=1e-5)
    mixture = strikes.estimate(FOLDER)
    days = np.loadtxt(FOLDER / "strikes.csv", delimiter=",", skiprows=1)[:, 0]
    rates, masses = np.array([0.02, 0.3]), np.array([0.8, 0.2])
    for _ in range(4000):
        joint = masses * rates * np.exp(-days[:, None] * rates)
        share = joint / joint.sum(axis=1, keepdims=True)
        masses, rates = share.mean(axis=0), share.sum(axis=0) / (days @ share)
    height = np.log(joint.sum(axis=1)).sum()
    assert float(mixture.log_likelihood) >= height - 1e-6
    assert mixture.certificate is not None
    assert bool(mixture.certificate.is_proof)
    assert float(mixture.log_likelihood) == pytest.approx(height, abs=0.05)


@pytest.mark.slow
def test_union_membership_agrees_with_wooldridge():
    """Table I of Wooldridge (2005), F normal there: 0.875, 0.168 and 1.514."""
    found = union.estimate(FOLDER)
    assert found.result == spmlex.RESULTS.successful
    published = {"union_before": (0.875, 0.094), "married": (0.168, 0.111)}
    published["union_1980"] = (1.514, 0.158)
    for name, (value, error) in published.items():
        estimate = float(found.theta[union.COVARIATES.index(name)])
        assert abs(estimate - value) < 0.5 * error, name
    effect = spmlex.average_partial_effects(
        found, "covariates", columns=[0], change=(0.0, 1.0)
    )
    assert 0.1 < float(effect.value[0]) < 0.25
