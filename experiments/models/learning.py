"""Choices and outcomes of agents who learn about their ability."""

from typing import NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float
from experiments.models.parts.learning_start import start_from_normal
from experiments.models.parts.links import sum_log_logistic
from experiments.models.parts.named import Named


class LinearForms(NamedTuple):
    """What an observation's likelihood is in k: a quadratic form and linear ones.

    Minus twice the log-density of the outcomes is
    `quadratic k² + 2 linear k + constant`; the index of period t's choice is
    `offset + slope k`.
    """

    quadratic: Float[Array, " n_obs"]
    linear: Float[Array, " n_obs"]
    constant: Float[Array, " n_obs"]
    offset: Float[Array, "n_obs n_periods"]
    slope: Float[Array, "n_obs n_periods"]


def _index(
    period: tuple[Array, Array], supp: Float[Array, " n_supp"]
) -> Float[Array, "n_obs n_supp"]:
    """Return the index of a choice, linear in k for each observation."""
    offset, slope = period
    return offset[:, None] + slope[:, None] * supp


class Learning(Named):
    r"""Choices between two alternatives while outcomes teach agents their ability.

    In each period t = 1..T an agent chooses d in {0, 1} and sees the outcome of what
    she chose (Bunting, Diegert and Maurel 2025, arXiv 2402.08575, with two
    alternatives, one latent factor and one unknown ability):

    .. math::
        (1)\quad & y_t = a_{d,t} + l_{d,t} k + g_d u + e_t,
            \quad e_t \sim N(0, s_d^2), \\
        (2)\quad & u \sim N(0, s_u^2), \\
        (3)\quad & \Pr(d_t = 1 \mid k, \text{history}) =
            \Lambda(c_0 + c_k k + c_m m_t).

    The permanent factor k is known to her, and its distribution F is left open;
    ability u is not known to her. Her beliefs about it are normal with mean `m_t` and
    variance `v_t`, from `m_1 = 0` and `v_1 = s_u^2` on updated by Bayes' rule (the
    scalar Kalman filter), with prediction error
    `r_t = y_t - a_{d,t} - l_{d,t} k - g_d m_t`:

    .. math::
        (4)\quad & f_t = g_d^2 v_t + s_d^2, \quad m_{t+1} = m_t + g_d v_t r_t / f_t,
            \quad v_{t+1} = v_t s_d^2 / f_t.

    By the prediction-error decomposition the likelihood given k needs no integral
    over u:

    .. math::
        (5)\quad G(y, d \mid k) = \prod_t N(r_t; 0, f_t) \Pr(d_t \mid k, m_t).

    Normalisations: `a_{1,1} = 0` and `l_{1,1} = 1` fix location and scale of k,
    `g_1 = 1` the scale of u. Intercepts differ by alternative and period. So do the
    loadings of k, which is what tells k from u: of two outcomes in alternative 1, k
    adds `l_{1,t} l_{1,s} var(k)` to the covariance and u the same `s_u^2` for every
    pair. `loading_0` may hold one number for all periods, which with T = 4 keeps the
    parameters at 18 (they would be 21); with T = 3 and a loading each they are 17.
    The loadings of u and the scales don't change over time. The choice of period 1
    depends on k alone and later ones on `m_t` as well, which separates `c_k` from
    `c_m`.

    Attributes:
        intercept_0: `a_{0,t}`, periods 1 to T.
        intercept_1: `a_{1,t}`, periods 2 to T.
        loading_0: `l_{0,t}`, one for all periods or one each.
        loading_1: `l_{1,t}`, periods 2 to T.
        ability_0: `g_0`.
        log_std_u: Logarithm of `s_u`.
        log_std_e: Logarithms of `s_0` and `s_1`.
        choice: `c_0`, `c_k` and `c_m`.
    """

    intercept_0: Float[Array, " n_periods"] = eqx.field(converter=as_float)
    intercept_1: Float[Array, " n_later"] = eqx.field(converter=as_float)
    loading_0: Float[Array, " n_loadings"] = eqx.field(converter=as_float)
    loading_1: Float[Array, " n_later"] = eqx.field(converter=as_float)
    ability_0: Float[Array, ""] = eqx.field(converter=as_float)
    log_std_u: Float[Array, ""] = eqx.field(converter=as_float)
    log_std_e: Float[Array, " 2"] = eqx.field(converter=as_float)
    choice: Float[Array, " 3"] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse parameters whose lengths don't belong together."""
        shape = jnp.shape(self.intercept_0)
        if len(shape) != 1 or shape[0] < 2:
            raise ValueError(
                f"intercept_0 has shape {shape}: give a list of T intercepts, T >= 2."
            )
        n_periods = shape[0]
        wanted = {
            "intercept_1": [(n_periods - 1,)],
            "loading_0": [(1,), (n_periods,)],
            "loading_1": [(n_periods - 1,)],
            "ability_0": [()],
            "log_std_u": [()],
            "log_std_e": [(2,)],
            "choice": [(3,)],
        }
        for name, shapes in wanted.items():
            given = jnp.shape(getattr(self, name))
            if given not in shapes:
                allowed = " or ".join(str(shape) for shape in shapes)
                raise ValueError(
                    f"{name} has shape {given}: with the {n_periods} periods of "
                    f"intercept_0 give shape {allowed}."
                )

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw choices and outcomes given the latent factor.

        Args:
            data: `latent`, (n_obs,): the factor k.
            rng: Random key.

        Returns:
            `choices`, whole numbers 0 or 1, and `outcomes`, both (n_obs, n_periods);
            without the latent factor.
        """
        latent = data["latent"]
        shape = (latent.shape[0], self.intercept_0.shape[0])
        ability = jnp.exp(self.log_std_u) * jr.normal(jr.fold_in(rng, 0), shape[:1])
        noise = jr.normal(jr.fold_in(rng, 1), shape)
        tastes = jr.logistic(jr.fold_in(rng, 2), shape)
        mean = jnp.zeros(shape[0])
        variance = jnp.full(shape[0], jnp.exp(2 * self.log_std_u))
        equations = self._equations()
        choices, outcomes = [], []
        for t in range(shape[1]):
            index = self.choice[0] + self.choice[1] * latent + self.choice[2] * mean
            chosen = (index + tastes[:, t] > 0).astype(int)
            intercept, loading, taught, noise_variance = equations[:, chosen, t]
            error = jnp.sqrt(noise_variance) * noise[:, t]
            known = intercept + loading * latent
            outcome = known + taught * ability + error
            gain = taught * variance / (taught**2 * variance + noise_variance)
            mean = mean + gain * (outcome - known - taught * mean)
            variance = variance * (1 - gain * taught)
            choices.append(chosen)
            outcomes.append(outcome)
        return {
            "choices": jnp.stack(choices, axis=1),
            "outcomes": jnp.stack(outcomes, axis=1),
        }

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        r"""Evaluate the log-density of every observation at every support point.

        Equation (5). As `m_t` is linear in k, so are prediction errors and indices
        `z_t`, and with `log Pr(d) = log Λ(z) - (1 - d) z` everything but `log Λ(z_t)`
        is one quadratic form in k for each observation.

        Args:
            data: `choices` and `outcomes`, (n_obs, n_periods).
            supp: Support points of the latent factor.

        Returns:
            Log-densities in nats, every constant included.
        """
        forms = self.linear_forms(data)
        refused = 1 - data["choices"]
        linear = forms.linear + (refused * forms.slope).sum(axis=1)
        constant = forms.constant + 2 * (refused * forms.offset).sum(axis=1)
        powers = jnp.stack([supp**2, 2 * supp, jnp.ones_like(supp)])
        coefficients = jnp.stack([forms.quadratic, linear, constant], axis=1)
        # The first choice rests on no outcome: its index is the same for everyone.
        first = jax.nn.log_sigmoid(self.choice[0] + self.choice[1] * supp)
        periods = forms.offset.T[1:], forms.slope.T[1:]
        later = cast(Array, sum_log_logistic(_index, periods, supp))
        return first + later - 0.5 * coefficients @ powers

    def starting_values(self, data: dict[str, Array]) -> "Learning":
        """Estimate the parameters as if k were normal, see `start_from_normal`.

        Consistent where F is normal. Always finite.

        Args:
            data: `choices` and `outcomes`, (n_obs, n_periods).

        Returns:
            A model of the same kind, at the estimates.
        """
        return start_from_normal(self, data)

    def _equations(self) -> Float[Array, "4 2 n_periods"]:
        """Return intercepts, both loadings and noise variances by alternative."""
        one, shape = jnp.ones(1), self.intercept_0.shape
        variance_0, variance_1 = jnp.exp(2 * self.log_std_e)
        # The normalisations are those of alternative 1, in period 1.
        rows = [
            [self.intercept_0, jnp.concatenate([0 * one, self.intercept_1])],
            [self.loading_0, jnp.concatenate([one, self.loading_1])],
            [self.ability_0, one],
            [variance_0, variance_1],
        ]
        return jnp.stack(
            [jnp.stack([jnp.broadcast_to(x, shape) for x in row]) for row in rows]
        )

    def linear_forms(self, data: dict[str, Array]) -> LinearForms:
        """Run the filter (4) with beliefs and errors as linear functions of k.

        Args:
            data: `choices` and `outcomes`, (n_obs, n_periods).
        """
        choices, outcomes = data["choices"], data["outcomes"]
        n_obs, n_periods = outcomes.shape
        # The mean of beliefs is `mean + slope k`.
        mean = slope = jnp.zeros(n_obs)
        variance = jnp.full(n_obs, jnp.exp(2 * self.log_std_u))
        quadratic = linear = jnp.zeros(n_obs)
        constant = jnp.full(n_obs, n_periods * jnp.log(2 * jnp.pi))
        equations = self._equations()[:, :, None]
        chosen = jnp.where(choices == 1, equations[:, 1], equations[:, 0])
        indices, slopes = [], []
        for t in range(n_periods):
            indices.append(self.choice[0] + self.choice[2] * mean)
            slopes.append(self.choice[1] + self.choice[2] * slope)
            intercept, loading, taught, noise_variance = chosen[:, :, t]
            error = outcomes[:, t] - intercept - taught * mean
            per_k = -loading - taught * slope
            spread = taught**2 * variance + noise_variance
            quadratic += per_k**2 / spread
            linear += error * per_k / spread
            constant += error**2 / spread + jnp.log(spread)
            gain = taught * variance / spread
            mean = mean + gain * error
            slope = slope + gain * per_k
            variance = variance * noise_variance / spread
        return LinearForms(
            quadratic,
            linear,
            constant,
            jnp.stack(indices, axis=1),
            jnp.stack(slopes, axis=1),
        )
