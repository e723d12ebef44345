"""Frames and columns of pandas are data; what holds no numbers is named in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from small_fits import NAMES, SUPP, AbleLogit, Logit, data, named

from spmlex import data_range, fit, halton_grid, product_grid, uniform_grid
from spmlex._climb.starts import gather_starts
from spmlex._words.columns import read_tables
from spmlex._words.inputs import read_inputs, read_weights

MODEL = AbleLogit(jnp.zeros(2))
X = np.arange(3.0)
FRAME = pd.DataFrame({"y": [1, 0, 1], "x": X, "in": [True, False, True]})


def test_a_frame_is_a_dictionary_of_its_columns():
    found = read_tables("data", FRAME)
    assert {name: x.dtype.kind for name, x in found.items()} == {
        "y": "i",
        "x": "f",
        "in": "b",
    }
    supp = np.zeros(2)
    _, read, _ = read_inputs(MODEL, FRAME, supp)
    assert isinstance(read["x"], jax.Array)
    assert np.array_equal(read["x"], X)


def test_frames_and_columns_inside_are_arrays_in_the_order_of_their_rows():
    shuffled = FRAME.loc[[2, 0, 1]]
    nested = {"x": shuffled[["x", "y"]], "y": shuffled["y"], "v": X, "i": FRAME.index}
    found = read_tables("data", nested)
    assert np.array_equal(found["x"], [[2.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert np.array_equal(found["y"], [1, 1, 0])
    assert found["v"] is X
    assert np.array_equal(found["i"], [0, 1, 2])


def test_missing_numbers_are_nan_whatever_the_type():
    column = pd.Series([1, None, 3], dtype="Int64")
    found = read_tables("data", {"x": column, "y": column.fillna(2)})
    assert np.array_equal(found["x"], [1.0, np.nan, 3.0], equal_nan=True)
    assert found["y"].dtype == np.int64
    flags = read_tables("data", {"x": pd.Series([True, None], dtype="boolean")})
    assert np.array_equal(flags["x"], [1.0, np.nan], equal_nan=True)


COLUMNS = {
    "text": (pd.Series(["red", "blue", "red"]), "such as 'red'; give numbers: number"),
    "numbers as text": (
        pd.Series(["1", "2", "3"]),
        "such as '1'; give numbers, for",
    ),
    "commas": (pd.Series(["1,5", "2,0", "3"]), r"decimal commas: .*decimal=','"),
    "objects": (pd.Series([1, None, object()]), "dtype object, give numbers"),
    "categories": (pd.Series(list("aba"), dtype="category"), "get_dummies"),
    "dates": (pd.to_datetime(pd.Series(["2020-01-01"] * 3)), "holds dates or times"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_without_numbers_is_named(name):
    column, words = COLUMNS[name]
    frame = FRAME.assign(sector=column)
    with pytest.raises(ValueError, match=rf"data\['sector'\] .*{words}"):
        read_inputs(MODEL, frame, np.zeros(2))
    with pytest.raises(ValueError, match=rf"data\['a'\]\['sector'\] .*{words}"):
        read_tables("data", {"a": frame})


def test_columns_need_names_of_their_own():
    with pytest.raises(ValueError, match="data has a column called 0; call columns by"):
        read_tables("data", pd.DataFrame(np.zeros((2, 2))))
    twice = pd.DataFrame(np.zeros((2, 2)), columns=["x", "x"])
    with pytest.raises(ValueError, match="data has more than one column 'x'"):
        read_tables("data", twice)
    with pytest.raises(ValueError, match="data is a table without columns"):
        read_tables("data", pd.DataFrame(index=[1, 2]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1,5", "2"], r"data\['x'\] has dtype <U3, such as '1,5', with decimal comm"),
        (["1.500,25"], "with decimal commas"),
        (["a"], "such as 'a'; give numbers: number its categories"),
    ],
)
def test_text_in_an_array_is_shown_with_what_to_do(values, words):
    with pytest.raises(ValueError, match=words):
        read_inputs(MODEL, {"x": np.array(values)}, np.zeros(2))


@pytest.mark.parametrize("number", [2, np.int64(2), np.array(2), jnp.array(2)])
def test_a_number_of_starts_may_be_an_array(number):
    assert gather_starts(MODEL, number, data(), (True,))[1] == 2


def test_a_fit_takes_frames_and_weights_from_them():
    signs = pd.DataFrame(data()["sign"]).rename(columns=str)
    ones = pd.Series(np.ones(60), index=range(60, 0, -1))
    panel = {"x": data()["x"], "sign": signs}
    start = Logit(jnp.zeros(2))
    again = fit(start, panel, SUPP, support="grid", names=NAMES)
    assert np.array_equal(again.theta, named().theta)
    assert np.array_equal(read_weights(ones, 60), np.ones(60))


def test_grids_are_made_as_dictionaries():
    axes = {"level": uniform_grid(-1, 1, 3), "slope": uniform_grid(0, 1, 2)}
    grid = product_grid(axes)
    assert list(grid) == ["level", "slope"]
    together = product_grid(*axes.values())
    assert np.array_equal(np.stack(list(grid.values()), axis=1), together)
    low, high = {"level": -1.0, "slope": 0.0}, {"level": 1.0, "slope": 2.0}
    points = halton_grid(low, high, 5)
    flat = halton_grid(np.array([-1.0, 0.0]), np.array([1.0, 2.0]), 5)
    assert np.array_equal(np.stack([points["level"], points["slope"]], axis=1), flat)
    with pytest.raises(ValueError, match="axes have shapes"):
        product_grid({})
    with pytest.raises(ValueError, match="give both in the form of one support point"):
        halton_grid(low, {"level": 1.0}, 5)


class TwoCoordinates(AbleLogit):
    """Level and slope as a dictionary."""

    def lclk(self, data, supp):
        index = (data["x"] @ self.coef)[:, :, None] + supp["level"]
        index += data["x"][:, :, :1] * supp["slope"]
        return jax.nn.log_sigmoid(data["sign"][:, :, None] * index).sum(axis=1)


@pytest.mark.thorough
def test_a_dictionary_of_grids_is_a_full_citizen():
    low, high = {"level": -3.0, "slope": -1.0}, {"level": 3.0, "slope": 1.0}
    low, high = data_range(MODEL_OF_TWO, data(), low, high, n_trial=49)
    assert -3.0 <= float(low["level"]) < float(high["level"]) <= 3.0
    axes = {name: uniform_grid(low[name], high[name], 5) for name in low}
    estimate = fit(MODEL_OF_TWO, data(), product_grid(axes), support="grid")
    lines = estimate.summary(kind="sandwich").splitlines()
    head = next(line for line in lines if line.endswith(" mass"))
    assert head.split() == ["level", "slope", "mass"]


MODEL_OF_TWO = TwoCoordinates(jnp.zeros(2))
