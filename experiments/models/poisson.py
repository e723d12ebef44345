"""Counts in panel data: a Poisson regression with a random intercept."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from experiments.fields import as_float
from experiments.models.parts.masks import known_covariates
from experiments.models.parts.named import Named
from experiments.models.parts.starts import maximise_concave


class MixedPoisson(Named):
    r"""Counts of T periods whose log-mean holds one unobserved permanent effect.

    .. math::
        y_{it} | x_i, v_i \sim \text{Poisson}(\mu_{it} e^{v_i}), \quad
        \mu_{it} = \exp(x_{it}' \beta), \qquad (1)

    independent over periods given v, and v independent of x. Its distribution is left
    open (Simar 1976, Annals of Statistics 4; with covariates Hausman, Hall and
    Griliches 1984, Econometrica 52). The log-likelihood

    .. math::
        \log \Pr(y_i | x_i, v) = v \sum_t y_{it} - e^v \sum_t \mu_{it}
        + \sum_t (y_{it} x_{it}' \beta - \log y_{it}!) \qquad (2)

    needs two sums of an observation, whatever T. The mean of v is free, so there is no
    intercept in beta.

    Attributes:
        coef: beta, one for each covariate.
    """

    coef: Float[Array, " n_covariates"] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse coefficients that are no list."""
        if jnp.ndim(self.coef) != 1 or jnp.size(self.coef) == 0:
            raise ValueError(
                f"coef has shape {jnp.shape(self.coef)}: give a list of one number or "
                "more."
            )

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the counts given the latent effect.

        Args:
            data: `latent`, (n_obs,), and `covariates`, (n_obs, n_periods,
                n_covariates).
            rng: Random key.

        Returns:
            `outcomes`, (n_obs, n_periods), whole numbers; `covariates`.
        """
        index = known_covariates(data) @ self.coef + data["latent"][:, None]
        mean = jnp.exp(index)
        return {
            "outcomes": _draw_counts(jr.uniform(rng, mean.shape), mean),
            "covariates": data["covariates"],
        }

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate equation (2) at every support point.

        Args:
            data: `outcomes`, (n_obs, n_periods), and `covariates`; where periods are
                missing also `mask`, true where there is one.
            supp: Support points of the latent effect.

        Returns:
            Log-probabilities in nats, every constant included.
        """
        counts, covariates, seen = _known(data)
        index = covariates @ self.coef
        constant = (counts * index - jsp.special.gammaln(counts + 1)).sum(axis=1)
        total, exposure = counts.sum(axis=1), (seen * jnp.exp(index)).sum(axis=1)
        varying = total[:, None] * supp - exposure[:, None] * jnp.exp(supp)
        return varying + constant[:, None]

    def expected_outcome(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp n_periods"]:
        """Return the mean count in each period, at every support point."""
        return jnp.exp((known_covariates(data) @ self.coef)[:, None] + supp[:, None])

    def starting_values(self, data: dict[str, Array]) -> "MixedPoisson":
        """Estimate beta by Poisson regression with an intercept, pooled over periods.

        Consistent whatever the distribution of v, as long as it is independent of x
        (Gourieroux, Monfort and Trognon 1984, Econometrica 52).

        Args:
            data: `outcomes`, (n_obs, n_periods), and `covariates`.

        Returns:
            A model of the same kind; finite whatever the data.
        """
        counts, covariates, seen = _known(data)
        size = seen.sum()
        mean = jnp.maximum(counts.sum() / size, jnp.finfo(float).tiny)

        # The intercept has a closed form, and the log of a sum is convex.
        def objective(coef: Float[Array, " n_covariates"]) -> Float[Array, ""]:
            index = covariates @ coef
            pooled = jax.nn.logsumexp(index, b=seen) - jnp.log(size)
            return (counts * index).sum() / size / mean - pooled

        found = maximise_concave(objective, jnp.zeros(self.coef.shape))
        return dataclasses.replace(self, coef=found)


def _known(data: dict[str, Array]) -> tuple[Array, Array, Array]:
    """Return counts and covariates, zero where they are not seen, and where they are.

    What is not seen may be anything, `nan` included.
    """
    counts, covariates = data["outcomes"].astype(float), known_covariates(data)
    if "mask" not in data:
        return counts, covariates, jnp.ones(counts.shape)
    seen = data["mask"] > 0
    return jnp.where(seen, counts, 0.0), covariates, seen.astype(float)


_Terms = Float[Array, "n_obs n_periods"]

_LARGE = 1e4
_MOST = 2.0**53  # above it doubles are no whole numbers any more


def _draw_counts(
    uniform: Float[Array, "n_obs n_periods"], mean: Float[Array, "n_obs n_periods"]
) -> Int[Array, "n_obs n_periods"]:
    """Return the least counts whose distribution function is at least `uniform`.

    So that counts increase with the mean, and no draw depends on the others in its
    array, as those of `jax.random.poisson` do from a mean of ten on. The sum starts and
    ends where less than 1e-15 of the mass is beyond. It has as many terms as the root
    of the largest mean says, which has no bound where a search tries parameters far
    out: from a mean of 10,000 on counts are Cornish and Fisher's quantiles, off by less
    than one in a hundred thousand.
    """
    deviate = jsp.special.ndtri(uniform)
    large = mean + deviate * jnp.sqrt(mean) + (deviate**2 - 1.0) / 6.0
    is_large = mean > _LARGE
    # Else the loop below, as long as its largest mean says, would run for these.
    mean = jnp.where(is_large, 1.0, mean)
    spread = 12.0 * jnp.sqrt(mean)
    first = jnp.maximum(jnp.floor(mean - spread), 0.0)
    last = mean + spread + 40.0

    def is_searching(
        state: tuple[_Terms, _Terms, _Terms],
    ) -> Bool[Array, "n_obs n_periods"]:
        count, _, cdf = state
        return (cdf < uniform) & (count < last)

    def advance(
        state: tuple[_Terms, _Terms, _Terms],
    ) -> tuple[_Terms, _Terms, _Terms]:
        count, log_mass, cdf = state
        searching = is_searching(state)
        count = count + searching
        log_mass = log_mass + jnp.where(searching, jnp.log(mean / count), 0.0)
        return count, log_mass, cdf + jnp.where(searching, jnp.exp(log_mass), 0.0)

    log_mass = first * jnp.log(mean) - mean - jsp.special.gammaln(first + 1)
    start = (first, log_mass, jnp.exp(log_mass))
    found = jax.lax.while_loop(lambda state: is_searching(state).any(), advance, start)
    large = jnp.clip(jnp.round(large), 0.0, _MOST)
    return jnp.where(is_large, large, found[0]).astype(int)
