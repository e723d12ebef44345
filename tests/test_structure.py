"""Which module may import which, and that nothing lies about unused."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import spmlex

ROOT = Path(__file__).parents[1]
PACKAGES = ("spmlex", "experiments", "analysis")

# Beside the standard library; experiments may import what it depends on.
OUTSIDE = {
    "spmlex": {
        *("equinox", "jax", "jaxtyping", "matplotlib", "mixsqpx", "numpy", "pandas"),
        "scipy",
        "spmlex",
        "threadpoolctl",
    },
    "analysis": {
        *("analysis", "fontTools", "jaxtyping", "jinja2", "matplotlib", "numpy"),
        *("pandas", "scipy", "xarray", "yaml"),
    },
}

# What each wing may know of the others; all know the modules beside them.
PARTS = {"mixing", "models", "estimands", "estimators"}
MACHINERY = {"config", "engine", "store", "compute"}
EXPERIMENTS = {
    "mixing": set(),
    "models": {"mixing"},
    "estimands": {"mixing"},
    "estimators": {"mixing", "estimands"},
    "config": PARTS,
    "engine": PARTS,
    "store": PARTS,
    "compute": set(),
    "session": PARTS | MACHINERY,
    "commands": PARTS | MACHINERY | {"session"},
}
ANALYSIS = {
    "measures": set(),
    "tables": {"measures"},
    "figures": {"measures"},
    "report": {"measures", "tables"},
}
WINGS = {"experiments": EXPERIMENTS, "analysis": ANALYSIS}

# The likelihoods of rival estimators are climbed by the optimiser of spmlex, and their
# intervals have its quantile.
OPTIMISER = {
    *("_evidence.covariance", "_evidence.student", "_profile.evaluation"),
    *("_climb.newton", "_climb.trust_region", "_climb.verdict"),
}

# What makes a `Fit` or keeps it, and what says why it failed.
KNOW_FITS = {
    *(
        "spmlex",
        "spmlex._result.explain",
        "spmlex._fit.fit",
        "spmlex._fit.free_support",
    ),
    *("spmlex._fit.polish", "spmlex._fit.grid_search", "spmlex._result.saving"),
    "spmlex._fit.mixing_test",
}


def name_module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_module(path): ast.parse(path.read_text())
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def list_imports(tree):
    """Yield (module, name) of each import, also inside functions and for types only.

    A name that is None stands for the module itself.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        yield from list_imports(node)


def own_imports(module):
    """Return the modules of this repository that one imports."""
    found = set()
    for target, name in list_imports(MODULES[module]):
        inner = f"{target}.{name}"
        found.add(inner if inner in MODULES else target)
    return (found & MODULES.keys()) - {module}


def test_no_module_imports_itself_by_a_detour():
    graph = {module: own_imports(module) for module in MODULES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == MODULES.keys()
    assert order.index("spmlex._words.types") < order.index("spmlex")


def list_annotations(tree):
    """Yield the annotations of a module's arguments, results and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns:
            yield node.returns


def test_the_library_has_no_circle_of_meaning_either():
    """No type in quotes but of a class itself, no import for types only."""
    for module, tree in MODULES.items():
        if not module.startswith("spmlex"):
            continue
        own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        for annotation in list_annotations(tree):
            text = ast.unparse(annotation)
            quoted = set(re.findall(r"""^['"]([A-Z]\w+)['"]$""", text))
            assert quoted <= own, (module, text)
        names = {name for _, name in list_imports(tree)}
        assert "TYPE_CHECKING" not in names, module
        # Inference asks an `Evidence`; what was estimated is known above it.
        if "spmlex._result.result" in own_imports(module):
            assert module in KNOW_FITS, module


def wing_of(module):
    """Return which wing of its package a module is in, or None."""
    package, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    return name if name in WINGS.get(package, ()) else None


@pytest.mark.parametrize(
    ("package", "wing"), [(x, wing) for x, wings in WINGS.items() for wing in wings]
)
def test_a_wing_knows_only_those_below_it(package, wing):
    inside = [
        module
        for module in MODULES
        if module.startswith(f"{package}.") and wing_of(module) == wing
    ]
    assert len(inside) > 2
    for module in inside:
        imports = (x for x in own_imports(module) if x.startswith(f"{package}."))
        known = {wing_of(other) for other in imports} - {None, wing}
        assert known <= WINGS[package][wing], module


def test_modules_beside_the_wings_know_the_parts_of_a_study_alone():
    commands = {"run", "benchmark", "throughput", "timings"}
    for module in MODULES:
        package, _, name = module.partition(".")
        if package != "experiments" or wing_of(module) or name in commands:
            continue
        imports = (x for x in own_imports(module) if x.startswith("experiments."))
        known = {wing_of(other) for other in imports} - {None}
        assert known <= PARTS, module


