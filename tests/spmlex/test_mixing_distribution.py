"""The estimated distribution of the unobservable: numbers, errors, pictures."""

import builtins
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from jax.scipy.stats import norm
from problems import approx

from spmlex import MixingDistribution, delta_method, efficient_estimate, fit
from spmlex import plot_mixing as plot

N_OBS = 90
SUPP = jnp.linspace(-3.0, 4.0, 29)
SHIFT = 5000.0


class Means(eqx.Module):
    """Three outcomes v + effect x + e, with e standard normal; can't generate data."""

    effect: jax.Array

    def lclk(self, data, supp):
        residual = (data["y"] - self.effect * data["x"])[:, :, None] - supp
        return norm.logpdf(residual, scale=0.5).sum(axis=1)


class Able(Means):
    """The same, which can."""

    def simulate(self, data, *, rng):
        mean = data["latent"][:, None] + self.effect * data["x"]
        return {"y": mean + 0.5 * jax.random.normal(rng, mean.shape), "x": data["x"]}


START = jnp.array(0.5)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    latent = rng.choice([-1.0, 2.0], N_OBS, p=[0.4, 0.6])
    x = rng.normal(size=(N_OBS, 3))
    y = latent[:, None] + 0.5 * x + 0.5 * rng.normal(size=x.shape)
    return {"x": jnp.asarray(x), "y": jnp.asarray(y)}


@pytest.fixture(scope="module")
def moved(data):
    return fit(Means(START), data, SUPP)


@pytest.fixture(scope="module")
def grouped(data):
    groups = (jnp.arange(N_OBS) % 3 == 0).astype(int)
    shifted = data | {"y": data["y"] + groups[:, None]}
    return fit(Means(START), shifted, SUPP, groups=groups)


@pytest.fixture(scope="module")
def smooth(data):
    return MixingDistribution(efficient_estimate(Able(START), data, SUPP))


def test_moments_and_points_are_those_of_the_masses(moved):
    mixing = moved.mixing
    supp, masses = np.asarray(mixing.support), np.asarray(mixing.masses)
    assert (np.diff(supp) > 0).all()
    assert (masses > 0).all()
    assert masses.sum() == pytest.approx(1)
    assert mixing.mean.value == approx([masses @ supp], 1e-12)
    variance = masses @ supp**2 - (masses @ supp) ** 2
    assert mixing.variance.value == approx([variance], 1e-12)
    # With both atoms known to an observation the errors are those of a sample.
    errors = float(mixing.mean.standard_errors[0])
    assert errors == pytest.approx(np.sqrt(variance / N_OBS), rel=0.05)
    below = mixing.cdf([-9.0, 0.5, 9.0])
    assert below.value == approx([0, masses[supp < 0.5].sum(), 1], 1e-12)
    assert below.standard_errors[1] == approx(np.sqrt(0.24 / N_OBS), 0.01)


def test_a_quantile_has_an_error_where_no_other_atom_is_as_likely(moved):
    mixing = moved.mixing
    supp, total = np.asarray(mixing.support), np.cumsum(mixing.masses)
    first = float(total[supp < 0.5][-1])
    # Above are two atoms that the data hardly tell apart.
    made = mixing.quantile([0.2, first, first + 0.01, 0.8])
    assert made.value[0] == made.value[1] < 0.5 < made.value[2]
    errors = np.asarray(made.standard_errors)
    assert np.isfinite(errors).tolist() == [True, False, False, False]
    # The atom is the mean of its observations, three outcomes each.
    assert errors[0] == pytest.approx(0.5 / np.sqrt(3 * first * N_OBS), rel=0.2)


def test_on_a_grid_quantiles_have_none(grouped):
    made = grouped.mixing.quantile()
    assert made.value.shape == (10,)
    assert np.isnan(made.standard_errors).all()
    assert "-: no regular standard error" in str(grouped.mixing)


def test_groups_follow_one_another(grouped):
    mixing, probs, supp = grouped.mixing, grouped.probs, grouped.supp
    assert mixing.n_groups == 2
    assert mixing.mean.value == approx(probs.T @ supp, 1e-12)
    assert mixing.masses.shape == (mixing.support.size, 2)
    both = mixing.cdf([0.0, 1.5]).value
    by_hand = [probs[supp <= point, g].sum() for g in (0, 1) for point in (0.0, 1.5)]
    assert both == approx(by_hand, 1e-12)
    assert "group 1" in str(mixing)
    # Far from independent of theta, yet each by its own observations.
    assert (mixing.mean.standard_errors[1] > mixing.mean.standard_errors[0]).all()


