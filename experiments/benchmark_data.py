"""The sample on which the program is timed: linear factor data of any size."""

from typing import Any


def simulate(
    n_obs: int, n_supp: int, seed: int = 0, *, normal: bool = False
) -> tuple[Any, Any, Any]:
    """Return the default process's model at the truth, one sample and a grid.

    Args:
        n_obs: Number of observations.
        n_supp: Number of support points.
        seed: Of the sample.
        normal: Draw the factor from a normal distribution, not from a discrete one.
    """
    import jax.numpy as jnp
    import jax.random as jr

    from experiments.mixing import Discrete, Normal
    from experiments.models.linear_factor import LinearFactor

    model = LinearFactor(
        coef=jnp.array([1.5, 0.3]), log_std_e=jnp.array([0.0, 0.2, -0.3])
    )
    mixing = Discrete(
        supp=jnp.array([-3.0, 0.0, 5.0]), weights=jnp.array([0.3, 0.5, 0.2])
    )
    if normal:
        mixing = Normal(loc=0.0, scale=2.0)
    latent_key, noise_key = jr.split(jr.key(seed))
    latent = mixing.simulate(rng=latent_key, n=n_obs)
    data = model.simulate(latent, rng=noise_key)
    return model, data, jnp.linspace(-6.0, 6.0, n_supp)
