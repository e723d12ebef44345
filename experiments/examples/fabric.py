"""Faults in rolls of fabric (Hinde 1982): Poisson counts, the intercept's F open.

`python -m experiments.examples.fabric FOLDER` with the folder of fabric.csv.
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import spmlex


class Faults(eqx.Module):
    """Counts with mean `exp(slope log length + v)`."""

    slope: jax.Array

    def lclk(self, data: dict[str, jax.Array], supp: jax.Array) -> jax.Array:
        """Return the log-probability of each roll at each support point."""
        index = (self.slope * data["log_length"])[:, None] + supp
        count = data["faults"][:, None]
        return count * index - jnp.exp(index) - jax.scipy.special.gammaln(count + 1)

    def simulate(
        self, data: dict[str, jax.Array], *, rng: jax.Array
    ) -> dict[str, jax.Array]:
        """Draw counts given the unobservable."""
        mean = jnp.exp(self.slope * data["log_length"] + data["latent"])
        return {"faults": jax.random.poisson(rng, mean).astype(float)}


def estimate(folder: Path) -> spmlex.Fit:
    """Fit the model; its two atoms are where no distribution gains anything."""
    table = np.loadtxt(folder / "fabric.csv", delimiter=",", skiprows=1)
    data = {"faults": table[:, 1], "log_length": table[:, 2]}
    supp = jnp.linspace(-6.0, 0.0, 61)
    return spmlex.fit(Faults(jnp.array(1.0)), data, supp, support="free")


def main(folder: Path) -> None:
    """Print the fit, its F, and how many points criteria choose."""
    found = estimate(folder)
    print(found.summary(kind="observed"))
    print(found.mixing)
    print("points by BIC:", spmlex.count_points(found, 3).best("bic"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
