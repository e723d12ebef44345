"""Open a report in a real headless browser: screenshots, a PDF, and what is wrong.

`python tests/analysis/open_report.py results/<study>/report.html FOLDER` needs Chromium
(Debian: `apt-get install chromium`). FOLDER then holds `phone-1.png`, ... (390 pixels
wide) and `desktop-1.png`, ..., from top to bottom with every folded part open, and
`print.pdf`, to be looked at. The exit code is 1 if the page is wider than the window,
the main table is wider than its room on the desktop, an image is broken, an id that is
linked to is not there, a selector, a sorted column or a mark of a figure does not do
what it should, or something lacks a name for those who do not see it.
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
// Choose, sort, reach a mark with the keyboard: what a reader does.
function use(page) {{
  const table = page.getElementById("main-table");
  if (!table) return {{}};
  const count = () => table.tBodies[0].rows.length, before = count();
  const select = page.querySelector("#controls select");
  // Beside the figure there is room for the main measures.
  const region = table.parentNode;
  const fits = Number(region.scrollWidth <= region.clientWidth);
  let chosen = -1, first = "";
  if (select) {{
    first = select.value;
    select.value = select.options[1].value;
    select.dispatchEvent(new Event("change"));
    chosen = count();
    select.value = "-1";
    select.dispatchEvent(new Event("change"));
  }}
  const head = [...table.tHead.rows[0].cells].find(x => x.textContent === "RMSE");
  head.querySelector("button").click();
  const column = [...table.tHead.rows[0].cells].indexOf(head);
  const values = [...table.tBodies[0].rows]
    .map(x => parseFloat(x.cells[column].dataset.value)).filter(x => !isNaN(x));
  // The main figure of every measure: all words inside it, none on another.
  const measures = page.getElementById("choose-measure"), drawn = [], named = new Set();
  let cut = 0, crossed = 0;
  const settle = picture => {{
    const box = picture.getBoundingClientRect();
    const words = [...picture.querySelectorAll("text")]
      .map(x => x.getBoundingClientRect());
    const beyond = x => x.left < box.left - 1 || x.right > box.right + 1
      || x.top < box.top - 1 || x.bottom > box.bottom + 1;
    const meet = (x, y) => Math.min(x.right, y.right) - Math.max(x.left, y.left) > 1
      && Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 4;
    cut += words.filter(beyond).length;
    words.forEach((x, i) => {{
      crossed += words.slice(i + 1).filter(y => meet(x, y)).length;
    }});
  }};
  const start = measures.value;
  for (const option of [...measures.options]) {{
    measures.value = option.value;
    measures.dispatchEvent(new Event("change"));
    const pictures = [...page.querySelectorAll("#chart svg")];
    pictures.forEach(settle);
    drawn.push(page.querySelectorAll("#chart circle").length);
    named.add(pictures.map(x => x.getAttribute("aria-label")).join());
  }}
  const told = Number(named.size === drawn.length);
  measures.value = start;
  measures.dispatchEvent(new Event("change"));
  const mark = page.querySelector("#chart circle");
  if (mark) mark.dispatchEvent(new Event("focus"));
  // Figures of every measure are drawn when they are opened.
  const live = page.querySelector("details.live:not([hidden])");
  let pointed = 1;
  if (live) {{
    live.dispatchEvent(new Event("toggle"));
    const marks = [...live.querySelectorAll("circle")], last = marks[marks.length - 1];
    last.dispatchEvent(new Event("focus"));
    const said = [...live.querySelectorAll(".hover")].pop().textContent;
    pointed = Number(said === last.getAttribute("aria-label"));
  }}
  const unnamed = [...page.querySelectorAll("img, svg, [role=region]")]
    .filter(x => !(x.getAttribute("alt") || x.getAttribute("aria-label"))).length;
  const heads = [...page.querySelectorAll("main th")];
  const hover = page.getElementById("hover");
  const all = count();
  if (select) {{
    select.value = first;
    select.dispatchEvent(new Event("change"));
  }}
  return {{
    fits,
    before, chosen, all,
    sorted: Number(values.every((x, i) => !i || values[i - 1] <= x)),
    announced: Number(head.getAttribute("aria-sort") === "ascending"),
    marks: mark ? Math.min(...drawn) : 0,
    hover: mark ? Number(hover.textContent === mark.getAttribute("aria-label")) : 0,
    told, cut, crossed,
    pointed, unnamed,
    unknown: [...page.querySelectorAll("svg text, td")]
      .filter(x => x.textContent.includes("NaN")).length,
    headless: heads.filter(x => !x.getAttribute("scope")).length,
    uncaptioned: [...page.querySelectorAll("main table")]
      .filter(x => !x.caption && !x.classList.contains("list")).length,
  }};
}}
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
    ...use(page),
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


def is_usable(found: dict[str, int]) -> bool:
    """Tell whether choosing, sorting and pointing did what they should."""
    if "before" not in found:  # no replication yet
        return True
    worked = found["sorted"] and found["announced"] and found["hover"]
    worked = worked and found["pointed"] and found["told"] and found["marks"]
    faults = ("cut", "crossed", "unknown", "unnamed", "headless", "uncaptioned")
    named = not any(found[x] for x in faults)
    return bool(worked and named and found["chosen"] <= found["all"])


def main(report: str, target: str) -> int:
    """Look at a report in every way; return the exit code."""
    page, folder = Path(report).resolve(), Path(target).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    browser = find_browser()
    wrong = 0
    for name, width in WIDTHS.items():
        found = look(browser, page, name, folder)
        wrong += found["wide"] > width or found["broken"] > 0 or found["lost"] > 0
        wrong += not is_usable(found)
        wrong += name == "desktop" and not found.get("fits", 1)
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
