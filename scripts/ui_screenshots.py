"""Take the screenshots in docs/: the pages of the example imports in a real Chromium.

PYTHONPATH=tests .venv/bin/python scripts/ui_screenshots.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from douane.catalog import Catalog
from support.chromium import Browser
from support.ui_example import fill

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / "docs" / "images"


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir(mode=0o700)
        with Catalog(home / "catalog.sqlite3") as catalog:
            example = fill(catalog)
        server = subprocess.Popen(
            [sys.executable, str(TOP / "tests/support/page_server.py"), str(home)], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        browser = Browser()
        try:
            refused = f"/ui/imports/{example.refused.id}"
            for name, path, width, height, dark in (
                ("ui-imports", "/ui", 1100, 820, False),
                ("ui-import", refused, 1100, 1300, False),
                ("ui-import-dark", refused, 1100, 820, True),
                ("ui-narrow", "/ui", 320, 900, False),
            ):
                browser.size(width, height, dark=dark)
                browser.open(url + path)
                (FOLDER / f"{name}.png").write_bytes(browser.screenshot())
        finally:
            browser.close()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
