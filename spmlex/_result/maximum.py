"""What can be asked of a maximum of the likelihood, whatever found it."""

import abc

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from spmlex._answers.mixing import MixingDistribution
from spmlex._answers.posterior import Groups, Posterior, posterior_of
from spmlex._efficient.efficient_estimate import Clusters, EfficientEstimate
from spmlex._efficient.efficient_search import solve_from
from spmlex._evidence.criteria import akaike, schwarz
from spmlex._evidence.evidence import Evidence
from spmlex._evidence.limits import HasIntervals, Intervals
from spmlex._inference.intervals import default_kind, make_covariance, make_intervals
from spmlex._inference.resample import Resamples
from spmlex._words.parameters import split_model
from spmlex._words.types import Data, Model, Scalar


class Maximum(HasIntervals):
    """A maximum of the likelihood: all that follows from its evidence alone."""

    @property
    @abc.abstractmethod
    def evidence(self) -> Evidence:
        """What inference needs of the maximum: what intervals and refits ask."""

    @property
    def names(self) -> list[str]:
        """Names of the entries of `theta`: the user's, or those of the model."""
        return self.evidence.names

    @property
    def n_obs(self) -> Array:
        """Number of observations: those of weight zero are none."""
        return self.evidence.n_obs

    @property
    def flagged(self) -> Bool[Array, ""]:
        """Whether this looks like a degenerate maximum; see `spmlex/README.md`.

        With noise scales free and a fine grid, F can reproduce single observations:
        the kernels become narrower than the grid, or much of the grid carries mass.
        Kernels narrower than the grid are no mark where the support was moved. F alone
        has no degenerate maximum: nothing runs off with it.
        """
        return self.evidence.flagged

    @property
    def mixing(self) -> MixingDistribution:
        """The distribution of the unobservable: mean, quantiles, their errors."""
        return MixingDistribution(self)

    def posterior(
        self, data: Data | None = None, *, groups: Groups = None
    ) -> Posterior:
        """Return what each observation says about its own unobservable. Equation (4).

        Args:
            data: Of other observations; by default those of the fit.
            groups: Group of each of them, where the fit has groups.

        Raises:
            ValueError: `groups` does not belong to the data.

        Examples:
            >>> known = estimate.posterior()
            >>> mean, error = known.mean(), known.std()
        """
        return posterior_of(self.evidence, data, groups)

    def efficient(self, *, verbose: bool | None = None) -> EfficientEstimate:
        """Return the efficient-score estimate of the same problem.

        The root that `efficient_estimate` finds, on the grid as it was given. The
        search starts at the model's own starting values; where it has none at this
        maximum, unless that failed or is degenerate.

        Args:
            verbose: Print a line a step; by default where the fit was made so.

        Raises:
            ValueError: The model can't generate data.
        """
        return solve_from(self.evidence.watched(verbose))

    @property
    def default_kind(self) -> str:
        """What `kind=None` means: "efficient", or "sandwich".

        The latter where the model has neither `simulate` nor `outcomes`, or no
        parameter.
        """
        return default_kind(self.evidence)

    def covariance(
        self, kind: str | None = None, *, clusters: Clusters = None
    ) -> Float[Array, "p p"]:
        """Return a covariance matrix of theta, in the order of `parameter_names`.

        Args:
            kind: "efficient": of the efficient-score estimate, `nan` where a parameter
                is not identified. "observed", "opg" or "sandwich": of the maximum
                likelihood estimate, `nan` where the Hessian is singular. By default the
                first, "sandwich" where the model can't generate data. Covariances of
                refits are in `jackknife` and `bootstrap`.
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
        """
        return make_covariance(self.evidence, kind, clusters)

    def standard_errors(
        self, kind: str | None = None, *, clusters: Clusters = None
    ) -> Model:
        """Return standard errors, shaped like the model; fixed leaves are `None`.

        Args:
            kind: Kind of covariance, as in `covariance`.
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
        """
        errors = jnp.sqrt(jnp.diagonal(self.covariance(kind, clusters=clusters)))
        evidence = self.evidence
        # By the model's own free leaves: fixed ones have no error.
        _, unravel = ravel_pytree(split_model(evidence.model, evidence.free)[0])
        return unravel(errors)

    def confint(
        self, level: float | int = 0.95, kind: str | None = None
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the limits of confidence intervals for theta.

        The default is the interval that `spmlex/README.md` recommends: the values that
        the efficient-score test does not reject, infinite where the data set no limit.
        `intervals` also says what it is built from.

        Args:
            level: Confidence level, between 0 and 1.
            kind: One of `INTERVAL_KINDS`; by default "efficient", "sandwich" where the
                model can't generate data.

        Raises:
            ValueError: The level or the kind do not exist, or the kind needs something
                that the fit or the model do not have.
        """
        made = self.intervals(level, kind)
        return made.lower, made.upper

    def intervals(
        self,
        level: float | int = 0.95,
        kind: str | None = None,
        *,
        clusters: Clusters = None,
        resamples: Resamples | None = None,
        verbose: bool | None = None,
    ) -> Intervals:
        """Return confidence intervals with centre and standard error; see `confint`.

        Args:
            level: Confidence level, between 0 and 1.
            kind: Kind of interval.
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
            resamples: A jackknife of this fit made before, for "jackknife"; by default
                one of ten groups is made.
            verbose: Print the progress; by default where the fit was made so.
        """
        evidence = self.evidence.watched(verbose)
        return make_intervals(evidence, level, kind, clusters, resamples)

    @property
    def aic(self) -> Scalar:
        """Akaike's criterion, the smaller the better.

        K points with positive mass in d dimensions count as K (d + 1) - 1 parameters.
        """
        return akaike(self.evidence)

    @property
    def bic(self) -> Scalar:
        """Schwarz's criterion, the smaller the better; points count as in `aic`."""
        return schwarz(self.evidence)
