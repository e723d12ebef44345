"""A draw depends on seed, process, sample size and replication, on nothing else."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from study_helpers import make_design, make_engine

from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.config.build import build_design
from experiments.engine.block import Engine
from experiments.engine.replicate import draw, hash_data, make_stream
from experiments.study import Block, Cell

PROCESSES = sorted(conf_folder.list_options("dgp"))
QUICK = ("linear_factor_discrete", "panel_logit_normal", "duration_normal")
CELL = Cell("linear_factor_discrete", "uniform", 20, 4, "profile")


def run_hashes(engine, first, last, cell=CELL):
    return engine.run(Block(cell, first, last)).arrays["data_hash"]


@pytest.mark.thorough
def test_draws_do_not_depend_on_blocks_or_number_of_replications():
    whole = run_hashes(make_engine("block_size=7"), 0, 6)
    engine = make_engine("block_size=3", "n_replications=100")
    pieces = [run_hashes(engine, 0, 2), run_hashes(engine, 3, 3)]
    pieces += [run_hashes(engine, 4, 6)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    assert len(set(whole.tolist())) == 7


def test_draws_do_not_depend_on_grid_or_estimator():
    one = run_hashes(make_engine("block_size=7"), 0, 6)
    engine = make_engine("block_size=7", "grid=uniform_wide")
    other = run_hashes(engine, 0, 6, Cell(CELL.dgp, "uniform_wide", 20, 6, "profile"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("process", ["linear_factor_discrete", "learning_discrete"])
def test_every_bit_is_the_same_whatever_the_size_of_a_block(process):
    """One of them alone was compiled as another program, and drew other data."""
    grid = "learning" if process.startswith("learning") else "uniform"
    cell = Cell(process, grid, 20, 4, "profile")
    chosen = [f"dgp={process}", f"grid={grid}"]
    whole = make_engine("block_size=50", *chosen).run(Block(cell, 0, 8)).arrays
    for size in (1, 2, 7):
        engine = make_engine(f"block_size={size}", *chosen)
        blocks = [Block(cell, i, min(i + size - 1, 8)) for i in range(0, 9, size)]
        found = [engine.run(block).arrays for block in blocks]
        for name, values in whole.items():
            joined = np.concatenate([arrays[name] for arrays in found])
            assert joined.tobytes() == values.tobytes(), (size, name)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["profile", "normal_random_effects"])
def test_so_is_every_bit_of_a_fit(name):
    cell = Cell("linear_factor_discrete", "uniform", 20, 4, name)
    if name != "profile":
        cell = Cell("linear_factor_discrete", None, 20, None, name)
    overrides = ["study=x", "sample_size=[20]", "n_supp=[4]", f"estimator=[{name}]"]
    engines = [
        Engine(build_design(cfg.compose([*overrides, f"block_size={size}"])))
        for size in (50, 1, 2, 7)
    ]
    whole = engines[0].run(Block(cell, 0, 7)).arrays
    for engine, size in zip(engines[1:], (1, 2, 7), strict=True):
        blocks = [Block(cell, i, min(i + size - 1, 7)) for i in range(0, 8, size)]
        found = [engine.run(block).arrays for block in blocks]
        for key, values in whole.items():
            joined = np.concatenate([arrays[key] for arrays in found])
            assert joined.tobytes() == values.tobytes(), (size, key)


def test_large_data_are_drawn_in_pieces_with_the_same_result(monkeypatch):
    whole = make_engine("block_size=7").run(Block(CELL, 0, 6)).arrays
    monkeypatch.setattr("experiments.engine.block.MAX_DATA_BYTES", 2 * 20 * 3 * 8)
    engine = make_engine("block_size=7")
    assert engine.capacity(CELL) == 2
    pieces = engine.run(Block(CELL, 0, 6)).arrays
    for name, values in whole.items():
        np.testing.assert_array_equal(values, pieces[name])


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.thorough)
        for name in PROCESSES
    ],
)
def test_first_observations_do_not_depend_on_sample_size(name):
    process = make_design(f"dgp={name}").processes[name]
    stream = make_stream(1, "common", name, 0)
    draw_ = jax.jit(draw, static_argnums=3)
    large, _ = draw_(stream, jnp.asarray(5), process, 400)
    small, _ = draw_(stream, jnp.asarray(5), process, 37)
    for name, values in small.items():
        np.testing.assert_array_equal(values, large[name][:37])


def test_processes_share_noise_unless_streams_are_independent():
    names = ["linear_factor_normal", "linear_factor_discrete"]
    design = make_design(f"dgp=[{','.join(names)}]")

    def draw_noise(name, streams):
        stream = make_stream(1, streams, name, 50)
        data, _ = draw(stream, jnp.asarray(0), design.processes[name], 50)
        outcomes = data["outcomes"]
        return outcomes[:, 1] - 1.5 * outcomes[:, 0]  # free of the factor

    same = [draw_noise(name, "common") for name in names]
    other = [draw_noise(name, "independent") for name in names]
    np.testing.assert_allclose(same[0], same[1], atol=1e-12)
    assert float(jnp.abs(other[0] - other[1]).min()) > 1e-6


def test_independent_streams_differ_by_sample_size_and_seed():
    keys = [
        make_stream(seed, streams, "a", n)
        for seed, streams, n in [
            (1, "common", 10),
            (2, "common", 10),
            (1, "independent", 10),
            (1, "independent", 20),
        ]
    ]
    assert len({jr.key_data(key).tobytes() for key in keys}) == 4
    assert make_stream(1, "common", "a", 10) == make_stream(1, "common", "b", 20)


def test_hash_sees_every_bit_and_the_order():
    x = np.arange(12.0).reshape(4, 3)
    nudged = x.copy()
    nudged[2, 1] = np.nextafter(nudged[2, 1], 9)
    variants = [x, nudged, x[::-1], x.T, -x, x.astype("f4"), x.astype(int), x > 2]
    hashes = [int(hash_data({"a": jnp.asarray(v)})) for v in variants]
    hashes += [int(hash_data({"a": x, "b": x})), int(hash_data({"a": jnp.zeros(0)}))]
    # Shape is no part of the bits: x.T has other bits because its order differs.
    assert len(set(hashes)) == len(hashes)
    assert int(jax.jit(hash_data)({"a": x})) == hashes[0]


def test_estimators_cannot_see_the_truth():
    from experiments.engine.replicate import erase

    truth = make_design().processes[CELL.dgp].truth
    assert all(bool(jnp.isnan(leaf).all()) for leaf in jax.tree.leaves(erase(truth)))


@pytest.mark.parametrize(
    "name",
    [
        *("linear_factor_discrete", "panel_logit_normal", "panel_probit_normal"),
        *("poisson_discrete", "duration_single_spell", "duration_discrete"),
        *("learning_normal", "replacement_discrete"),
    ],
)
def test_models_draw_again_from_rows_of_data(name):
    """As the efficient score does, which knows no more than what was observed."""
    process = build_design(cfg.compose([f"dgp={name}"])).processes[name]
    model, key = process.truth, jr.key(5)
    data = process.simulate(jr.key(4), 12)
    latent = process.mixing.simulate(rng=jr.key(6), n=12)
    again = jax.jit(lambda rows: model.simulate(rows, rng=key))(data | latent)
    assert jax.eval_shape(lambda: data) == jax.eval_shape(lambda: again)
    # The outcomes observed do not matter, and covariates stay as they are.
    given = {k: x if k == "covariates" else jnp.zeros_like(x) for k, x in data.items()}
    other = model.simulate(given | latent, rng=key)
    for label, array in again.items():
        np.testing.assert_allclose(array, other[label], rtol=1e-12)
    if "covariates" in data:
        np.testing.assert_array_equal(again["covariates"], data["covariates"])
