"""Shape aliases shared by the package; the axes' names are the notation's."""

from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

Scalar = Float[Array, ""]
LogCondLik = Float[Array, "n_obs n_supp"]
ScaledLik = Float[Array, "n_supp n_obs"]
Probs = Float[Array, " n_supp"]
Weights = Float[Array, " n_obs"]

AnyArray = Array | np.ndarray
"""Also one of NumPy, as what computes on the host gets."""

GivenWeights = Real[Array | np.ndarray, " n_obs"] | Bool[Array | np.ndarray, " n_obs"]
"""As users pass them: `Weights` are what is read of them."""

GivenGroups = Int[Array | np.ndarray, " n_obs"]

GivenProbs = Float[Array | np.ndarray, " n_supp"]

GivenLclk = Float[Array | np.ndarray, "n_obs n_supp"]

Counts = Real[Array | np.ndarray, " n_obs"]

Kernel = Float[Array, "n_supp n_supp"]
"""A distribution on the grid in each column: what F is a mixture of."""

Model = Any
"""A pytree with `lclk(data, supp) -> (n_obs, n_supp)`; its floats are theta."""

Data = Any
"""A pytree of arrays with leading axis `n_obs`."""

Support = Any
"""`(n_supp,)`, `(n_supp, d)` or a pytree of arrays with leading axis `n_supp`."""

Point = Any
"""One support point: a number, a vector or a pytree."""

Frame = Any
"""A `pandas.DataFrame`; pandas is imported where one is asked for."""
