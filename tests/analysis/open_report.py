"""Open a report in a real headless browser: screenshots, a PDF, and what is wrong.

`python tests/analysis/open_report.py results/<study>/report.html FOLDER` needs Chromium
(Debian: `apt-get install chromium`). FOLDER then holds `phone-1.png`, ... (390 pixels
wide) and `desktop-1.png`, ..., from top to bottom with every folded part open, and
`print.pdf`, to be looked at. The exit code is 1 if the page is wider than the window,
an image is broken, or an id that is linked to is not there.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = {"phone": 390, "desktop": 1280}
TALL = 4000  # pixels, one screenshot
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# A window cannot be as narrow as a phone, a frame can.
FRAME = """<!DOCTYPE html><meta charset="utf-8">
<style>
body {{ margin: 0; overflow: hidden }}
iframe {{ border: 0; display: block; margin-top: -{above}px }}
</style>
<iframe src="{page}" width="{width}" height="{height}"></iframe>
<script>
document.querySelector("iframe").onload = event => {{
  const page = event.target.contentDocument;
  page.querySelectorAll("details").forEach(x => x.open = true);
  const all = [...page.querySelectorAll("img")];
  const links = [...page.querySelectorAll("a")].map(x => x.getAttribute("href"));
  const found = {{
    wide: page.documentElement.scrollWidth,
    tall: page.documentElement.scrollHeight,
    images: all.length,
    broken: all.filter(x => !x.naturalWidth).length,
    lost: links.filter(x => !page.getElementById(x.slice(1))).length,
  }};
  document.title = JSON.stringify(found);
}};
</script>"""


def find_browser() -> str:
    """Return the path of Chromium, or end with advice."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        sys.exit(f"found none of {', '.join(NAMES)}; install Chromium.")
    return found


def browse(browser: str, page: Path, *options: str) -> str:
    """Open a page in a fresh profile without network; return what is printed."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *("--allow-file-access-from-files", "--hide-scrollbars"),
            *("--virtual-time-budget=20000", f"--user-data-dir={profile}"),
            *options,
            page.as_uri(),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=True
        )
    return done.stdout


def look(browser: str, page: Path, name: str, folder: Path) -> dict[str, int]:
    """Measure the page at a width and take screenshots of all of it."""
    width = WIDTHS[name]
    frame = folder / f"{name}.html"

    def write_frame(height: int, above: int) -> None:
        settings = {"width": width, "height": height, "above": above}
        frame.write_text(FRAME.format(page=page.as_uri(), **settings))

    write_frame(800, 0)
    dom = browse(browser, frame, "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)
    if title is None:
        sys.exit(f"{page} could not be opened in a frame of {width} pixels.")
    found = json.loads(title[1])
    for i, above in enumerate(range(0, found["tall"], TALL), start=1):
        write_frame(found["tall"], above)
        browse(
            browser,
            frame,
            f"--window-size={width},{min(TALL, found['tall'] - above)}",
            f"--screenshot={folder / name}-{i}.png",
        )
    frame.unlink()
    return found


def main(report: str, target: str) -> int:
    """Look at a report in every way; return the exit code."""
    page, folder = Path(report).resolve(), Path(target).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    browser = find_browser()
    wrong = 0
    for name, width in WIDTHS.items():
        found = look(browser, page, name, folder)
        wrong += found["wide"] > width or found["broken"] > 0 or found["lost"] > 0
        print(f"{name}, {width} pixels: {found}")
    printed = folder / "print.pdf"
    browse(browser, page, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    pages = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    print(f"print: {pages} pages")
    return int(wrong > 0 or pages == 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
