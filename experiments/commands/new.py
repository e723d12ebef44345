"""The action `new`: a model, its process, an experiment and a test that run at once.

The files in `experiments/templates/` are written under the name given; in them stands
`skeleton`, or `Skeleton` for the class.
"""

import keyword
import re
from pathlib import Path

from experiments.errors import InputError
from experiments.store.atomic import replacing

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "experiments" / "templates"

FILES = {
    "model.py.txt": (
        "experiments/models/{}.py",
        "its parameters, simulate, lclk, starting_values",
    ),
    "dgp.yaml": ("conf/dgp/{}.yaml", "the truth, and how the unobservable is drawn"),
    "experiment.yaml": ("conf/experiment/{}.yaml", "the question, sizes, estimators"),
    "test.py.txt": ("tests/experiments/test_{}.py", "what has to hold of the model"),
}
"""By template: where it goes, and what it holds."""


def main(arguments: list[str]) -> int:
    """Write the files under the name given; return the exit code."""
    if len(arguments) != 1:
        raise InputError("new: give one name, such as `new wages`.")
    (name,) = arguments
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise InputError(
            f"{name}: not a name for a module. Use small letters, digits and _, the "
            "first a letter, such as `new wages`."
        )
    if not (TEMPLATES.parents[1] / "pyproject.toml").is_file():
        raise InputError(
            "new: it writes into a clone of the repository; this is an installed copy."
        )
    paths = {source: ROOT / to.format(name) for source, (to, _) in FILES.items()}
    taken = [str(path.relative_to(ROOT)) for path in paths.values() if path.exists()]
    if taken or name == "default":
        raise InputError(
            f"{name}: there already{': ' if taken else ''}{', '.join(taken)}. Choose "
            "another name; nothing was written."
        )
    for source, path in paths.items():
        text = (TEMPLATES / source).read_text()
        text = text.replace("skeleton", name).replace("Skeleton", _name_class(name))
        with replacing(path) as temporary:
            temporary.write_text(text)
    print("Written:")
    for to, holds in FILES.values():
        print(f"  {to.format(name):34} {holds}")
    print(
        f"Try it:\n  python -m pytest {FILES['test.py.txt'][0].format(name)}\n"
        f"  python -m experiments.run sweep experiment={name}\n"
        "Then make the model yours, one file after the other; both commands tell what "
        "is missing."
    )
    return 0


def _name_class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
