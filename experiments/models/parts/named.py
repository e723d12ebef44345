"""Models whose parameters carry the names of a user's columns and periods."""

from collections.abc import Iterable, Mapping

import equinox as eqx


class Named(eqx.Module):
    """A model that tells `spmlex.fit` what its parameters are called.

    Attributes:
        labels: Names by field, a pair each; empty: the model's own. No dictionary,
            which can't be hashed as the constants of a compiled program are.
    """

    labels: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(
        static=True, default=(), kw_only=True
    )

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """What `fit` takes for its argument `names`."""
        return dict(self.labels)


def by_period(field: str, periods: Iterable[object]) -> tuple[str, tuple[str, ...]]:
    """Return the label of a field with an entry for each of some periods."""
    return field, tuple(f"{field}[{period}]" for period in periods)
