"""From fit to table: frames, Markdown, LaTeX, and several fits side by side."""

import re
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from small_fits import efficient, named, one_slope

from spmlex import compare_fits
from spmlex._evidence.limits import Intervals
from spmlex._words.table import Table, to_latex, to_markdown, to_text

TIDY = [
    "term",
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
]
ODD = Table("x_1 & 50%", ("", "a|b"), (("a_b & c", "-0.5"), ("~^\\", "-inf")), ("# {",))


@pytest.fixture(scope="module")
def both():
    """The fit with two slopes and that with one."""
    return compare_fits([named(), one_slope()], labels=["two", "one"], kind="sandwich")


def test_the_frame_is_tidy_and_holds_the_intervals():
    frame = named().to_frame(0.9, kind="observed")
    lower, upper = named().confint(0.9, kind="observed")
    assert list(frame) == TIDY
    assert list(frame["term"]) == named().names
    assert np.array_equal(frame["conf_low"], lower)
    assert np.array_equal(frame["conf_high"], upper)
    assert np.allclose(frame["statistic"], frame["estimate"] / frame["std_error"])
    assert ((0 < frame["p_value"]) & (frame["p_value"] < 1)).all()


def test_an_open_interval_has_no_statistic():
    one, infinite = jnp.ones(2), jnp.array([jnp.inf, 2.0])
    made = Intervals(one, one, 0.0 * one, infinite, names=("a", "b"))
    assert list(made.to_frame()["statistic"].isna()) == [True, False]
    assert r"$\infty$" in made.to_latex()
    ratio = Intervals(one, jnp.nan * one, 0.0 * one, infinite)
    assert "std. error" not in ratio.to_markdown()
    assert "theta[1]" in repr(ratio)


def test_pandas_is_not_imported_before_a_frame_is_asked_for():
    code = "import sys, spmlex; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_are_escaped_in_every_form():
    latex = to_latex(ODD, caption="100% & more", label="tab:x")
    assert r"a\_b \& c & $-$0.5 \\" in latex
    assert r"\caption{100\% \& more}" in latex
    assert r"\label{tab:x}" in latex
    assert r"$-$$\infty$" in latex
    markdown = to_markdown(ODD)
    assert r"| a\_b & c | -0.5 |" in markdown
    assert r"a\|b" in markdown
    assert named().to_latex(kind="opg").count(r"\\") == 4
    assert "Confidence intervals: outer product." in named().to_latex(kind="opg")


def test_fits_are_aligned_by_name_with_blanks(both):
    frame = both.to_frame()
    assert list(frame.columns) == ["two", "one"]
    estimates = frame.xs("estimate", level="number")
    assert estimates.loc["union", "two"] == float(named().theta[0])
    assert estimates.loc["union", "one"] == float(one_slope().theta[0])
    assert np.isnan(estimates.loc["a_b & c", "one"])
    assert list(frame.loc["observations", "two"]) == [60.0]
    row = next(x for x in both.to_markdown().splitlines() if "a\\_b" in x)
    assert row.endswith("|  |")
    error = float(one_slope().intervals(kind="sandwich").standard_error[0])
    assert f"({error:.3f})" in repr(both)
    assert "*" not in repr(both)


def test_information_criteria_count_theta_places_and_masses(both):
    fit = named()
    points = int(fit.num_atoms)
    size = 2 + 2 * points - 1
    assert float(fit.aic) == pytest.approx(2 * size - 2 * fit.log_likelihood)
    assert float(fit.bic) == pytest.approx(
        size * np.log(60.0) - 2 * float(fit.log_likelihood)
    )
    below = both.statistics[0]
    assert below["AIC"] == float(fit.aic)
    assert below["support points"] == points


def test_intervals_and_stars_are_there_for_the_asking():
    made = compare_fits([named()], below="interval", stars=True, kind="opg", digits=1)
    lower, upper = named().confint(kind="opg")
    assert re.search(r"\[\d\.\d+, \d\.\d+\]", repr(made))
    assert f"[{float(lower[0]):.2f}, {float(upper[0]):.2f}]" in repr(made)
    assert "***" in repr(made)
    assert "95% intervals in brackets" in repr(made)


def test_a_small_standard_error_gets_the_digits_to_be_seen():
    from spmlex._answers.comparison import _places

    assert _places([0.0123, 20.0], 3) == 3
    assert _places([0.000123], 3) == 5
    assert _places([np.nan], 3) == 3


@pytest.mark.thorough
def test_an_efficient_estimate_stands_beside_a_maximum():
    made = compare_fits([named(), efficient()])
    notes = repr(made)
    assert "of (1): sandwich." in notes
    assert "of (2): efficient score, inverted." in notes
    assert list(efficient().to_frame(kind="efficient_wald")) == TIDY
    assert "union" in efficient().to_markdown(kind="efficient_wald")
    assert "union" in efficient().to_latex(kind="efficient_wald")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fits": []}, r"fits=\[\]: give a list"),
        ({"labels": ["a", "a"]}, "labels=.*give a distinct text"),
        ({"labels": ["a"]}, "for each of the 2 estimates"),
        ({"below": "both"}, "below='both' is not what can stand below"),
        ({"digits": 20}, "digits=20: give 0 to 9"),
        ({"kind": "wrong"}, "kind='wrong' is not a kind of interval"),
    ],
)
def test_a_wrong_argument_is_named(given, words):
    fits = [named(), one_slope()]
    with pytest.raises(ValueError, match=words):
        compare_fits(**({"fits": fits} | given))


COMPILER = shutil.which("pdflatex") or shutil.which("tectonic")
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.thorough
@pytest.mark.skipif(COMPILER is None, reason="no LaTeX is installed")
def test_latex_compiles(both, tmp_path):
    texts = [
        both.to_latex(caption="Two fits & 100%", label="tab:fits"),
        named().to_latex(kind="opg"),
        to_latex(ODD),
    ]
    (tmp_path / "a.tex").write_text(DOCUMENT % "\n\n".join(texts))
    options = ["-interaction=nonstopmode"] if "pdflatex" in str(COMPILER) else []
    done = subprocess.run(
        [str(COMPILER), *options, "a.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def test_text_tables_keep_numbers_and_brackets_in_line():
    lines = to_text(
        Table("t", ("", "a"), (("x", "1.0"), ("", "(0.1)")), ("n",))
    ).splitlines()
    assert lines[4] == "x   1.0"
    assert lines[5] == "   (0.1)"
