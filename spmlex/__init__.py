"""Semiparametric maximum likelihood with a nonparametric mixing distribution.

Importing the package turns on float64 in JAX, which a likelihood needs and users of the
published package expect, and touches no other global setting.
"""

import jax

jax.config.update("jax_enable_x64", True)

from spmlex._adequacy.adequacy import Adequacy, adequacy  # noqa: E402
from spmlex._adequacy.gradient_on import gradient_on  # noqa: E402
from spmlex._answers.comparison import Comparison, compare_fits  # noqa: E402
from spmlex._answers.generate import log_likelihoods, simulate  # noqa: E402
from spmlex._answers.mixing import MixingDistribution  # noqa: E402
from spmlex._answers.partial_effects import average_partial_effects  # noqa: E402
from spmlex._answers.plot import plot_mixing  # noqa: E402
from spmlex._answers.posterior import Posterior, posterior  # noqa: E402
from spmlex._answers.predict import Prediction, predict  # noqa: E402
from spmlex._climb.optima import Optima  # noqa: E402
from spmlex._efficient.efficient_estimate import EfficientEstimate  # noqa: E402
from spmlex._efficient.efficient_search import efficient_estimate  # noqa: E402
from spmlex._evidence.covariance import COVARIANCE_KINDS  # noqa: E402
from spmlex._evidence.evidence import Evidence  # noqa: E402
from spmlex._evidence.limits import Intervals  # noqa: E402
from spmlex._fit.fit import SUPPORTS, fit  # noqa: E402
from spmlex._fit.mixing_test import MixingTest, mixing_test  # noqa: E402
from spmlex._fit.num_points import PointCounts, count_points  # noqa: E402
from spmlex._inference.delta_method import Functional, delta_method  # noqa: E402
from spmlex._inference.intervals import INTERVAL_KINDS, IntervalKind  # noqa: E402
from spmlex._inference.likelihood_ratio import (  # noqa: E402
    LikelihoodRatio,
    likelihood_ratio_test,
)
from spmlex._inference.likelihood_ratio_interval import (  # noqa: E402
    likelihood_ratio_interval,
)
from spmlex._inference.resample import (  # noqa: E402
    BOOTSTRAP_WEIGHTS,
    Resamples,
    bootstrap,
    jackknife,
)
from spmlex._inference.wald import WaldTest, wald_test  # noqa: E402
from spmlex._inner import SOLVERS, MixingSolution, solve_probs  # noqa: E402
from spmlex._profile.profile import profile, profile_ll  # noqa: E402
from spmlex._programs.kept_programs import keep_programs  # noqa: E402
from spmlex._result.result import Fit  # noqa: E402
from spmlex._result.saving import load, save  # noqa: E402
from spmlex._support.grid import (  # noqa: E402
    data_range,
    halton_grid,
    most_likely_points,
    product_grid,
    quantile_grid,
    uniform_grid,
)
from spmlex._version import VERSION  # noqa: E402
from spmlex._words.codes import RESULT_CODES, RESULTS, result_code  # noqa: E402
from spmlex._words.parameters import parameter_names  # noqa: E402

__version__ = VERSION

__all__ = [
    "Adequacy",
    "adequacy",
    "gradient_on",
    "data_range",
    "halton_grid",
    "most_likely_points",
    "product_grid",
    "quantile_grid",
    "uniform_grid",
    "BOOTSTRAP_WEIGHTS",
    "COVARIANCE_KINDS",
    "INTERVAL_KINDS",
    "Comparison",
    "compare_fits",
    "EfficientEstimate",
    "efficient_estimate",
    "Evidence",
    "Functional",
    "IntervalKind",
    "Intervals",
    "LikelihoodRatio",
    "Resamples",
    "bootstrap",
    "delta_method",
    "jackknife",
    "keep_programs",
    "likelihood_ratio_interval",
    "likelihood_ratio_test",
    "RESULTS",
    "RESULT_CODES",
    "SOLVERS",
    "SUPPORTS",
    "Fit",
    "MixingDistribution",
    "MixingSolution",
    "MixingTest",
    "PointCounts",
    "WaldTest",
    "count_points",
    "mixing_test",
    "wald_test",
    "Optima",
    "fit",
    "load",
    "save",
    "Posterior",
    "Prediction",
    "average_partial_effects",
    "log_likelihoods",
    "parameter_names",
    "plot_mixing",
    "posterior",
    "predict",
    "profile",
    "profile_ll",
    "result_code",
    "simulate",
    "solve_probs",
]
