"""Figures that have been drawn, as the page has them: bytes, and what is seen."""

import base64
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from analysis import labels
from analysis.kinds import at_default_kind
from analysis.symbols import in_unicode

FULL_WIDTH = 1300  # pixels, the width of the page at the resolution of the style sheet


class Drawn(NamedTuple):
    """A figure that has been drawn: its caption and its PNG file; folded if detail."""

    caption: str
    path: Path
    detail: bool = False


def say_seen(process: xr.Dataset, picture: Drawn) -> str:
    """Say what is seen in a figure of a measure: its caption, and the range of values.

    Args:
        process: One group of the summary.
        picture: The figure; the name of its file begins with that of what it shows.
    """
    stem = picture.path.stem
    found = [str(x) for x in labels.MEASURES if stem.startswith(x) and x in process]
    # The longest is meant: names of other measures may begin it.
    found.sort(key=len)
    measure = found[-1] if found else ""
    if not measure:
        return picture.caption
    values = at_default_kind(process)[measure]
    others = [x for x in values.dims if x != "parameter"]
    low, high = (
        np.atleast_1d(x.values) for x in (values.min(others), values.max(others))
    )
    names = [""]
    if "parameter" in values.dims:
        names = [f"{in_unicode(str(x))} " for x in values["parameter"].values]
    spans = [
        f"{name}from {x:.3g} to {y:.3g}"
        for name, x, y in zip(names, low, high, strict=True)
        if np.isfinite(x)
    ]
    if not spans:
        return picture.caption
    word = labels.label_measure(measure)
    return f"{picture.caption} {word}: {'; '.join(spans)}."


def embed(picture: Drawn, seen: str) -> dict[str, str | int]:
    """Encode a PNG for the page, with its width in percent of the full width."""
    data = picture.path.read_bytes()
    pixels = int.from_bytes(data[16:20])  # PNG specification, section 11.2.2
    return {
        "caption": picture.caption,
        "seen": seen,
        "source": f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}",
        "percent": min(100, round(100 * pixels / FULL_WIDTH)),
    }
