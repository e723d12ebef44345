"""Figures written to files, in several processes where there are many."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from analysis.figures import drawing
from analysis.figures.catalogue import Picture
from analysis.files import slug, write_file

PICTURES_A_PROCESS = 8  # fewer are drawn sooner than a process starts


def write_pictures(pictures: list[tuple[Picture, Path]]) -> list[tuple[Path, Path]]:
    """Write pictures to folders as PDF and PNG, many at a time where there are many.

    Embedding fonts takes most of the time. A process starts in a second or two.
    """
    workers = min(os.cpu_count() or 1, len(pictures) // PICTURES_A_PROCESS)
    if workers < 2:
        return [write_picture(x) for x in pictures]
    # Spawned, not forked: the caller may have threads, of JAX for one.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(write_picture, pictures))


def write_picture(job: tuple[Picture, Path]) -> tuple[Path, Path]:
    """Draw one picture into its folder; return the paths of PDF and PNG."""
    picture, folder = job
    with drawing.style():
        figure = picture.draw()
        pdf, png = (
            write_file(
                folder / f"{slug(picture.name)}.{ending}",
                lambda path: drawing.save_figure(figure, path),
            )
            for ending in ("pdf", "png")
        )
    return pdf, png
