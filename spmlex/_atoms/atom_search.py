"""The search for theta and freely moving support points ("atoms") from one start.

With K atoms the log-likelihood is smooth in theta, the atoms and their masses. A round

1. climbs jointly: Newton's method over theta and the atoms, the masses profiled out;
2. climbs the gradient function over the continuum from its local maxima on the grid. It
   has settled where none exceeds one. Else those not below one join the atoms (Lindsay
   1983; Lesperance and Kalbfleisch 1992), and what has no mass then goes.

All shapes are fixed, so that it runs under `jit` and `vmap`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._atoms.gradient_atoms import SAME, climb_gradient, measure_densities
from spmlex._atoms.grid_atoms import are_peaks, grid_step
from spmlex._atoms.joint import Atoms, JointProblem
from spmlex._climb.newton import State, climb, stand_at
from spmlex._inner.mixture import scale_rows
from spmlex._profile.evaluation import Evaluation
from spmlex._support.continuum import FINE, log_gradient
from spmlex._support.degenerate import width_in_steps
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import LogCondLik, Probs, Scalar

GAP_TOL = 1e-9
"""Largest `log g` over the continuum at which a search has settled by default."""

_NEAR_ONE = 1e-7
"""Maxima of `log g` above minus this are candidates; surplus ones get no mass."""

_BESIDE = 0.05
"""In more than `FINE` dimensions a maximum of the gradient function this many steps of
the grid from an atom takes its place. A climb that ends early leaves its atoms beside
the maxima, and of two so near the next climb can't tell which should have the mass."""

_PEAKS = 16
"""Local maxima of the gradient function on the grid that are followed."""


class Search(NamedTuple):
    """Where a search is.

    Attributes:
        state: Of the last climb, over theta and the places of the atoms.
        present: The slots it was over.
        following: The atoms of the next round.
        gap: Largest `log g` found on the continuum after it.
        resolution: Width of the kernels there, in steps of the grid.
        fits: Whether there was a slot for every atom.
        settled: Whether it is a maximum over theta and all distributions.
        num_rounds: Rounds taken.
        num_steps: Evaluations of the profile likelihood in all of them.
        inner_steps: Steps of the inner solver in all of them.
        fallbacks: Evaluations in which it needed its safety net.
    """

    state: State
    present: Bool[Array, " k"]
    following: Atoms
    gap: Scalar
    resolution: Scalar
    fits: Bool[Array, ""]
    settled: Bool[Array, ""]
    num_rounds: Int[Array, ""]
    num_steps: Int[Array, ""]
    inner_steps: Int[Array, ""]
    fallbacks: Int[Array, ""]


def search_atoms(
    problem: JointProblem,
    theta0: Float[Array, " p"],
    atoms: Atoms,
    fits: Bool[Array, ""],
    tol: float | Scalar,
    max_steps: int | Int[Array, ""],
    max_rounds: int,
    gap_tol: float | Scalar = GAP_TOL,
) -> Search:
    """Repeat rounds until no distribution on the range gains anything.

    Args:
        problem: What to search.
        theta0: Where theta starts.
        atoms: The first atoms.
        fits: Whether these are all: else there is no search.
        tol: As in `climb`.
        max_steps: Limit on the evaluations of one climb.
        max_rounds: Limit on the rounds.
        gap_tol: Largest `log g` on the continuum at which the search has settled.
    """
    size = theta0.size
    n_obs = problem.weights.size if problem.blocks is None else 0
    verbose = problem.outer.verbose

    def advance(search: Search) -> Search:
        atoms = search.following
        joint = jnp.concatenate([search.state.theta[:size], atoms.places.ravel()])

        def at(joint: Float[Array, " q"], probs0: Float[Array, " k"]) -> Evaluation:
            return problem.evaluate(joint, probs0, atoms.present)

        watch = "with the support points free to move" if verbose else ""
        args = (at, n_obs, joint, atoms.probs, tol, max_steps)
        state = climb(*args, atoms_move=True, watch=watch)
        theta = state.theta[:size]
        ended = state.theta[size:].reshape(atoms.places.shape)
        ended = Atoms(jnp.clip(ended, 0.0, 1.0), atoms.present, state.here.probs)
        following, gap, resolution, fits = _revise(problem, theta, ended)
        # A climb that rounding stalls this near the top has reached it.
        flat = jnp.max(jnp.abs(state.here.gradient / state.scale)) <= 100 * tol
        stands = state.converged | (state.stalled & flat)
        return Search(
            state,
            atoms.present,
            following,
            gap,
            resolution,
            fits & jnp.isfinite(state.here.value) & jnp.isfinite(gap),
            stands & (gap <= gap_tol),
            search.num_rounds + 1,
            search.num_steps + state.num_steps,
            search.inner_steps + state.inner_steps,
            search.fallbacks + state.fallbacks,
        )

    def is_running(search: Search):
        more = search.num_rounds < max_rounds
        return ~search.settled & search.fits & more

    start = _begin(n_obs, theta0, atoms, fits)
    return jax.lax.while_loop(is_running, advance, start)


