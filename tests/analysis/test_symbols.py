"""Parameters are written by their symbols, everywhere."""

import pytest
import xarray as xr
import yaml
from synthetic_study import CONFIG, summarise_study

from analysis.configuration import read_symbols
from analysis.figures import against_size, drawing
from analysis.figures.panels import draw_panels, figure_of
from analysis.labels import name_groups
from analysis.report.ademp import describe_study
from analysis.symbols import in_latex, in_unicode
from analysis.tables import rounding
from analysis.tables.catalogue import list_tables
from analysis.tables.console import render_console_table
from analysis.tables.latex import to_latex
from analysis.tables.printed import print_rows

NAME = "linear_factor_discrete"
SYMBOL = {"coef": [r"\lambda_2", r"\lambda_3"], "log_std_e[0]": r"\log\sigma_1"}


def with_symbols(symbol):
    summary = summarise_study(sample_sizes=(500, 1000), n_supp=(25,)).copy()
    config = yaml.safe_load(CONFIG)
    config["dgp"][NAME]["symbol"] = symbol
    summary.attrs["config"] = yaml.safe_dump(config)
    return summary


@pytest.mark.parametrize(
    ("symbol", "sign"),
    [
        (r"\lambda_2", "λ₂"),
        (r"\log\sigma_1", "log σ₁"),
        (r"\log \sigma^2_{10}", "log σ²₁₀"),
        (r"\hat\beta_{xz}", "β\u0302_xz"),
        (r"\Delta x", "Δ x".replace(" ", "")),
        (r"\Pr(v > 0)", "Pr(v > 0)"),
        (r"\mathrm{ATE}", "ATE"),
        ("c", "c"),
    ],
)
def test_symbols_are_written_in_signs_without_latex(symbol, sign):
    assert in_unicode(f"${symbol}$") == sign


def test_a_parameter_without_a_symbol_keeps_its_name():
    assert in_latex("log_std_e[2]") == r"$\mathrm{log\_std\_e}_{2}$"
    assert in_latex("scale_b") == r"scale\_b"
    assert in_latex("F: Wasserstein-1") == "F: Wasserstein-1"  # words keep their blanks
    assert in_latex(r"$\beta_1$") == r"$\beta_1$"
    assert in_unicode("log_std_e[2]") == "log_std_e[2]"


def test_symbols_of_the_process_are_read_from_the_study():
    assert read_symbols(with_symbols(SYMBOL), NAME) == {
        "coef[0]": r"\lambda_2",
        "coef[1]": r"\lambda_3",
        "log_std_e[0]": r"\log\sigma_1",
    }
    assert read_symbols(with_symbols(None), NAME) == {}
    assert read_symbols(xr.DataTree(), NAME) == {}


def test_tables_figures_console_and_text_show_symbols():
    summary = with_symbols(SYMBOL)
    named = name_groups(summary)
    table = next(iter(list_tables(named, NAME)))
    assert set(rounding.format_table(table.numbers)["Parameter"]) == {
        *("λ₂", "λ₃", "log σ₁")
    }
    assert r"$\lambda_2$" in to_latex(print_rows(table.numbers, caption="C"), label="a")
    console = render_console_table(summary)
    assert "log σ₁" in console
    assert "log_std_e" not in console
    assert "λ₂ (1.5)" in describe_study(named)["Estimands"]
    one = named[NAME].to_dataset().sel(estimator="profile", grid="uniform")
    with drawing.style():
        figure = figure_of(draw_panels(one, against_size.plot_bias))
        (ax,) = draw_panels(one, against_size.plot_bias, panels=["coef[1]"])
    assert [ax.get_title() for ax in figure.axes] == ["λ₂", "λ₃", "log σ₁"]
    assert ax.get_title() == "λ₃"


def test_symbols_that_two_parameters_share_are_not_used():
    named = name_groups(with_symbols({"coef": ["a", "a"]}))
    assert named[NAME].to_dataset()["parameter"].values.tolist()[:2] == [
        "coef[0]",
        "coef[1]",
    ]
