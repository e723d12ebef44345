"""Describe a study in the order of ADEMP, from its configuration, for a paper.

Aims, data-generating mechanisms, estimands, methods, performance measures: the order in
which Morris, White and Crowther (2019, Statistics in Medicine 38) ask simulation
studies to be reported. The text is a draft for its author.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from analysis.attributes import describe
from analysis.configuration import read_config
from analysis.symbols import in_unicode
from analysis.tables.notes import RULES
from analysis.tables.performance import PAPER


def describe_study(summary: xr.DataTree) -> dict[str, str]:
    """Write a paragraph for each letter of ADEMP.

    Args:
        summary: What `summarise` returns; its attribute `config` may lack anything, and
            what it lacks is not mentioned.

    Returns:
        Heading to text, in plain words, in order.
    """
    config = read_config(summary)
    nodes = {name: node.to_dataset() for name, node in summary.children.items()}
    return {
        "Aims": _aims(summary, config),
        "Data-generating mechanisms": _mechanisms(nodes, config),
        "Estimands": _estimands(nodes),
        "Methods": _methods(nodes, config),
        "Performance measures": _performance(summary, nodes, config),
    }


def label_option(config: dict[str, Any], group: str, name: str) -> str:
    """Name an option of a config group by its label, else as it is stored."""
    options = config.get(group) or {}
    option = options.get(name) if isinstance(options, dict) else None
    return str((option or {}).get("label") or name)


def describe_replications(config: dict[str, Any]) -> str:
    """Say how the number of replications was chosen, as far as it is known.

    What a number of replications gives is known without them: sqrt(p(1 - p)/n) for a
    coverage p, RMSE/sqrt(2 n) for the RMSE of normal estimates.
    """
    target = config.get("target") or {}
    aims = []
    if target.get("coverage_mcse"):
        aims.append(f"of the coverage to at most {target['coverage_mcse']:g}")
    if target.get("rmse_rel_mcse"):
        aims.append(f"of the RMSE to at most {target['rmse_rel_mcse']:.2%} of it")
    if aims:
        most = target.get("max_replications")
        limit = f", or there were {most} replications" if most else ""
        return (
            "A design point went on until it brought the Monte Carlo standard error "
            f"{enumerate_words(aims)}, for the parameter that is worst{limit}."
        )
    n = config.get("n_replications")
    if not n:
        return ""
    level = float(config.get("level", 0.95))
    error = (level * (1 - level) / n) ** 0.5
    return (
        f"The configuration sets {n} replications. They give a coverage of {level:g} a "
        f"Monte Carlo standard error of {error:.2g}, and the RMSE of normal estimates "
        f"one of {(2 * n) ** -0.5:.1%} of itself."
    )


def enumerate_words(words: Iterable[object]) -> str:
    """Join words to a list in a sentence."""
    texts = [str(x) for x in words]
    if any("," in x for x in texts) and texts[1:]:
        return "; ".join([*texts[:-1], f"and {texts[-1]}"])
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if texts[1:] else texts)


def _aims(summary: xr.DataTree, config: dict[str, Any]) -> str:
    question = summary.attrs.get("title") or config.get("question")
    if not question:
        return "[State the question of the study.]"
    return f"The study asks: {question}"


def _mechanisms(nodes: dict[str, xr.Dataset], config: dict[str, Any]) -> str:
    sentences = []
    for name, node in nodes.items():
        option = (config.get("dgp") or {}).get(name) or {}
        text = str(node.attrs.get("label", name))
        if "mixing" in option:
            text += f", with a mixing distribution {_describe(option['mixing'])}"
        sentences.append(text)
    listed = "; ".join(sentences)
    text = f"Data come from {_count(sentences, 'process')}: {listed}."
    sizes = sorted({int(n) for x in nodes.values() for n in _values(x, "sample_size")})
    if sizes:
        text += f" The sample size is {enumerate_words(sizes)}."
    if config.get("streams") == "common":
        text += (
            " Random numbers are common: a replication draws the same data for every "
            "estimator and grid, and a smaller sample is the start of a larger one."
        )
    return text


def _estimands(nodes: dict[str, xr.Dataset]) -> str:
    processes: dict[str, list[str]] = {}
    for name, node in nodes.items():
        if "truth" not in node or node["truth"].dims != ("parameter",):
            continue
        values = zip(_values(node, "parameter"), node["truth"].values, strict=True)
        words = (f"{in_unicode(str(x))} ({value:g})" for x, value in values)
        listed = enumerate_words(words)
        processes.setdefault(listed, []).append(str(node.attrs.get("label", name)))
    text = []
    for listed, names in processes.items():
        start = f"In {enumerate_words(names)} the" if len(processes) > 1 else "The"
        text.append(f"{start} parameters and their true values are {listed}.")
    if any("wasserstein" in node for node in nodes.values()):
        text.append("The mixing distribution is an estimand too.")
    if any("margin_wasserstein" in node for node in nodes.values()):
        text.append("The margins of the mixing distribution are estimands too.")
    return " ".join(text)


def _methods(nodes: dict[str, xr.Dataset], config: dict[str, Any]) -> str:
    def found(dim: str) -> list[str]:
        names = [str(x) for node in nodes.values() for x in _values(node, dim)]
        return list(dict.fromkeys(names))

    text = []
    estimators = [label_option(config, "estimator", x) for x in found("estimator")]
    if estimators:
        text.append(_list("estimator", estimators) + ".")
    grids = [label_option(config, "grid", x) for x in found("grid")]
    points = found("n_supp")
    if grids:
        on = f" with {enumerate_words(points)} points" if points else ""
        text.append(f"{_list('support grid', grids)}{on}.")
    kinds = found("kind")
    if kinds:
        text.append(f"Intervals are of the kinds {enumerate_words(kinds)}.")
    return " ".join(text)


def _performance(
    summary: xr.DataTree, nodes: dict[str, xr.Dataset], config: dict[str, Any]
) -> str:
    names = [x for x in PAPER if any(x in node for node in nodes.values())]
    words = [describe(x)["long_name"] for x in names]
    counts = np.concatenate([x["attempted"].values.ravel() for x in nodes.values()])
    counts = counts[counts > 0]
    text = f"Measured are {enumerate_words(words)}, each with its Monte Carlo error."
    if counts.size:
        low, high = counts.min(), counts.max()
        span = f"{low}" if low == high else f"{low} to {high}"
        text += f" Every design point has {span} replications."
    text += f" {describe_replications(config)}".rstrip()
    rule = RULES[summary.attrs.get("exclusion_rule", "per_estimator")]
    return f"{text} Failures are counted; {rule}."


def _describe(option: Any) -> str:
    """Write an object of the configuration: `Normal (loc 0.0, scale 1.0)`."""
    if isinstance(option, list) and any(isinstance(x, dict) for x in option):
        return " and ".join(map(_describe, option))
    if not isinstance(option, dict):
        return str(option)
    name = str(option.get("_target_", "")).rpartition(".")[2]
    rest = [f"{x} {_describe(y)}" for x, y in option.items() if not x.startswith("_")]
    return f"{name} ({', '.join(rest)})" if rest else name


def _list(noun: str, words: list[str]) -> str:
    verb = "s are" if len(words) > 1 else " is"
    return f"The {noun}{verb} {enumerate_words(words)}"


def _count(words: list[str], noun: str) -> str:
    return f"one {noun}" if len(words) == 1 else f"{len(words)} {noun}es"


def _values(node: xr.Dataset, dim: str) -> list[Any]:
    return list(node[dim].values) if dim in node.coords else []
