"""A fit that takes minutes, to be interrupted."""

import signal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import spmlex


class Slow(eqx.Module):
    """A normal model whose likelihood is computed a million times."""

    mean: jax.Array

    def lclk(self, data, supp):
        once = -0.5 * (data["y"][:, None] - self.mean - supp) ** 2

        def again(_, sums):
            return sums + jnp.sin(once) ** 2 * 1e-9

        return jax.lax.fori_loop(0, 1_000_000, again, once)


if __name__ == "__main__":
    # Where the tests run in the background they take no heed of Ctrl-C, nor would this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data = {"y": np.linspace(-1.0, 1.0, 200)}
    spmlex.fit(Slow(jnp.array(0.1)), data, np.linspace(-1.0, 1.0, 50), verbose=True)
