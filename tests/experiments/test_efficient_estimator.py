"""The efficient score in a study: its choices, and that open intervals are kept."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr
from jax.scipy.stats import norm
from jaxtyping import Array, Float
from study_helpers import call, sweep

import spmlex
from experiments.covariates import NormalCovariates
from experiments.estimators import EfficientScore
from experiments.fields import as_float

DGP = "linear_factor_discrete"


class Shift(eqx.Module):
    """An outcome that is normal around covariates times coefficients plus v."""

    coef: Float[Array, " k"] = eqx.field(converter=as_float)

    def simulate(self, data, *, rng):
        mean = data["covariates"][:, 0] @ self.coef + data["latent"]
        outcomes = mean + jr.normal(rng, mean.shape)
        return {"outcomes": outcomes, "covariates": data["covariates"]}

    def lclk(self, data, supp):
        mean = data["covariates"][:, 0] @ self.coef
        return norm.logpdf((data["outcomes"] - mean)[:, None] - supp)

    def starting_values(self, data):
        return Shift(jnp.full(data["covariates"].shape[2], 0.4))


class Ones(NormalCovariates):
    """Covariates without any variation: no coefficient is identified."""

    def simulate(self, latent, *, rng):
        shape = (latent.shape[0], self.n_periods, self.n_covariates)
        return {"covariates": jnp.ones(shape)}


@pytest.mark.thorough
def test_intervals_are_those_asked_for():
    rng = jr.key(1)
    data = {"covariates": jr.normal(rng, (120, 1, 1)), "latent": jnp.zeros(120)}
    model, supp = Shift([0.5]), jnp.linspace(-4.0, 4.0, 20)
    data = model.simulate(data, rng=jr.key(2))
    estimator = EfficientScore(intervals=["efficient_wald", "efficient"], level=0.9)
    erased = Shift([jnp.nan])
    found = jax.jit(lambda data: estimator.estimate(erased, data, supp))(data)
    right = spmlex.efficient_estimate(model, data, supp)
    assert estimator.default_kind == "efficient_wald"
    assert found.code == 0
    np.testing.assert_allclose(found.estimate, right.theta, atol=1e-6)
    limits = [right.wald_limits(0.9), right.score_limits(0.9)]
    for number, (lower, upper) in enumerate(limits):
        np.testing.assert_allclose(found.lower[number], lower, atol=1e-5)
        np.testing.assert_allclose(found.upper[number], upper, atol=1e-5)
    mixture = np.exp(right.model.lclk(data, supp)) @ right.probs
    expected = np.log(mixture).sum()
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-6)


@pytest.mark.thorough
def test_a_study_keeps_open_intervals_and_counts_them(tmp_path):
    code, text = call(
        "sweep",
        f"results_dir={tmp_path}",
        *("study=tiny", "dgp=poisson_discrete", "estimator=efficient", "grid=uniform"),
        "dgp.poisson_discrete.truth._target_=test_efficient_estimator.Shift",
        "dgp.poisson_discrete.truth.coef=[0.5]",
        "~dgp.poisson_discrete.symbol",
        "dgp.poisson_discrete.covariates._target_=test_efficient_estimator.Ones",
        "dgp.poisson_discrete.covariates.n_covariates=1",
        *("sample_size=[80]", "n_supp=[20]", "n_replications=3", "block_size=3"),
        "compute.n_workers=1",
    )
    assert code == 0, text
    with xr.open_datatree(tmp_path / "tiny" / "replications.nc") as tree:
        data = tree["poisson_discrete"].to_dataset().squeeze().load()
    assert list(data["kind"].values) == ["efficient", "efficient_wald"]
    assert (data["lower"] == -np.inf).all()
    assert (data["upper"] == np.inf).all()
    with xr.open_datatree(tmp_path / "tiny" / "summary.nc") as tree:
        summary = tree["poisson_discrete"].to_dataset().squeeze().load()
    assert (summary["open_share"] == 1).all()
    assert (summary["coverage_of_attempted"] == 1).all()


def test_tables_say_how_many_intervals_are_open(tmp_path):
    chosen = "estimator.profile._target_=study_helpers.Open"
    code, text = sweep(tmp_path, chosen, "sample_size=[20]", "n_supp=[4]")
    assert code == 0, text
    with xr.open_datatree(tmp_path / "tiny" / "summary.nc") as tree:
        summary = tree[DGP].to_dataset().squeeze().load()
    inverted = summary.sel(kind="observed", parameter="coef[0]")
    assert inverted["open_share"] == 1
    assert inverted["median_width"] == np.inf
    assert np.isnan(inverted["interval_width"])
    table = (tmp_path / "tiny" / "tables" / DGP / "intervals.md").read_text()
    for words in ("Median width", "Open"):
        assert words in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intervals": ["sandwich"]}, r"intervals=\['sandwich'\]"),
        ({"intervals": []}, "give at least one"),
        ({"n_draws": 1}, "n_draws=1"),
        ({"solver": "newton"}, "solver='newton'"),
    ],
)
def test_wrong_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EfficientScore(**options)
