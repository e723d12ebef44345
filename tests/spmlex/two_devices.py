"""Fits with rows on one device and shared by two; run by `test_rows`."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from problems import linear_factor

import spmlex

model, data, supp = linear_factor(n_obs=4096)
mesh = Mesh(np.array(jax.devices()), ("rows",))
shared = jax.device_put(data, NamedSharding(mesh, PartitionSpec("rows")))
one, two = (
    spmlex.fit(model, each, supp, support="grid", memory="1 MB")
    for each in (data, shared)
)
np.testing.assert_allclose(two.theta, one.theta, rtol=0, atol=1e-9)
np.testing.assert_allclose(two.hessian, one.hessian, rtol=1e-9)
np.testing.assert_allclose(two.scores, one.scores, rtol=0, atol=1e-7)
assert float(two.gap) < 1e-9
errors = [fit.covariance("sandwich") for fit in (one, two)]
np.testing.assert_allclose(*errors, rtol=1e-9)

explicit = jax.make_mesh((len(jax.devices()),), ("rows",))
wrong = jax.device_put(data, jax.NamedSharding(explicit, jax.P("rows")))
with pytest.raises(ValueError, match="mesh with explicit axes"):
    spmlex.fit(model, wrong, supp)
print(len(jax.devices()), "devices, the same fit")
