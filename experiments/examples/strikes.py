"""Contract strikes (Kennan 1985): one spell each, Weibull or a mixture of exponentials.

`python -m experiments.examples.strikes FOLDER` with the folder of strikes.csv.
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import spmlex


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


def estimate(folder: Path) -> spmlex.Fit:
    """Fit F alone: exponential spells, their rates open.

    From single spells alpha is identified by the tail of F only, and not with it open.
    """
    days = np.loadtxt(folder / "strikes.csv", delimiter=",", skiprows=1)[:, 0]
    supp = jnp.linspace(-7.0, 0.0, 71)
    start = Spells(jnp.array(0.0))
    return spmlex.fit(
        start,
        {"days": days},
        supp,
        support="free",
        starts=(),
        fixed=lambda model: model.log_alpha,
    )


def estimate_weibull(folder: Path) -> spmlex.Fit:
    """Fit one Weibull distribution for all: the rate is the one atom of F."""
    free = estimate(folder)
    given = free.evidence.given
    assert isinstance(given.model, Spells)

    class Weibull(Spells):
        rate: jax.Array

        def lclk(self, data: dict[str, jax.Array], supp: jax.Array) -> jax.Array:
            return Spells.lclk(self, data, self.rate[None])

    start = Weibull(jnp.array(0.0), jnp.array(-3.5))
    return spmlex.fit(start, given.data, jnp.zeros(1))


def main(folder: Path) -> None:
    """Print both, and whether rates differ where duration does not matter."""
    print(estimate_weibull(folder).summary())
    mixture = estimate(folder)
    print(mixture.summary())
    print(spmlex.mixing_test(mixture, "one_point", n_draws=99).p_value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