def _begin(
    n_obs: int, theta0: Float[Array, " p"], atoms: Atoms, fits: Bool[Array, ""]
) -> Search:
    """Return the search before its first round."""
    joint = jnp.concatenate([theta0, atoms.places.ravel()])
    zero, infinity = jnp.array(0), jnp.array(jnp.inf)
    return Search(
        stand_at(n_obs, joint, atoms.probs, atoms_move=True),
        atoms.present,
        atoms,
        infinity,
        infinity,
        jnp.asarray(fits),
        jnp.array(False),
        zero,
        zero,
        zero,
        zero,
    )


def _revise(
    problem: JointProblem, theta: Float[Array, " p"], atoms: Atoms
) -> tuple[Atoms, Scalar, Scalar, Bool[Array, ""]]:
    """Climb the gradient function from atoms and grid: its maxima are the next atoms.

    Returns:
        The next atoms, the largest `log g`, the width of the kernels in grid steps, and
        whether there was a slot for each atom.
    """
    n_slots, n_supp = atoms.present.size, len(problem.trial)
    values, log_ratio, width = _look_at_grid(problem, theta, atoms)
    places = problem.to_places(problem.trial)
    peaks = jnp.where(are_peaks(problem.trial, places, values), values, -jnp.inf)
    heights, chosen = jax.lax.top_k(peaks, min(n_supp, _PEAKS))
    # Fewer peaks than places: the first once more, which is merged away below.
    chosen = jnp.where(heights > -jnp.inf, chosen, chosen[0])
    seeds, count = problem.trial[chosen], jnp.sum(heights > -jnp.inf)
    found, heights = climb_gradient(problem, theta, log_ratio, seeds, count)
    # The maxima first, the highest first; then the atoms as they are, by mass. All of
    # them are there for the next masses, so that nothing is lost by the change.
    found = jnp.concatenate([found, atoms.places])
    rank = jnp.where(heights >= -_NEAR_ONE, 1.0 + heights - jnp.max(heights), -jnp.inf)
    num_maxima = rank.size
    mass = jnp.where(atoms.probs > 0, atoms.probs - 2.0, -jnp.inf)
    rank = jnp.concatenate([rank, mass])
    rank, order = jax.lax.top_k(rank, rank.size)
    found = found[order]
    distance = jnp.max(jnp.abs(found[:, None] - found[None]), axis=2)
    same = distance <= _closest(n_supp, found.shape[1])
    earlier = jnp.tri(rank.size, k=-1, dtype=bool) & (rank > -jnp.inf)
    kept = (rank > -jnp.inf) & ~jnp.any(same & earlier, axis=1)
    fits = jnp.sum(kept & (order < num_maxima)) <= n_slots
    position = jnp.arange(rank.size)
    _, first = jax.lax.top_k(jnp.where(kept, -position, -rank.size - position), n_slots)
    places, present = found[first], kept[first]
    distance = jnp.max(jnp.abs(atoms.places[:, None] - places[None]), axis=2)
    nearest = jnp.argmin(jnp.where(present, distance, jnp.inf), axis=1)
    # Masses go to the nearest of the next atoms: a start, which the solve corrects.
    probs = jnp.zeros(n_slots).at[nearest].add(atoms.probs)
    # Empty slots have a place too, since the model is asked about all of them.
    following = Atoms(jnp.where(present[:, None], places, places[0]), present, probs)
    return following, jnp.max(heights), width, fits


def _closest(n_supp: int, dimension: int) -> float:
    """Return the distance up to which atoms are one, as a share of the range."""
    if dimension <= FINE:
        return SAME
    return max(SAME, _BESIDE * grid_step(n_supp, dimension))


def _look_at_grid(
    problem: JointProblem, theta: Float[Array, " p"], atoms: Atoms
) -> tuple[Probs, Array, Scalar]:
    """Return `log g` on the grid, `log_ratios`, and the width of the kernels.

    In blocks the ratios have the axes of these, and the width is left to the caller:
    infinite.
    """
    weights, outer, n_supp = problem.weights, problem.outer, len(problem.trial)
    model, blocks = outer.build(theta), problem.blocks
    held = jnp.where(atoms.present, atoms.probs, 0.0)
    if blocks is not None:
        log_ratio = measure_densities(problem, theta, atoms.places, held)
        rows = blocks.joined(log_ratio)
        values = log_gradient(model, rows, problem.box, None, problem.trial)
        return values, log_ratio, jnp.array(jnp.inf)
    # The grid and the atoms in one matrix, so that the model is compiled once for both.
    rows = jnp.concatenate([problem.trial, problem.to_rows(atoms.places)])
    lclk: LogCondLik = conditional_likelihoods(
        model, outer.data, problem.box.to_supp(rows)
    )
    scaled, shift = scale_rows(lclk)
    scaled, on_atoms = scaled[:, :n_supp], scaled[:, n_supp:]
    density = on_atoms @ held
    positive = weights > 0
    per_density = jnp.where(positive, weights / density, 0.0)
    log_ratio = jnp.where(positive, jnp.log(per_density) - shift, -jnp.inf)
    values = jnp.log(per_density @ scaled)
    width = width_in_steps(scaled, weights, problem.trial, outer.numbers)
    return values, log_ratio, width
