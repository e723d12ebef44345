"""The examples with real data agree with what was published, or found otherwise."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats

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
def test_strikes_have_the_published_weibull():
    """LIMDEP's output in Greene's lecture "Duration Modeling", of log durations.

    There log t is 3.82757279 - 10.4301961 production + 1.05191710 e, and the
    log-likelihood that of log t: -97.39018. Row 36 is 3 days in his data.
    """
    table = strikes.read(FOLDER)
    table[35, 0] = 3.0
    found = strikes.estimate_weibull(table)
    assert found.names == ["log_alpha", "constant", "production"]
    log_alpha, constant, production = np.asarray(found.theta)
    sigma = np.exp(-log_alpha)
    assert sigma == pytest.approx(1.05191710, abs=1e-6)
    assert -constant * sigma == pytest.approx(3.82757279, abs=1e-6)
    assert -production * sigma == pytest.approx(-10.4301961, abs=1e-5)
    days = table[:, 0]
    of_logs = float(found.log_likelihood) + np.log(days[days <= 80.0]).sum()
    assert of_logs == pytest.approx(-97.39018, abs=1e-5)


@pytest.mark.thorough
def test_strikes_have_the_mixture_that_em_finds():
    table = strikes.read(FOLDER)
    mixture, days = strikes.estimate(table), table[:, 0]
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


def fit_normal_probit(outcomes, covariates, n_nodes=32):
    """Return estimates, their errors and the log-likelihood with F normal.

    By Gauss-Hermite quadrature in plain SciPy: an answer that owes nothing to spmlex.

    Args:
        outcomes: True or false, (n_units, n_periods).
        covariates: (n_units, n_periods, k), a constant among them.
        n_nodes: Of the quadrature.
    """
    signs = np.where(outcomes, 1.0, -1.0)[:, :, None]
    nodes, masses = np.polynomial.hermite_e.hermegauss(n_nodes)

    def differentiate(theta):
        index = signs * ((covariates @ theta[:-1])[:, :, None] + theta[-1] * nodes)
        log_each = special.log_ndtr(index)
        joint = np.exp(log_each.sum(axis=1)) * masses / masses.sum()
        likelihood = joint.sum(axis=1)
        slope = signs * np.exp(stats.norm.logpdf(index) - log_each)
        share = joint / likelihood[:, None]
        in_coef = np.einsum("itk,ik,itp->ip", slope, share, covariates, optimize=True)
        in_scale = (slope.sum(axis=1) * share) @ nodes
        return np.log(likelihood), np.column_stack([in_coef, in_scale])

    def minus(theta):
        value, scores = differentiate(theta)
        return -value.sum(), -scores.sum(axis=0)

    start = np.append(np.zeros(covariates.shape[2]), 1.0)
    found = optimize.minimize(minus, start, jac=True, options={"gtol": 1e-3})
    _, scores = differentiate(found.x)
    errors = np.sqrt(np.diagonal(np.linalg.inv(scores.T @ scores)))
    return found.x, errors, -found.fun


@pytest.mark.slow
def test_union_membership_agrees_with_a_normal_unobservable():
    """Not even half a standard error of what is asked hangs on the shape of F.

    The years of marriage, which stand for its correlation with the unobservable and go
    together, move by more.
    """
    found = union.estimate(FOLDER)
    assert found.result == spmlex.RESULTS.successful
    assert found.names == union.COVARIATES
    frame = union.prepare(FOLDER).sort_values(["nr", "year"])
    outcomes = frame["union"].to_numpy().reshape(-1, len(union.YEARS)) > 0
    covariates = frame[union.COVARIATES].assign(constant=1.0).to_numpy(float)
    shape = (*outcomes.shape, covariates.shape[1])
    theta, errors, height = fit_normal_probit(outcomes, covariates.reshape(shape))
    apart = (np.asarray(found.theta) - theta[:-2]) / errors[:-2]
    assert np.abs(apart[:3]).max() < 0.5
    assert np.abs(apart).max() < 1.5
    # F unrestricted, on a grid that holds what the normal one needs, fits better.
    assert height < float(found.log_likelihood) < height + 20.0
    effect = spmlex.average_partial_effects(
        found, "covariates", columns=[0], change=(0.0, 1.0)
    )
    assert 0.1 < float(effect.value[0]) < 0.25
