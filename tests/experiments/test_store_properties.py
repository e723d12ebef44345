"""What is written is read again bit for bit, or not at all."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.store.blocks import Store, UnusableBlockError, read_result
from experiments.store.fingerprint import Fingerprint
from experiments.study import Block, Cell, Result

CELL = Cell("process", "grid", 20, 4, "estimator")
DESIGN = {
    "seed": 1,
    "streams": "common",
    "dgp": {"process": {"_target_": "a", "label": "A"}},
    "grid": {"grid": {"low": -1.0}},
    "estimator": {"estimator": {"tol": 1e-7}},
}
examples = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def blocks(draw):
    """Draw a block, and a result of some of the arrays that estimators return."""
    first, n = draw(st.integers(0, 999_000)), draw(st.integers(1, 5))
    n_parameters, n_points = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    shapes = {
        "estimate": (n, n_parameters),
        "standard_error": (n, 2, n_parameters),
        "probs": (n, n_points),
        "gap": (n,),
    }
    arrays = {
        name: draw(hnp.arrays(np.float64, shape))  # nan, inf and subnormals included
        for name, shape in shapes.items()
    }
    arrays["code"] = draw(hnp.arrays(np.int8, n))
    seconds = draw(st.floats(0.0, 1e6))
    error = draw(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
    return Block(CELL, first, first + n - 1), Result(arrays, seconds, error, 1.0)


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes(), name


@examples
@given(blocks())
def test_a_block_is_read_as_it_was_written(tmp_path, written):
    block, result = written
    store = Store(tmp_path, Fingerprint.from_config(DESIGN))
    store.write(block, result)
    found = read_result(*store.read(store.path(block), CELL))
    assert_same_bits(found.arrays, result.arrays)
    assert found.seconds == result.seconds
    assert found.error == result.error


@examples
@given(blocks(), st.floats(0.0, 1.0), st.integers(1, 255))
def test_one_wrong_byte_or_one_too_few_is_found(tmp_path, written, where, change):
    block, result = written
    store = Store(tmp_path, Fingerprint.from_config(DESIGN))
    path = store.path(block)
    store.write(block, result)
    whole = path.read_bytes()
    at = min(int(where * len(whole)), len(whole) - 1)

    path.write_bytes(whole[:at])
    with pytest.raises(UnusableBlockError):
        store.read(path, CELL)

    path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
    with pytest.raises(UnusableBlockError):
        store.read(path, CELL)


def test_a_block_without_a_seal_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.store.blocks.add_seal", lambda path: None)
    store = Store(tmp_path, Fingerprint.from_config(DESIGN))
    block = Block(CELL, 0, 0)
    store.write(block, Result({"estimate": np.zeros((1, 2))}, 0.0, "", 1.0))
    with pytest.raises(UnusableBlockError, match="damaged"):
        store.read(store.path(block), CELL)


CHANGES = st.one_of(
    st.builds(lambda seed: {"seed": seed}, st.integers(2, 2**62)),
    st.just({"streams": "independent"}),
    *(
        st.builds(
            lambda value, name=name, inner=inner: {name: {inner: {"new": value}}},
            st.one_of(st.integers(), st.floats(), st.text(), st.booleans()),
        )
        for name, inner in (
            ("dgp", "process"),
            ("grid", "grid"),
            ("estimator", "estimator"),
        )
    ),
)


@examples
@given(CHANGES)
def test_a_block_of_another_design_is_foreign(tmp_path, change):
    block = Block(CELL, 0, 0)
    result = Result({"estimate": np.zeros((1, 2))}, 0.0, "", 1.0)
    Store(tmp_path, Fingerprint.from_config(DESIGN)).write(block, result)
    other = Store(tmp_path, Fingerprint.from_config(DESIGN | change))
    with pytest.raises(UnusableBlockError, match="of another design"):
        other.read(other.path(block), CELL)