@pytest.mark.thorough
def test_far_from_zero_it_is_the_same_distribution(data, moved):
    far = fit(Means(START), data | {"y": data["y"] + SHIFT}, SUPP + SHIFT)
    assert far.mixing.variance.value == approx(moved.mixing.variance.value, 1e-4)
    error = moved.mixing.variance.standard_errors
    assert far.mixing.variance.standard_errors == approx(error, 1e-3)


@pytest.mark.thorough
def test_several_coordinates_have_a_distribution_each(data):
    class Two(eqx.Module):
        effect: jax.Array

        def lclk(self, data, supp):
            mean = supp["level"] + supp["slope"] * data["x"][:, :, None]
            return norm.logpdf(data["y"][:, :, None] - mean, scale=0.5).sum(axis=1)

    level, slope = jnp.meshgrid(jnp.linspace(-2, 3, 11), jnp.linspace(-1, 1.5, 6))
    supp = {"level": level.ravel(), "slope": slope.ravel()}
    estimate = fit(Two(START), data, supp, support="grid", fixed=lambda m: m.effect)
    mixing = estimate.mixing
    rows = np.stack([supp["level"], supp["slope"]], axis=1)
    assert mixing.mean.value == approx(np.asarray(estimate.probs) @ rows, 1e-12)
    below = np.asarray(estimate.probs) @ (rows[:, 1] <= 0.5)
    assert mixing.cdf([0.5], coordinate=1).value == approx([below], 1e-12)
    assert "quantile[1] 0.50" in str(mixing)
    with pytest.raises(ValueError, match="coordinate=2: the unobservable has 2"):
        mixing.quantile(coordinate=2)


@pytest.mark.thorough
def test_quantiles_of_a_smooth_distribution_invert_it(smooth):
    levels = np.array([0.2, 0.3, 0.8])
    made = smooth.quantile(levels)
    regular = np.isfinite(np.asarray(made.standard_errors))
    assert regular.any()
    at = np.asarray(made.value)[regular]
    back = smooth.cdf(at)
    # To first order, up to what the correction in one step leaves.
    apart = np.abs(np.asarray(back.value) - levels[regular])
    assert (apart < np.asarray(back.standard_errors)).all()
    below = smooth.cdf([0.5])
    assert below.standard_errors[0] == approx(np.sqrt(0.24 / N_OBS), 0.02)
    plain = delta_method(smooth.estimate, lambda model, supp, probs: probs @ supp)
    assert smooth.mean.standard_errors == approx(plain.standard_errors, 1e-12)


@pytest.mark.thorough
def test_what_is_smooth_is_drawn_beside_the_atoms(data):
    axes = plot(fit(Able(START), data, SUPP))
    labels = [text.get_text() for text in axes[0, 0].get_legend().get_texts()]
    assert labels == ["atoms", "smooth", "95% band"]
    alone = plot(efficient_estimate(Able(START), data, SUPP), level=0.5)
    assert [line.get_label() for line in alone[0, 0].lines] == ["smooth"]
    plt.close("all")


def test_the_picture_shows_the_estimate(moved, grouped):
    axes = plot(moved)
    assert axes.shape == (2, 1)
    steps = axes[0, 0].lines[0].get_xydata()
    for point, mass in zip(moved.mixing.support, moved.mixing.masses, strict=True):
        assert np.isclose(axes[1, 0].lines[0].get_xydata(), [point, mass]).all(1).any()
    assert steps[-1, 1] == 1
    low, high = axes[1, 0].get_xlim()
    assert low < moved.mixing.support.min()
    assert high > moved.mixing.support.max()
    given = plt.subplots(2, 2)[1]
    assert plot(grouped, axes=given)[1, 1] is given[1, 1]
    assert given[0, 1].get_title() == "group 1"
    with pytest.raises(ValueError, match="axes holds 4 objects; give 2 axes"):
        plot(moved, axes=given)
    with pytest.raises(ValueError, match="coordinate=1: the unobservable has 1"):
        plot(moved, coordinate=1)
    plt.close("all")


def test_matplotlib_is_loaded_for_a_picture_alone(moved, monkeypatch):
    code = "import spmlex, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="plot_mixing needs matplotlib"):
        plot(moved)


def test_wrong_levels_are_named(moved):
    for wrong in (0.0, [0.5, 1.5]):
        with pytest.raises(ValueError, match="levels"):
            moved.mixing.quantile(wrong)
