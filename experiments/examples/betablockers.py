"""Beta blockers after a heart attack (Yusuf et al. 1985): 22 centres, a common effect.

`python -m experiments.examples.betablockers FOLDER` with the folder of
betablockers.csv.
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import spmlex


class CentreDeaths(eqx.Module):
    """Deaths of two arms, their log-odds `effect treated + v`; no binomial constant."""

    effect: jax.Array

    def lclk(self, data: dict[str, jax.Array], supp: jax.Array) -> jax.Array:
        """Return the log-probability of each centre at each support point."""
        log_odds = self.effect * data["treated"][:, :, None] + supp
        deaths, patients = data["deaths"][:, :, None], data["patients"][:, :, None]
        return (deaths * log_odds - patients * jax.nn.softplus(log_odds)).sum(axis=1)


def risk(model: CentreDeaths, data: dict[str, jax.Array], supp: jax.Array) -> jax.Array:
    """Return the probability of death in each arm, (n_obs, n_supp, 2)."""
    index = model.effect * data["treated"][:, None, :] + supp[:, None]
    return jax.nn.sigmoid(index)


def estimate(folder: Path) -> spmlex.Fit:
    """Fit the model, its atoms free to move."""
    table = np.loadtxt(folder / "betablockers.csv", delimiter=",", skiprows=1)
    _, deaths, patients, treated = table.T.reshape(4, 22, 2)
    data = {"deaths": deaths, "patients": patients, "treated": treated}
    start = CentreDeaths(jnp.array(0.0))
    return spmlex.fit(start, data, jnp.linspace(-4.0, 0.0, 101), support="free")


def main(folder: Path) -> None:
    """Print the fit, what treatment changes, and how ill each centre's patients are."""
    found = estimate(folder)
    print(found.summary(kind="observed"))
    change = (0.0, 1.0)
    effect = spmlex.average_partial_effects(found, "treated", risk, change=change)
    print("deaths per patient:", effect.value, "+-", effect.standard_errors)
    print("log-odds by centre:", np.round(found.posterior().mean(), 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
