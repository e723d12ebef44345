"""Pages made from the source: `python -m experiments.api_page`.

Writes `spmlex/API.md`, the public API from its docstrings. Griffe reads the source, so
that signatures show the names of shapes that the code uses. And writes
`experiments/REPORTED.md`, what an estimator reports. Tests hold that the pages are
current, and run the examples.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import griffe

import spmlex
from experiments.estimators import QUANTITIES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "spmlex" / "API.md"
REPORTED = ROOT / "experiments" / "REPORTED.md"

GROUPS = {
    "Estimate": ("fit", "Fit", "Optima", "SUPPORTS", "save", "load", "keep_programs"),
    "The profile likelihood": (
        *("profile_ll", "profile", "solve_probs", "MixingSolution", "SOLVERS"),
        "parameter_names",
    ),
    "The unobservable": (
        *("MixingDistribution", "plot_mixing", "Posterior", "posterior"),
    ),
    "Use": (
        *("predict", "Prediction", "average_partial_effects"),
        *("simulate", "log_likelihoods"),
    ),
    "Tests": (
        *("wald_test", "WaldTest", "likelihood_ratio_test", "LikelihoodRatio"),
        *("mixing_test", "MixingTest", "count_points", "PointCounts"),
    ),
    "Inference": (
        *("efficient_estimate", "EfficientEstimate"),
        *("INTERVAL_KINDS", "IntervalKind", "Intervals", "COVARIANCE_KINDS"),
        *("jackknife", "bootstrap", "Resamples", "BOOTSTRAP_WEIGHTS"),
        *("likelihood_ratio_interval",),
        *("delta_method", "Functional", "Evidence"),
    ),
    "Tables": ("compare_fits", "Comparison"),
    "Grids": (
        *("uniform_grid", "quantile_grid", "product_grid", "halton_grid"),
        *("data_range", "most_likely_points", "adequacy", "Adequacy", "gradient_on"),
    ),
    "How it ended": ("RESULTS", "RESULT_CODES", "result_code"),
}

_ABOUT_REPORTED = """\
# What an estimator reports

Made from `experiments/estimators/outcome.py` by `python -m experiments.api_page`.

Block files and `replications.nc` have these by these names. What is not known is NaN,
of whole numbers -1, the merged file's `_FillValue`: missing once it is read. All have
the dimensions of the study, estimator, grid, sample size, number of points and
replication, and the axes named.

| name | axes | type | unit | what it is |
|---|---|---|---|---|"""

SETTING = """\
import equinox as eqx
import jax
import jax.numpy as jnp
from spmlex import *


class Panel(eqx.Module):
    \"\"\"Three outcomes x_it coef + v_i + e_it, with e standard normal.\"\"\"

    coef: jax.Array

    def simulate(self, data, *, rng):
        mean = data["x"] * self.coef + data["latent"][:, None]
        return {"y": mean + jax.random.normal(rng, mean.shape)}

    def lclk(self, data, supp):
        rest = (data["y"] - data["x"] * self.coef)[:, :, None] - supp
        return jax.scipy.stats.norm.logpdf(rest).sum(axis=1)


keys = jax.random.split(jax.random.key(0), 3)
data = {"x": jax.random.normal(keys[0], (60, 3))}
latent = {"latent": jnp.sign(jax.random.normal(keys[1], (60,)))}
data |= Panel(jnp.array(0.5)).simulate(data | latent, rng=keys[2])
supp = jnp.linspace(-3.0, 3.0, 25)
model0 = Panel(jnp.array(0.0))
estimate = fit(model0, data, supp, support="grid")
"""

HEAD = f"""\
# The public API of spmlex

Made from the docstrings by `python -m experiments.api_page`. Equations are those of
[README.md](README.md). `Scalar`, `Probs`, `Weights`, `LogCondLik` are arrays of floats
of shapes (), (n_supp,), (n_obs,) and (n_obs, n_supp); `Model`, `Data` and `Support` are
pytrees, as `fit` says; `Estimated` is what `fit` returns, or anything else with an
`evidence`; `Clusters` and `Groups` are whole numbers of shape (n_obs,), or `None`. A
test runs the examples, each after this:

