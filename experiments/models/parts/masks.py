"""What a model may use of panels in which units lack periods."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def known_covariates(
    data: dict[str, Array],
) -> Float[Array, "n_obs n_periods n_covariates"]:
    """Return the covariates, zero where they are not seen and may be anything.

    Before anything is computed of them: `0 * nan` is `nan`, and so are derivatives
    through a `where` that comes after.
    """
    covariates = data["covariates"]
    if "mask" not in data:
        return covariates
    return jnp.where((data["mask"] > 0)[:, :, None], covariates, 0.0)
