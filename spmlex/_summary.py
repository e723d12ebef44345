"""A fit as a person reads it."""

import jax.numpy as jnp
import numpy as np
from jax.scipy import stats

from spmlex._solution import RESULTS


def format_fit(fit, level: float | int, kind: str) -> str:
    """Return a regression-style table of a fit.

    Args:
        fit: A `Fit` of concrete arrays.
        level: Confidence level of the intervals.
        kind: Kind of covariance.
    """
    from spmlex._result import parameter_names

    names = parameter_names(fit.model, fit.free)
    errors = np.sqrt(np.diagonal(fit.covariance(kind)))
    lower, upper = (np.asarray(limit) for limit in fit.confint(level, kind))
    width = max(10, *(len(name) for name in names))
    rule = "-" * (width + 60)
    n_obs, n_supp = fit.scores.shape[0], fit.probs.shape[0]
    support = f"grid of {n_supp} points, {int(fit.num_atoms)} with mass"
    if np.isinf(fit.resolution):
        support = f"free support, {int(fit.num_atoms)} atoms"
    percent = f"{100 * level:g}%"
    lines = [
        f"{type(fit.model).__name__}: semiparametric maximum likelihood",
        rule,
        f"{'':{width}} {'estimate':>10} {'std. error':>10} {'z':>8} "
        f"{'P>|z|':>7} {percent + ' interval':>21}",
    ]
    for i, name in enumerate(names):
        value = float(fit.theta[i])
        z = value / errors[i]
        p = 2 * float(stats.norm.sf(abs(z)))
        lines.append(
            f"{name:{width}} {value:10.5f} {errors[i]:10.5f} {z:8.2f} {p:7.3f} "
            f"{lower[i]:10.5f} {upper[i]:10.5f}"
        )
    lines += [
        rule,
        f"observations {n_obs}, log-likelihood {float(fit.log_likelihood):.4f}, "
        f"standard errors: {kind}",
        f"{support}; gap {max(float(fit.gap), 0.0):.1e} nats per observation",
        f"{int(fit.num_steps)} steps, gradient {float(fit.gradient_norm):.1e}",
    ]
    lines += [f"Warning: {text}" for text in _warnings(fit)]
    return "\n".join(lines)


def _warnings(fit) -> list[str]:
    found = []
    if fit.result != RESULTS.successful:
        found.append(RESULTS[fit.result])
    if bool(fit.flagged):
        found.append(
            "this looks like a degenerate maximum: the kernels are "
            f"{float(fit.resolution):.2f} grid steps wide and {int(fit.num_atoms)} of "
            f"{fit.probs.shape[0]} support points carry mass. Do not trust the "
            "intervals; start at a consistent estimate or use a coarser grid."
        )
    edge = float(fit.probs[0] + fit.probs[-1])
    has_grid = np.isfinite(fit.resolution) and jnp.ndim(fit.supp) == 1
    if has_grid and edge > 1e-3:
        found.append(
            f"{100 * edge:.1f}% of the mass sits on the ends of the grid; widen it."
        )
    return found
