"""The page of the public API, from the docstrings: `python -m experiments.api_page`.

Writes `spmlex/API.md`. Signatures are read from the source, so that they show the names
of shapes that the code uses. A test holds that the page is current.
"""

import ast
import re
import textwrap
from pathlib import Path

import spmlex

PACKAGE = Path(__file__).parents[1] / "spmlex"
PAGE = PACKAGE / "API.md"

GROUPS = {
    "Estimate": ("fit", "Fit", "Optima", "SUPPORTS"),
    "The profile likelihood": (
        *("profile_ll", "profile", "solve_probs", "MixingSolution", "SOLVERS"),
        "parameter_names",
    ),
    "Inference": (
        *("efficient_estimate", "EfficientEstimate"),
        *("INTERVAL_KINDS", "IntervalKind", "Intervals", "COVARIANCE_KINDS"),
        *("jackknife", "bootstrap", "Resamples", "BOOTSTRAP_WEIGHTS"),
        *("likelihood_ratio_test", "likelihood_ratio_interval", "LikelihoodRatio"),
        *("delta_method", "Functional", "Evidence"),
    ),
    "Grids": (
        *("uniform_grid", "quantile_grid", "product_grid", "halton_grid"),
        *("data_range", "locate_observations", "adequacy", "Adequacy", "gradient_on"),
    ),
    "How it ended": ("RESULTS", "RESULT_CODES", "result_code"),
}

HEAD = """\
# The public API of spmlex

Made from the docstrings by `python -m experiments.api_page`. Equations are those of
[README.md](README.md). `Scalar`, `Probs`, `Weights`, `LogCondLik` are arrays of floats
of shapes (), (n_supp,), (n_obs,) and (n_obs, n_supp); `Model`, `Data` and `Support` are
pytrees, as `fit` says; `Estimated` is what `fit` returns, or anything else with an
`evidence`; `Clusters` are whole numbers of shape (n_obs,), or `None`.
"""

SECTION = re.compile(r"(Args|Attributes|Returns|Raises):")


def render() -> str:
    """Return the page."""
    nodes = find_nodes()
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
        parts += [f"\n## {title}", *(describe(name, nodes[name]) for name in names)]
    return "\n".join(parts).rstrip() + "\n"


def find_nodes() -> dict[str, ast.stmt]:
    """Return the definition of every public name, and the text below constants."""
    nodes = {}
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        path = PACKAGE.parent / Path(*node.module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        names = [alias.name for alias in node.names]
        for source in (path, *sorted(path.parent.glob("*.py"))):
            for found in ast.parse(source.read_text()).body:
                for name in names:
                    if name not in nodes and defines(found, name):
                        nodes[name] = found
    return nodes


def defines(node: ast.stmt, name: str) -> bool:
    """Tell whether a statement defines a name."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target) == name
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name


def describe(name: str, node: ast.stmt) -> str:
    """Return the entry of one public name."""
    if isinstance(node, ast.FunctionDef):
        return f"\n### {name}\n\n{describe_function(node)}"
    if not isinstance(node, ast.ClassDef) or name == "RESULTS":
        return f"\n### {name}\n\n{describe_values(name)}"
    lines = [f"\n### {name}\n", format_docstring(node)]
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            decorators = [ast.unparse(each) for each in method.decorator_list]
            if "property" in decorators:
                kind = ast.unparse(method.returns) if method.returns else ""
                text = format_docstring(method)
                lines.append(f"\n**`{name}.{method.name}`** (`{kind}`): {text}")
            else:
                lines.append(f"\n{describe_function(method, f'{name}.')}")
    return "\n".join(lines)


def describe_function(node: ast.FunctionDef, prefix: str = "") -> str:
    """Return a function's signature and docstring."""
    arguments = [each for each in list_arguments(node.args) if each != "self"]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    call = f"{prefix}{node.name}({', '.join(arguments)}){returns}"
    if len(call) > 88:
        lines = "".join(f"    {argument},\n" for argument in arguments)
        call = f"{prefix}{node.name}(\n{lines}){returns}"
    return f"```python\n{call}\n```\n\n{format_docstring(node)}"


def list_arguments(arguments: ast.arguments) -> list[str]:
    """Return the arguments as they are written, with types and defaults."""

    def write(argument: ast.arg, default: ast.expr | None) -> str:
        text = ast.unparse(argument)
        return text if default is None else f"{text} = {ast.unparse(default)}"

    plain = arguments.args
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    written = [write(*pair) for pair in zip(plain, defaults, strict=True)]
    if arguments.vararg:
        written.append(f"*{ast.unparse(arguments.vararg)}")
    elif arguments.kwonlyargs:
        written.append("*")
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return written + [write(*pair) for pair in pairs]


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


def format_docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a docstring of Google's style as Markdown."""
    lines = []
    inside = ""
    for line in (ast.get_docstring(node) or "").splitlines():
        header = SECTION.fullmatch(line)
        if header:
            inside = header[1]
            lines.append(f"*{'Arguments' if inside == 'Args' else inside}*\n")
        elif inside in ("Args", "Attributes", "Raises"):
            entry = re.fullmatch(r"    (\w+): (.*)", line)
            lines.append(f"- `{entry[1]}`: {entry[2]}" if entry else line[4:])
        else:
            lines.append(textwrap.dedent(line) if inside else line)
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