def read_floors():
    """Return the folders of `spmlex` as its page lists them."""
    page = (ROOT / "spmlex" / "README.md").read_text()
    table = page.split("\n## Where things are\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.M)


def test_a_floor_of_the_library_knows_only_those_above_it():
    floors = ["_version", *read_floors()]
    inside = [x for x in MODULES if x.startswith("spmlex.")]
    assert sorted(floors) == sorted({x.split(".")[1] for x in inside})
    for module in inside:
        for other in own_imports(module):
            one, two = module.split(".")[1], other.split(".")[1]
            assert floors.index(two) <= floors.index(one), (module, other)


@pytest.mark.parametrize("package", OUTSIDE)
def test_a_package_imports_only_what_it_may(package):
    for module in MODULES:
        if module.partition(".")[0] == package:
            tops = {
                target.partition(".")[0] for target, _ in list_imports(MODULES[module])
            }
            assert tops - sys.stdlib_module_names <= OUTSIDE[package], module


def test_of_the_analysis_studies_know_the_report_and_plain_definitions():
    plain = {"analysis.dimensions", "analysis.files", "analysis.measures.formulas"}
    plain |= {"analysis.conventions", "analysis.seal", "analysis.nulls"}
    known = {
        module: {x for x in own_imports(module) if x.startswith("analysis")}
        for module in MODULES
        if module.startswith("experiments")
    }
    makers = {module for module, found in known.items() if found - plain}
    assert makers == {"experiments.commands.report", "experiments.commands.verify"}
    for module in plain:
        tops = {x.partition(".")[0] for x, _ in list_imports(MODULES[module])}
        assert tops <= sys.stdlib_module_names, module


def test_every_module_is_checked_strictly():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    assert project["typeCheckingMode"] == "strict"
    assert {"spmlex", "experiments", "analysis"} <= set(project["include"])
    assert [x["root"] for x in project["executionEnvironments"]] == ["tests"]
    texts = {
        path: path.read_text()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    for path, text in texts.items():
        assert not re.search("^# *pyright:", text, re.M), path
    # Exemptions become fewer: lower these numbers, never raise them.
    tests = project["executionEnvironments"][0]
    assert list(project.values()).count(False) <= 6
    assert list(tests.values()).count(False) <= 11
    assert sum(text.count("# pyright: ignore") for text in texts.values()) <= 16


def test_private_names_stay_in_their_module():
    for module in MODULES:
        for target, name in list_imports(MODULES[module]):
            if target.partition(".")[0] not in PACKAGES:
                continue
            is_module = f"{target}.{name}" in MODULES
            assert is_module or name is None or not re.match("_[a-z]", name), module
            inside = target.removeprefix("spmlex.")
            if target.startswith("spmlex._") and not module.startswith("spmlex"):
                assert module.startswith("experiments.estimators."), module
                assert inside in OPTIMISER, (module, target)


def test_every_module_says_what_lives_there():
    for module, tree in MODULES.items():
        text = ast.get_docstring(tree) or ""
        first = text.partition("\n\n")[0].replace("\n", " ").rstrip()
        assert len(first) > 20, module
        assert first.endswith((".", "?", ":", "`.")), (module, first)


def count_lines(function):
    """Return how many lines a function has beside its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    text = function.body[0]
    return lines - (text.end_lineno - text.lineno + 1)


def test_no_function_is_longer_than_60_lines():
    trees = MODULES | {
        str(path.relative_to(ROOT)): ast.parse(path.read_text())
        for path in (ROOT / "tests").rglob("*.py")
    }
    long = [
        f"{module}.{node.name}: {count_lines(node)} lines"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and count_lines(node) > 60
    ]
    assert long == []


def list_definitions(tree):
    """Yield the names that a module defines, and the methods of its classes."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            registered = any(
                ast.unparse(d).endswith("jvp") for d in node.decorator_list
            )
            if not registered:
                yield node.name
            if isinstance(node, ast.ClassDef):
                yield from (m.name for m in node.body if isinstance(m, ast.FunctionDef))


def list_uses(tree):
    """Yield the words that code refers to by name, attribute, keyword or text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"\w+", node.value) if len(node.value) < 80 else ()


def test_nothing_is_there_for_the_tests_alone():
    used = {word for tree in MODULES.values() for word in list_uses(tree)}
    for path in (ROOT / "conf").rglob("*.yaml"):
        used |= set(re.findall(r"\w+", path.read_text()))
    # What users of the library call, its classes' methods and attributes included.
    public = set(spmlex.__all__)
    for name in spmlex.__all__:
        public |= set(dir(getattr(spmlex, name)))
    unused = [
        f"{module}.{name}"
        for module, tree in MODULES.items()
        for name in list_definitions(tree)
        if name not in used | public and not re.fullmatch("__.*__", name)
    ]
    assert unused == []


def test_public_names_are_listed_once_and_exist():
    assert len(set(spmlex.__all__)) == len(spmlex.__all__)
    for name in spmlex.__all__:
        assert getattr(spmlex, name).__doc__ or name.isupper(), name


def test_the_version_is_told_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## ([\d.]+), \d{4}-\d\d-\d\d$", changes, re.M)[0] == (
        spmlex.__version__
    )
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {spmlex.__version__}\n" in citation


def test_a_wheel_brings_every_folder_of_the_configuration():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    brought = set(project["tool"]["setuptools"]["data-files"])
    there = {"conf"} | {
        f"conf/{x.name}" for x in (ROOT / "conf").iterdir() if x.is_dir()
    }
    assert {f"share/spmlex/{x}" for x in there} == brought
