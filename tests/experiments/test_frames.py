"""The models on a user's own data frame: what comes out of it, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import spmlex
from experiments import frames
from experiments.models.duration import WeibullHazard
from experiments.models.learning import Learning
from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary
from experiments.models.poisson import MixedPoisson
from experiments.models.replacement import Replacement

N_UNITS, N_PERIODS = 40, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_UNITS, N_PERIODS, 2))
LATENT = RNG.choice([-0.7, 0.7], N_UNITS)
TRUTHS = {
    "panel_binary": PanelBinary([0.5, -0.5]),
    "poisson": MixedPoisson([0.5, -0.5]),
    "duration": WeibullHazard(0.2, [0.5, -0.5], censored_at=3.0),
    "linear_factor": LinearFactor([1.2, 0.8], [0.0, 0.1, -0.1]),
    "learning": Learning(
        [0.0] * 3, [0.1, 0.2], [0.5], [1.2, 0.8], 0.5, 0.0, [0.0, 0.0], [0.0, 1.0, 0.5]
    ),
}
DRAWN = {
    name: truth.simulate(
        {"latent": jnp.asarray(LATENT), "covariates": jnp.asarray(X)},
        rng=jax.random.key(1),
    )
    for name, truth in TRUTHS.items()
}


def make_frame(drawn, **columns):
    """Return a long frame of what a model drew, its rows in no order."""
    unit, time = np.divmod(np.arange(N_UNITS * N_PERIODS), N_PERIODS)
    frame = pd.DataFrame({"id": unit + 100, "year": time + 1990})
    for column, name in columns.items():
        frame[column] = np.asarray(drawn[name]).reshape(-1)
    if "covariates" in drawn:
        frame[["a", "b"]] = X.reshape(-1, 2)
    return frame.sample(frac=1.0, random_state=0)


WHERE = {"unit": "id", "time": "year"}
COVARIATES = {"covariates": ["a", "b"]}
CALLS = {
    "panel_binary": ({"y": "outcomes"}, WHERE | COVARIATES | {"outcome": "y"}),
    "poisson": ({"y": "outcomes"}, WHERE | COVARIATES | {"outcome": "y"}),
    "duration": (
        {"y": "outcomes", "done": "ended"},
        {"unit": "id", "spell": "year", "outcome": "y", "ended": "done"} | COVARIATES,
    ),
    "linear_factor": ({"y": "outcomes"}, WHERE | {"outcome": "y"}),
    "learning": (
        {"y": "outcomes", "d": "choices"},
        WHERE | {"outcome": "y", "choice": "d"},
    ),
}
MASKED = ("panel_binary", "poisson", "duration")


def read(name, frame):
    return getattr(frames, name)(frame, **CALLS[name][1])


@pytest.mark.parametrize("name", CALLS)
def test_a_frame_holds_what_the_model_drew(name):
    model, data, supp = read(name, make_frame(DRAWN[name], **CALLS[name][0]))
    for key, values in data.items():
        assert np.asarray(values) == pytest.approx(np.asarray(DRAWN[name][key]))
    assert type(model) is type(TRUTHS[name])
    truth = TRUTHS[name].lclk(data, supp)
    assert np.isfinite(np.asarray(model.lclk(data, supp))).all()
    # The grid covers where the data put the unobservable.
    best = np.asarray(supp)[np.argmax(np.asarray(truth).sum(axis=0))]
    assert supp[0] < best < supp[-1]
    assert supp[0] < -0.7 < 0.7 < supp[-1]


OWN_NAMES = {
    "panel_binary": ["a", "b"],
    "poisson": ["a", "b"],
    "duration": ["log_alpha", "a", "b"],
    "linear_factor": ["coef[1991]", "coef[1992]"]
    + [f"log_std_e[{year}]" for year in (1990, 1991, 1992)],
    "learning": [f"intercept_0[{year}]" for year in (1990, 1991, 1992)]
    + ["intercept_1[1991]", "intercept_1[1992]", "loading_0[0]"]
    + ["loading_1[1991]", "loading_1[1992]", "ability_0", "log_std_u"]
    + ["log_std_e[0]", "log_std_e[1]", "choice[0]", "choice[1]", "choice[2]"],
}


@pytest.mark.parametrize("name", CALLS)
def test_the_model_knows_the_names_of_columns_and_periods(name):
    model, data, _ = read(name, make_frame(DRAWN[name], **CALLS[name][0]))
    assert spmlex.parameter_names(model, names=model.names) == OWN_NAMES[name]
    assert model.starting_values(data).names == model.names


def test_a_fit_calls_parameters_by_columns_unless_told_otherwise():
    name = "panel_binary"
    problem = read(name, make_frame(DRAWN[name], **CALLS[name][0]))
    how = {"support": "grid", "throw": False}
    assert spmlex.fit(*problem, **how).names == ["a", "b"]
    assert spmlex.fit(*problem, names=["c", "d"], **how).names == ["c", "d"]


@pytest.mark.thorough
@pytest.mark.parametrize("name", MASKED)
def test_what_is_under_the_mask_is_as_good_as_absent(name):
    frame = make_frame(DRAWN[name], **CALLS[name][0])
    dropped = frame.drop(frame.index[(frame.id < 110) & (frame.year == 1992)])
    model, data, supp = read(name, dropped)
    assert not data["mask"][:10, 2].any()
    assert data["mask"].sum() == N_UNITS * N_PERIODS - 10
    short = {key: values[:10, :2] for key, values in data.items() if key != "mask"}
    there = {key: values[:10] for key, values in data.items()}
    hidden = there["mask"][:, :, None]
    there["covariates"] = jnp.where(hidden, there["covariates"], jnp.nan)
    if name != "panel_binary":
        outcomes = there["outcomes"].astype(float)
        there["outcomes"] = jnp.where(there["mask"], outcomes, jnp.nan)

    def total(model, data):
        return jnp.tanh(model.lclk(data, supp)).sum()

    for derivative in (lambda f: f, jax.grad, jax.hessian):
        found = jax.tree.leaves(derivative(total)(model, there))
        wanted = jax.tree.leaves(derivative(total)(model, short))
        for a, b in zip(found, wanted, strict=True):
            assert np.asarray(a) == pytest.approx(np.asarray(b), abs=1e-9)
    own, both = (model.starting_values(x) for x in (there, short))
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(both), strict=True):
        assert np.asarray(a) == pytest.approx(np.asarray(b), abs=1e-6)


def test_every_sequence_is_listed_once_where_periods_are_missing():
    frame = make_frame(DRAWN["panel_binary"], y="outcomes")
    model, data, supp = read("panel_binary", frame[frame.year + frame.id % 2 < 1993])
    rows = model.outcomes(data)
    lclk = jax.vmap(lambda row: model.lclk(row, supp))(rows)
    assert np.asarray(jnp.exp(lclk).sum(axis=0)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.thorough
def test_five_lines_estimate_an_unbalanced_panel():
    frame = make_frame(DRAWN["panel_binary"], y="outcomes")
    model, data, supp = read("panel_binary", frame.iloc[:100])
    estimate = spmlex.fit(model, data, supp)
    effect = spmlex.average_partial_effects(
        estimate, "covariates", columns=[0, 1], where=data["mask"]
    )
    assert effect.value[0] > 0 > effect.value[1]
    assert np.isfinite(np.asarray(estimate.efficient().theta)).all()


@pytest.mark.thorough
def test_replacements_are_counted_by_mileage():
    frame = pd.DataFrame(
        {
            "bus": [1, 1, 1, 1, 2, 2],
            "month": [1, 2, 3, 4, 1, 2],
            "bin": [0, 1, 3, 1, 0, 2],
            "new": [0, 0, 1, 0, 0, 0],
        }
    )

    def read(frame):
        names = {"unit": "bus", "time": "month", "mileage": "bin", "replaced": "new"}
        return frames.replacement(frame, n_states=5, discount=0.9, **names)

    model, data, supp = read(frame)
    assert isinstance(model, Replacement)
    kept, replaced = np.split(np.asarray(data["decisions"]), 2, axis=1)
    assert kept.tolist() == [[1, 2, 0, 0, 0], [1, 0, 1, 0, 0]]
    assert replaced.tolist() == [[0, 0, 0, 1, 0], [0] * 5]
    assert data["increments"].tolist() == [[0, 2, 1], [0, 0, 1]]
    frame.loc[2, "new"] = 0
    with pytest.raises(ValueError, match="bin falls without a replacement"):
        read(frame)
    with pytest.raises(ValueError, match="begins in the first period with mileage 0"):
        read(frame.iloc[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="a"), "'a' is no column; the frame has id"),
        (lambda f: f.assign(a="1,5"), "a has dtype .*, which holds no numbers"),
        (lambda f: f.assign(b=np.nan), "b is missing in 120 rows"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "has year=.* twice"),
        (lambda f: f.assign(y=f.y * 2), "y has .* other values: give 0 or 1"),
    ],
)
def test_what_can_not_be_used_is_said_in_words(change, message):
    frame = make_frame(DRAWN["panel_binary"], y="outcomes").astype({"y": int})
    with pytest.raises(ValueError, match=message):
        read("panel_binary", change(frame))


def test_models_that_need_every_period_say_so():
    for name in ("linear_factor", "learning"):
        frame = make_frame(DRAWN[name], **CALLS[name][0])
        with pytest.raises(ValueError, match="takes a balanced panel"):
            read(name, frame.iloc[1:])
