"""``make screenshots``: every panel in both themes, as the README shows them.

python -m tests.browser.screenshots --width 780 --folder DIR     beside a file browser in a small window
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.test_dashboard import NAME, TABS, choose, panel, show, write_tutorial
from tests.support.jupyter import open_notebook, running_chromium, running_jupyter

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
TRAFFIC_S = 75
TRAFFIC = """
import threading


def ask_for_ever():
    number = 0
    while conn.connected:
        number += 1
        burst = 30 if number % 400 < 120 else 3
        images = X[number % 1700 :][:burst]
        conn.predict_batch("digits", images if number % 5 == 0 else images + np.random.uniform(0, 0.1, images.shape))
        conn.predict("handwriting", X[number % 1700])
        time.sleep(0.03)


conn.link_model_to_app("handwriting", "digits")
conn.register_application("zip-codes", "doubles", default_output="-1", slo_micros=50_000)
threading.Thread(target=ask_for_ever, daemon=True).start()
"""


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1400, help="of the window in pixels (1400)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go (docs/screenshots)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    with running_chromium() as browser:
        for theme in ("light", "dark"):
            with tempfile.TemporaryDirectory() as folder:
                photograph(browser, Path(folder), theme, arguments)


def photograph(browser: Browser, folder: Path, theme: str, arguments: argparse.Namespace) -> None:
    """Write a picture of each panel in one theme."""
    width = arguments.width
    write_tutorial(folder, more=TRAFFIC, cluster="notebook")
    with running_jupyter(folder, "lab", theme) as server, open_notebook(browser, server, NAME, width=width) as page:
        page.page.set_viewport_size({"width": width, "height": 1400})
        page.run_all()
        try:
            panel(page).scroll_into_view_if_needed()
            page.page.wait_for_timeout(TRAFFIC_S * 1000)
            for tab in TABS:
                where = show(page, tab)
                if tab == "Try a query":
                    choose(where, "cl-try-application", "digits")
                    where.locator(".cl-input textarea").fill("X[1500]")
                    where.locator("button.cl-send").click()
                page.page.wait_for_timeout(3000)
                name = tab.lower().replace(" ", "-")
                panel(page).screenshot(path=arguments.folder / f"{name}-{theme}.png")
        finally:
            page.evaluate("str(conn.stop_all())")


if __name__ == "__main__":
    main()
