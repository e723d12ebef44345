"""Optimal replacement of engines that differ in what their replacement costs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.fields import as_float
from experiments.models.parts.bellman import (
    Problem,
    choice_values,
    solve_bellman,
)
from experiments.models.parts.starts import climb_by_scoring

_MAX_SCORING_STEPS = 30
"""Limit on the steps of scoring in the starting values."""

_Mileage = Int[Array, " n_obs"]
_Counts = Float[Array, "n_obs ..."]
_Shock = Float[Array, " n_obs"]


class Replacement(eqx.Module):
    r"""When to replace the engine of a bus: an infinite-horizon dynamic choice.

    Rust (1987), with permanent heterogeneity in the cost v of a replacement, whose
    distribution F is left open. A bus has mileage x in bins 0..S-1. Keeping the engine
    costs `c x`; replacing costs v and sets mileage to zero; each choice has a taste
    shock with the standard extreme value distribution, which measures costs in units
    of its scale. Then mileage moves up by j bins with probability `q_j`, and stays in
    the last bin from there on. With the discount factor b, the value W of a bus before
    the shocks (Rust 1987, equation 4.13, up to Euler's constant) solves

    .. math::
        (1)\quad W(x) &= \log\{\exp K(x) + \exp R\}, \\
        K(x) &= -c x + b \sum_j q_j W(\min(x + j, S - 1)), \quad
        R = -v + b \sum_j q_j W(j), \\
        (2)\quad \Pr(\text{replace} \mid x, v) &= \Lambda(R - K(x)).

    The right side of (1) is convex, increasing and a contraction in W, so Newton's
    method (the Newton-Kantorovich steps of Rust's algorithm) is policy iteration: from
    anywhere it converges, quadratically, to the only solution. With `k(x)` the
    probability of keeping, `r = 1 - k` and P the transitions of a kept engine, a step
    solves

    .. math:: (3)\quad \{I - b\,\mathrm{diag}(k) P - b\, r\, (q', 0)\}\, s = W' - W,

    a triangular band, solved from the last bin backwards, and a matrix of rank one
    (Sherman and Morrison 1950): O(S) operations for each support point. The
    derivatives of W follow from the implicit function theorem, with (3) once more.

    Each bus starts with mileage zero and is followed for `n_periods` decisions, so that
    no initial condition depends on v. Its increments are observed in full, also in the
    last bin, and don't depend on v. The likelihood is

    .. math:: (4)\quad G(v) = \prod_t \Pr(d_t \mid x_t, v) \prod_t q_{j_t}.

    Attributes:
        cost: `c`, per bin of mileage and period.
        log_odds: `log(q_j / q_0)` for increments j = 1, 2, ...
        n_states: S, the number of bins.
        n_periods: Number of decisions of each bus, for `simulate`.
        discount: b, known, from 0 up to but below 1.
    """

    cost: Float[Array, ""] = eqx.field(converter=as_float)
    log_odds: Float[Array, " n_moves"] = eqx.field(converter=as_float)
    n_states: int = eqx.field(static=True, default=60)
    n_periods: int = eqx.field(static=True, default=60)
    discount: float = eqx.field(static=True, default=0.95)

    def __check_init__(self):
        """Refuse parameters of wrong shape and impossible constants."""
        if jnp.shape(self.cost) != ():
            raise ValueError(f"cost has shape {self.cost.shape}: give one number.")
        moves = jnp.shape(self.log_odds)
        if len(moves) != 1 or not 1 <= moves[0] < self.n_states:
            raise ValueError(
                f"log_odds has shape {moves}: give a list with the log-odds of "
                f"increments 1, 2, ..., fewer than n_states={self.n_states}."
            )
        if self.n_periods < 1:
            raise ValueError(f"n_periods={self.n_periods}: give 1 or more.")
        if not 0 <= self.discount < 1:
            raise ValueError(
                f"discount={self.discount}: give a number from 0 up to but below 1."
            )

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw mileage and decisions of every bus given its replacement cost.

        Args:
            data: `latent`, (n_obs,): the replacement costs v.
            rng: Random key.

        Returns:
            What the likelihood depends on: `decisions`, (n_obs, 2 n_states), how often
            a bus kept its engine in each bin, then how often it replaced it; and
            `increments`, (n_obs, n_increments), how often each increment occurred.
            Counts, as floats.
        """
        latent = data["latent"]
        shape = (latent.shape[0], self.n_periods)
        replaces = jnp.exp(self._log_choice_probs(latent))[self.n_states :].T
        shocks = jr.uniform(jr.fold_in(rng, 0), shape)
        limits = jnp.cumsum(jax.nn.softmax(self._logits()))[:-1]
        moves = (jr.uniform(jr.fold_in(rng, 1), shape)[..., None] > limits).sum(axis=2)
        buses = jnp.arange(shape[0])

        def drive(
            state: tuple[_Mileage, _Counts, _Counts], drawn: tuple[_Shock, _Mileage]
        ) -> tuple[tuple[_Mileage, _Counts, _Counts], tuple[()]]:
            mileage, decisions, increments = state
            shock, move = drawn
            replaced = (shock < replaces[buses, mileage]).astype(int)
            decisions = decisions.at[buses, replaced * self.n_states + mileage].add(1.0)
            increments = increments.at[buses, move].add(1.0)
            mileage = jnp.where(replaced, 0, mileage) + move
            return (jnp.minimum(mileage, self.n_states - 1), decisions, increments), ()

        start = (
            jnp.zeros(shape[0], int),
            jnp.zeros((shape[0], 2 * self.n_states)),
            jnp.zeros((shape[0], self.log_odds.shape[0] + 1)),
        )
        (_, decisions, increments), _ = jax.lax.scan(drive, start, (shocks.T, moves.T))
        return {"decisions": decisions, "increments": increments}

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate the log-density of every bus at every support point.

        Equation (4): one fixed point for each support point, then one product of the
        counts and the log-probabilities.

        Args:
            data: `decisions` and `increments`, as `simulate` returns them.
            supp: Support points of the replacement cost.

        Returns:
            Log-densities in nats, of the observed paths given their start.
        """
        driven = data["increments"] @ jax.nn.log_softmax(self._logits())
        return data["decisions"] @ self._log_choice_probs(supp) + driven[:, None]

    def starting_values(self, data: dict[str, Array]) -> "Replacement":
        """Estimate the parameters as if all buses had one replacement cost.

        The log-odds are those of the pooled increments, which is consistent: they don't
        depend on v. Then cost and v by scoring, from where they explain how often
        engines are replaced by agents who discount everything. Always finite.

        Args:
            data: `decisions` and `increments`, as `simulate` returns them.
        """
        # Half a count more: finite where an increment never occurs.
        counts = data["increments"].sum(axis=0) + 0.5
        log_odds: Float[Array, " n_log_odds"] = jnp.log(counts[1:] / counts[0])
        decisions = data["decisions"]
        kept, replaced = decisions.sum(axis=0).reshape(2, -1).sum(axis=1)
        rate = (replaced + 0.5) / (kept + replaced + 1.0)
        theta0 = jnp.stack([jnp.log(1.0 / self.n_states), -jnp.log(rate / (1 - rate))])

        def build(log_cost: Float[Array, ""]) -> Replacement:
            return Replacement(
                jnp.exp(log_cost),
                log_odds,
                self.n_states,
                self.n_periods,
                self.discount,
            )

        def log_density(theta: Float[Array, " 2"]) -> Float[Array, " n_obs"]:
            return decisions @ build(theta[0])._log_choice_probs(theta[1:])[:, 0]

        theta = climb_by_scoring(log_density, theta0, _MAX_SCORING_STEPS)
        return build(theta[0])

    def values(
        self, replacement_cost: Float[Array, " n_costs"]
    ) -> Float[Array, "n_states n_costs"]:
        """Solve the Bellman equation (1) for some replacement costs."""
        return solve_bellman(
            self.n_states, self.discount, self._problem(replacement_cost)
        )

    def _problem(self, replacement_cost: Float[Array, " n_costs"]) -> Problem:
        return Problem(self.cost, jax.nn.softmax(self._logits()), replacement_cost)

    def _logits(self) -> Float[Array, " n_increments"]:
        return jnp.concatenate([jnp.zeros(1), self.log_odds])

    def _log_choice_probs(
        self, replacement_cost: Float[Array, " n_costs"]
    ) -> Float[Array, "twice_n_states n_costs"]:
        """Return (2) in logs: of keeping in every bin, then of replacing."""
        keep, replace = choice_values(
            self.discount,
            self._problem(replacement_cost),
            self.values(replacement_cost),
        )
        log_replace = jax.nn.log_sigmoid(replace - keep)
        return jnp.concatenate([log_replace + keep - replace, log_replace])