```python
{SETTING}```
"""


def render() -> str:
    """Return the page."""
    objects = find_objects()
    parts = [HEAD]
    # Of two headings that differ in case only the second gets a number.
    anchors: dict[str, str] = {}
    for name in (name for names in GROUPS.values() for name in names):
        taken = name.lower() in anchors.values()
        anchors[name] = f"{name.lower()}{'-1' if taken else ''}"
    for title, names in GROUPS.items():
        links = [f"[{name}](#{anchors[name]})" for name in names]
        text = f"- {title}: {', '.join(links)}"
        parts.append(textwrap.fill(text, 88, subsequent_indent="  "))
    for title, names in GROUPS.items():
        parts += [f"\n## {title}", *(describe(name, objects[name]) for name in names)]
    return "\n".join(parts).rstrip() + "\n"


def find_objects() -> dict[str, griffe.Object]:
    """Return what griffe knows of every public name."""
    package = griffe.load(
        "spmlex",
        search_paths=[ROOT],
        docstring_parser="google",
        docstring_options=griffe.GoogleOptions(
            returns_named_value=False, returns_multiple_items=False
        ),
        allow_inspection=False,
    )
    found = {name: package.members[name] for name in spmlex.__all__}
    return {
        name: each.final_target if isinstance(each, griffe.Alias) else each
        for name, each in found.items()
    }


def describe(name: str, thing: griffe.Object) -> str:
    """Return the entry of one public name."""
    head = f"\n### {name}\n"
    if isinstance(thing, griffe.Function):
        return f"{head}\n{describe_function(thing)}"
    if not isinstance(thing, griffe.Class) or name == "RESULTS":
        return f"{head}\n{describe_values(name)}"
    lines = [head, format_docstring(thing)]
    for member in list_members(thing):
        if isinstance(member, griffe.Function):
            lines.append(f"\n{describe_function(member, f'{name}.')}")
        else:
            text = format_docstring(member)
            kind = f"(`{member.annotation}`)"
            lines.append(f"\n**`{name}.{member.name}`** {kind}: {text}")
    return "\n".join(lines)


def list_members(
    thing: griffe.Class,
) -> Iterator[griffe.Function | griffe.Attribute]:
    """Yield public methods and properties, those of the classes it builds on last.

    Fields are described with the class.
    """
    inherited = {
        name: each.final_target
        for name, each in thing.inherited_members.items()
        if isinstance(each, griffe.Alias)
    }
    for member in (thing.members | inherited).values():
        if member.name.startswith("_") or isinstance(member, griffe.Alias):
            continue
        if isinstance(member, griffe.Function):
            yield member
        elif isinstance(member, griffe.Attribute) and "property" in member.labels:
            yield member


def render_reported() -> str:
    """Return the page of what an estimator of a study reports."""
    rows = [
        f"| `{name}` | {', '.join(of.axes) or '-'} | `{of.dtype}` | {of.unit} | "
        f"{of.description} |"
        for name, of in QUANTITIES.items()
    ]
    return "\n".join([_ABOUT_REPORTED, *rows, ""])


def describe_function(function: griffe.Function, prefix: str = "") -> str:
    """Return a function's signature and docstring."""
    arguments = list_arguments(function)
    returns = f" -> {function.returns}" if function.returns else ""
    call = f"{prefix}{function.name}({', '.join(arguments)}){returns}"
    if len(call) > 88:
        lines = "".join(f"    {argument},\n" for argument in arguments)
        call = f"{prefix}{function.name}(\n{lines}){returns}"
    return f"```python\n{call}\n```\n\n{format_docstring(function)}"


def list_arguments(function: griffe.Function) -> list[str]:
    """Return the arguments as they are written, with types and defaults."""
    written: list[str] = []
    for each in function.parameters:
        if each.name in ("self", "cls"):
            continue
        text = each.name
        if each.kind is griffe.ParameterKind.var_positional:
            text = f"*{text}"
        elif each.kind is griffe.ParameterKind.keyword_only and not any(
            argument.startswith("*") for argument in written
        ):
            written.append("*")
        text += f": {each.annotation}" if each.annotation else ""
        has_default = each.default is not None and not text.startswith("*")
        written.append(f"{text} = {each.default}" if has_default else text)
    return written


def describe_values(name: str) -> str:
    """Return what a constant holds."""
    if name in ("RESULTS", "RESULT_CODES"):
        if name == "RESULTS":
            return (
                "The result codes of solves and fits, to compare with: `fit.result == "
                "spmlex.RESULTS.successful`. `RESULTS[code]` is the sentence."
            )
        rows = [f"| {c} | `{n}` | {text} |" for c, n, text in spmlex.RESULT_CODES]
        return "\n".join(["| code | name | sentence |", "|---|---|---|", *rows])
    if name == "INTERVAL_KINDS":
        rows = [
            f"| `{kind}` | {row.label} | {row.centre} | {row.sentence} | {row.needs} |"
            for kind, row in spmlex.INTERVAL_KINDS.items()
        ]
        head = ["| kind | label | centre | limits | needs |", "|---|---|---|---|---|"]
        intro = "Every kind of interval by name, an `IntervalKind` each.\n"
        return "\n".join([intro, *head, *rows])
    values = ", ".join(f'"{value}"' for value in getattr(spmlex, name))
    return f"One of {values}."


def format_docstring(thing: griffe.Object) -> str:
    """Return a docstring of Google's style as Markdown, attributes with shapes."""
    sections = thing.docstring.parsed if thing.docstring else []
    return "\n\n".join(_format_section(section) for section in sections)


def _format_section(section: griffe.DocstringSection) -> str:
    match section:
        case griffe.DocstringSectionText():
            return section.value
        case griffe.DocstringSectionExamples():
            parts = [
                f"```pycon\n{text}\n```"
                if kind is griffe.DocstringSectionKind.examples
                else text
                for kind, text in section.value
            ]
            return "\n\n".join(["*Example*", *parts])
        case griffe.DocstringSectionReturns():
            (returned,) = section.value
            return f"*Returns*\n\n{returned.description}"
        case griffe.DocstringSectionParameters():
            title = "Arguments"
            entries = [(f"`{x.name}`", x.description) for x in section.value]
        case griffe.DocstringSectionAttributes():
            title = "Attributes"
            entries = [
                (f"`{x.name}` (`{x.annotation}`)", x.description) for x in section.value
            ]
        case griffe.DocstringSectionRaises():
            title = "Raises"
            entries = [(f"`{x.annotation}`", x.description) for x in section.value]
        case _:
            raise ValueError(f"{section.kind}: a section that the page does not know.")
    lines = [
        textwrap.indent(f"{head}: {text}", "  ").replace("  ", "- ", 1)
        for head, text in entries
    ]
    return "\n".join([f"*{title}*\n", *lines])


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    REPORTED.write_text(render_reported(), encoding="utf-8")
