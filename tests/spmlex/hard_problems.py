"""Random and nasty inner problems: run as a script, it prints the counts by kind."""

from collections.abc import Iterator

import numpy as np

TRUTH = (1.5, 0.3, 0.0, 0.2, -0.3)
SIZES = ((500, 50), (2000, 75), (40, 75), (300, 1), (20, 20), (1000, 200))


def factor_lclk(rng, latent, theta, *, supp, errors=None, change=None):
    """Return the linear factor model's log-likelihoods at theta for simulated data."""
    errors = rng.normal(size=(latent.size, 3)) if errors is None else errors
    outcomes = latent[:, None] * np.array([1.0, 1.5, 0.3])
    outcomes = outcomes + errors * np.exp(TRUTH[2:])
    if change is not None:
        change(outcomes)
    loadings, scales = np.array([1.0, *theta[:2]]), np.exp(np.array(theta[2:]))
    residual = (outcomes[:, :, None] - loadings[:, None] * supp) / scales[:, None]
    return -0.5 * (residual**2).sum(axis=1) - np.log(scales).sum()


def one_dimensional(n_obs, n_supp, seed) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, lclk) on a grid of the line."""
    rng = np.random.default_rng(1000 * seed + n_obs + n_supp)
    grid = np.linspace(-6.0, 6.0, n_supp)
    half = np.linspace(-6.0, 6.0, (n_supp + 1) // 2)

    def discrete():
        return rng.choice([-3.0, 0.0, 5.0], size=n_obs, p=[0.3, 0.5, 0.2])

    def normal():
        return rng.normal(0, 2, n_obs)

    def factor(latent, theta=TRUTH, supp=grid, **options):
        return factor_lclk(rng, latent, theta, supp=supp, **options)

    def far():
        noise = rng.normal(size=5) * np.array([2, 2, 1, 1, 1])
        return tuple(np.array(TRUTH) + noise)

    def beside(apart):
        return (np.repeat(half, 2) + np.tile([0.0, apart], half.size))[:n_supp]

    def outliers(outcomes):
        outcomes[0] += 60
        outcomes[1] -= 100

    def quarter_outside(outcomes):
        outcomes[: n_obs // 4] += 500

    yield "truth, discrete F", factor(discrete())
    yield "truth, normal F", factor(normal())
    yield "theta far, discrete F", factor(discrete(), far())
    yield "theta far, normal F", factor(normal(), far())
    for scale in (-2.0, -3.0, -5.0, -7.0):
        yield "tiny variances", factor(normal(), (1.5, 0.3, scale, scale, scale))
    yield "one tiny variance", factor(discrete(), (1.5, 0.3, -2.0, -5.0, -1.0))
    for scale in (4.0, 8.0):
        yield "huge variances", factor(discrete(), (1.5, 0.3, scale, scale, scale))
    doubled = factor(discrete(), supp=np.resize(half, n_supp))
    yield "duplicated columns", doubled
    for apart in (1e-10, 1e-7, 1e-4):
        yield f"columns {apart:g} apart", factor(normal(), supp=beside(apart))
    yield "one atom", factor(np.zeros(n_obs))
    yield "no noise", factor(np.full(n_obs, grid[n_supp // 3]), errors=np.zeros((1, 3)))
    yield "outliers", factor(discrete(), change=outliers)
    yield "a quarter outside", factor(normal(), change=quarter_outside)
    cauchy = rng.standard_cauchy(size=(n_obs, 3))
    yield "Cauchy errors", factor(normal(), errors=cauchy)
    few = factor(normal())[:5]
    yield "five distinct rows", np.repeat(few, -(-n_obs // 5), axis=0)[:n_obs]
    holes = factor(normal())
    holes[rng.random(holes.shape) < 0.6] = -np.inf
    holes[np.isneginf(holes).all(axis=1), 0] = 0.0
    yield "-inf entries", holes
    empty = factor(discrete())
    empty[n_obs // 2] = -np.inf
    yield "a row without likelihood", empty
    yield "random matrix", 3.0 * rng.normal(size=(n_obs, n_supp))
    yield "random matrix, sharp", 30.0 * rng.normal(size=(n_obs, n_supp))


def two_dimensional(n_obs, seed) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, lclk) on a 20 by 20 product grid."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-4.0, 4.0, 20)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    atoms = np.array([[-2.0, -2.0], [2.0, 1.0], [0.0, 3.0], [1.0, -1.0]])
    latents = {
        "2-D, four atoms": atoms[rng.integers(4, size=n_obs)],
        "2-D, normal F": 1.5 * rng.normal(size=(n_obs, 2)),
        "2-D, uniform F": rng.uniform(-3, 3, size=(n_obs, 2)),
    }
    for kind, latent in latents.items():
        scale = rng.choice([0.3, 0.5, 1.0])
        data = latent + scale * rng.normal(size=(n_obs, 2))
        square = ((data[:, None] - points) / scale) ** 2
        yield kind, -0.5 * square.sum(axis=-1)


def all_problems(seeds: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every kind at every size, `seeds` times."""
    for seed in range(seeds):
        for size in SIZES:
            yield from one_dimensional(*size, seed)
        for n_obs in (500, 2000):
            yield from two_dimensional(n_obs, seed)


def count_outcomes(seeds: int) -> dict[str, dict[str, float]]:
    """Solve all the problems; count by kind how the solves ended."""
    import jax
    import jax.numpy as jnp

    from spmlex import RESULT_CODES, result_code, solve_probs

    solve = jax.jit(lambda lclk: solve_probs(lclk, throw=False))
    counts: dict[str, dict[str, float]] = {}
    for kind, lclk in all_problems(seeds):
        solution = solve(jnp.asarray(lclk))
        row = counts.setdefault(kind, {"solved": 0, "fell_back": 0, "not_finite": 0})
        row["solved"] += 1
        row["fell_back"] += bool(solution.fell_back)
        row["not_finite"] += not bool(jnp.all(jnp.isfinite(solution.probs)))
        name = RESULT_CODES[int(result_code(solution.result))][1]
        row[name] = row.get(name, 0) + 1
        row["largest_gap"] = max(row.get("largest_gap", 0.0), float(solution.gap))
    return counts


if __name__ == "__main__":
    for kind, row in count_outcomes(4).items():
        print(f"{kind:26}", "  ".join(f"{k} {v:.3g}" for k, v in row.items()))
