"""Union membership of young men (Vella and Verbeek 1998): state dependence or not?

A dynamic probit that holds membership in 1980 and marriage in every year, after
Wooldridge (2005, Journal of Applied Econometrics 20): the unobservable is normal there,
and open here. `python -m experiments.examples.union FOLDER` with the folder of
union.csv.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd

import spmlex
from experiments import frames

YEARS = range(1981, 1988)
COVARIATES = [
    *("union_before", "married", "union_1980"),
    *(f"married_{year}" for year in YEARS),
    *("educ", "black"),
    *(f"year_{year}" for year in YEARS if year > 1981),
]


def prepare(folder: Path) -> pd.DataFrame:
    """Return the years from 1981 on, with the year before and the initial condition."""
    frame = pd.read_csv(folder / "union.csv")
    frame["union_before"] = frame.groupby("nr")["union"].shift()
    frame = pd.merge(frame, _in_year(frame, "union", 1980), on="nr")
    for year in YEARS:
        frame = pd.merge(frame, _in_year(frame, "married", year), on="nr")
        frame[f"year_{year}"] = (frame["year"] == year).astype(float)
    return frame.query("year > 1980")


def _in_year(frame: pd.DataFrame, column: str, year: int) -> pd.DataFrame:
    """Return what a column was in a year, by person."""
    there = frame.query(f"year == {year}")
    return there[["nr"]].assign(**{f"{column}_{year}": there[column]})


def estimate(folder: Path) -> spmlex.Fit:
    """Fit the dynamic probit with F open."""
    model, data, _ = frames.panel_binary(
        prepare(folder),
        unit="nr",
        time="year",
        outcome="union",
        covariates=COVARIATES,
        link="probit",
    )
    return spmlex.fit(model, data, jnp.linspace(-6.0, 4.0, 41), starts=())


def main(folder: Path) -> None:
    """Print the fit, and what membership the year before changes on average."""
    found = estimate(folder)
    print(found.summary(kind="sandwich"))
    effect = spmlex.average_partial_effects(
        found, "covariates", columns=["union_before"], change=(0.0, 1.0)
    )
    print(effect)
    print("members by man:", np.round(found.posterior().mean()[:5], 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
