"""Panels have one size, and what is written around them has its place."""

import functools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from synthetic_study import summarise_synthetic

from analysis.figures import against_size, drawing, fonts, overview
from analysis.figures.panels import draw_panels, figure_of

NAMES = ("Profile likelihood", "Efficient score, inverted")
DESIGN = {"sample_sizes": (500, 1000), "n_supp": (25, 50), "estimators": NAMES}


@functools.cache
def process():
    return summarise_synthetic(**DESIGN)


def draw(kind):
    one = process().sel(estimator=NAMES[0])
    plots = {
        "legend below": (one, against_size.plot_bias, {}),
        "legend in a free place": (one, against_size.plot_rmse, {"columns": 2}),
        "panels too low for it": (
            one,
            against_size.plot_rmse,
            {"columns": 2, "height": 1.0},
        ),
        "long names": (
            process().sel(sample_size=500),
            overview.plot_lolly,
            {"share_y": True, "legend": None},
        ),
        "one panel": (one, against_size.plot_seconds, {"over": ""}),
    }
    chosen, plot, options = plots[kind]
    with drawing.style():
        figure = figure_of(draw_panels(chosen, plot, **options))
        with fonts.light_fonts(figure):  # as it is saved
            figure.draw_without_rendering()
            boxes = [ax.get_tightbbox() for ax in figure.axes]
    assert None not in boxes
    return figure, [x for x in boxes if x is not None]


@pytest.mark.parametrize(
    ("kind", "free"),
    [
        ("legend below", False),
        ("legend in a free place", True),
        ("panels too low for it", False),
        ("long names", False),
        ("one panel", False),
    ],
)
def test_nothing_overlaps_or_leaves_the_figure(kind, free):
    figure, panels = draw(kind)
    legends = [x.get_window_extent() for x in figure.legends]
    boxes = [*panels, *legends]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.height
        assert not any(Bbox.intersection(box, other) for other in boxes[:i])
    sizes = [ax.get_position().size for ax in figure.axes]
    np.testing.assert_allclose(sizes, [sizes[0]] * len(sizes))
    lowest = min(x.y0 for x in panels)
    assert all((x.y0 > lowest) == free for x in legends)


def test_the_copy_of_the_font_is_the_original_with_fewer_glyphs():
    for name, copy in fonts.copy_fonts().items():
        original = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
        light, full = font_manager.get_font(copy), font_manager.get_font(original)
        assert light.num_glyphs < full.num_glyphs / 5
        for letter in "Az09_[]()é\N{GREEK SMALL LETTER LAMDA}\N{MINUS SIGN}":
            assert light.get_char_index(ord(letter)) > 0
        for font in (light, full):
            font.set_size(8, 100)
            font.set_text("AVAT 0.95 (0.01)")
        assert light.get_width_height() == full.get_width_height()


def test_a_figure_is_saved_in_the_copy_and_the_list_of_fonts_left_alone(tmp_path):
    known = list(font_manager.fontManager.ttflist)
    figure, _ = draw("one panel")
    figure.text(0.5, 0.5, "\N{HEBREW LETTER ALEF}")  # not in the copy
    with fonts.light_fonts(figure):
        files = {text.get_fontproperties().get_file() for text in figure.findobj(Text)}
        assert files == {None, str(fonts.copy_fonts()["DejaVuSans.ttf"])}
        assert font_manager.fontManager.ttflist == known
    drawing.save_figure(figure, tmp_path / "figure.pdf")
    assert all(x.get_fontproperties().get_file() is None for x in figure.findobj(Text))
    assert font_manager.fontManager.ttflist == known
