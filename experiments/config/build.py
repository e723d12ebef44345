"""From a resolved configuration to a design."""

from typing import Any

from experiments.config.compose import instantiate
from experiments.config.schema import GROUPS, has_target
from experiments.errors import InputError
from experiments.study import Design, Target

ASKED = {
    "dgp": ("label", "truth", "mixing", "simulate"),
    "truth": ("lclk", "simulate", "starting_values"),
    "mixing": ("list_margins", "mean", "simulate", "variance"),
    "grid": ("label", "make"),
    "estimator": ("default_kind", "estimate", "kinds", "label"),
    "estimand": ("truth", "value"),
}
"""What a study asks of each part."""


def build_design(config: dict[str, Any]) -> Design:
    """Build processes, grids and estimators, and make every support grid once.

    Args:
        config: The resolved configuration, as `config.compose` returns it.

    Raises:
        InputError: Some part of it can't be built.
    """
    parts = {
        group: {name: _build(config, group, name) for name in config[group]}
        for group in GROUPS
    }
    for name, grid in parts["grid"].items():
        for n_supp in config["n_supp"]:
            try:
                grid.make(n_supp)
            except (ValueError, TypeError, ArithmeticError) as error:
                raise InputError(f"grid.{name}: {error}") from error
    estimands = {name: _build(config, "estimand", name) for name in config["estimand"]}
    names = ("seed", "streams", "n_replications", "block_size")
    design = Design(
        **{name: config[name] for name in names},
        target=Target(**config["target"]) if has_target(config) else None,
        max_failure_share=config["max_failure_share"],
        # Ascending: the last is the largest, for tables and figures.
        sample_size=sorted(config["sample_size"]),
        n_supp=sorted(config["n_supp"]),
        processes=parts["dgp"],
        grids=parts["grid"],
        estimators=parts["estimator"],
        estimands=estimands,
    )
    for dgp in design.processes:
        try:
            names, _ = design.truth(dgp)
        except ValueError as error:
            raise InputError(f"estimand.{error} (dgp.{dgp})") from error
        if len(set(names)) < len(names):
            raise InputError(
                f"dgp.{dgp}: an estimand has the name of a parameter or of another "
                f"estimand: {', '.join(names)}."
            )
    return design


def _build(config: dict[str, Any], group: str, name: str) -> Any:
    """Build a part, and see that it has what a study asks of it."""
    part = instantiate(config, f"{group}.{name}")
    parts = {f"{group}.{name}": (group, part)}
    if group == "dgp":
        for field in ("truth", "mixing"):
            parts[f"dgp.{name}.{field}"] = (field, getattr(part, field, None))
    for where, (kind, one) in parts.items():
        lacking = [asked for asked in ASKED[kind] if not hasattr(one, asked)]
        if lacking:
            raise InputError(
                f"{where}: {type(one).__name__} lacks {', '.join(lacking)}. "
                "experiments/README.md shows a complete one, under 'Write your own'."
            )
    return part
