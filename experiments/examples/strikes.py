"""Contract strikes (Kennan 1985): one spell each, Weibull or a mixture of exponentials.

`python -m experiments.examples.strikes FOLDER` with the folder of strikes.csv, whose
row 36 lasts 2 days, as with Kennan; Greene's textbook has 3.
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import spmlex
from experiments.models.duration import WeibullHazard


class Spells(eqx.Module):
    """Durations with hazard `alpha t^(alpha - 1) exp(v)`, all of them complete."""

    log_alpha: jax.Array

    def lclk(self, data: dict[str, jax.Array], supp: jax.Array) -> jax.Array:
        """Return the log-density of each spell at each support point."""
        alpha, log_time = jnp.exp(self.log_alpha), jnp.log(data["days"])[:, None]
        log_hazard = self.log_alpha + (alpha - 1.0) * log_time + supp
        return log_hazard - jnp.exp(alpha * log_time + supp)

    def simulate(
        self, data: dict[str, jax.Array], *, rng: jax.Array
    ) -> dict[str, jax.Array]:
        """Draw durations given the unobservable."""
        hazard = jax.random.exponential(rng, data["days"].shape)
        log_time = (jnp.log(hazard) - data["latent"]) * jnp.exp(-self.log_alpha)
        return {"days": jnp.exp(log_time)}


def read(folder: Path) -> np.ndarray:
    """Return days and unanticipated industrial production, a row for each strike."""
    return np.loadtxt(folder / "strikes.csv", delimiter=",", skiprows=1)


def estimate(table: np.ndarray) -> spmlex.Fit:
    """Fit F alone: exponential spells, their rates open.

    From single spells alpha is identified by the tail of F only, and not with it open.
    """
    return spmlex.fit(
        Spells(jnp.array(0.0)),
        {"days": table[:, 0]},
        jnp.linspace(-7.0, 0.0, 71),
        support="free",
        starts=(),
        fixed=lambda model: model.log_alpha,
    )


def estimate_weibull(table: np.ndarray) -> spmlex.Fit:
    """Fit a Weibull hazard given production, the same for all: F is one point.

    Strikes are followed for 80 days, as in Greene's lectures. The grid is the point
    zero, so that a constant among the covariates can take its place.
    """
    days, production = table.T
    data = {
        "outcomes": np.minimum(days, 80.0)[:, None],
        "ended": (days <= 80.0)[:, None],
        "covariates": np.column_stack([np.ones_like(days), production])[:, None],
    }
    labels = (("coef", ("constant", "production")),)
    start = WeibullHazard(0.0, jnp.array([-3.5, 0.0]), labels=labels)
    return spmlex.fit(start, data, jnp.zeros(1), starts=())


def main(folder: Path) -> None:
    """Print both, and whether rates differ where duration does not matter."""
    table = read(folder)
    print(estimate_weibull(table).summary())
    mixture = estimate(table)
    print(mixture.summary())
    print(spmlex.mixing_test(mixture, "one_point", n_draws=99).p_value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
