"""Takes pictures of the visualizer for the README and for links to it: the real page, in the system's Chromium, one picture a pane.

python tools/site_screenshots.py    writes docs/images/viz-*.png and viz/preview.png, which the next build of the site has
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect, sync_playwright
from site_browser import CHROMIUM, GPU, QUIET, READY, serve
from site_build import build
from site_files import SiteError

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGES: Final = ROOT / "docs" / "images"
PATIENCE: Final = 120_000
"""Milliseconds that anything may take: a training, or starting on a busy machine."""


def nothing(page: Page) -> None:
    """The page as the link opens it."""


def choose(page: Page) -> None:
    """Search for the exponential, and look at it."""
    page.locator("#graph input[type=search]").fill("exp2")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel-node dl", timeout=PATIENCE)


def run(page: Page) -> None:
    """Run every kernel and check the values."""
    page.locator(".run-form button").first.click()
    page.wait_for_selector(".run-bars tr", timeout=PATIENCE)


def train(page: Page) -> None:
    """Learn the digits."""
    page.get_by_label("Steps", exact=True).fill("300")
    page.locator("#panel-train button[type=submit]").click()
    page.wait_for_selector(".digit", timeout=PATIENCE)
    expect(page.locator(".train-state")).not_to_contain_text("Training", timeout=PATIENCE)


PICTURES: Final[tuple[tuple[str, str, str, Callable[[Page], None]], ...]] = (
    ("graph", "dark", "example=mlp&stage=backward", nothing),
    ("node", "light", "example=mlp&stage=simplified", choose),
    ("rewrites", "dark", "example=mlp&stage=simplified&step=58&pane=rewrites", nothing),
    ("kernels", "dark", "example=mlp&stage=kernels&kernel=2&pane=kernels", nothing),
    ("run", "light", "example=mlp&stage=kernels&pane=run", run),
    ("train", "dark", "example=mlp&stage=simplified&pane=train", train),
)
"""Name, theme, address, and what a user does there."""


def take(browser: Browser, url: str, path: Path, theme: str, prepare: Callable[[Page], None], size: tuple[int, int] = (1280, 800)) -> None:
    """One picture."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if theme == "dark" else "light", service_workers="block")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(READY, timeout=PATIENCE)
    page.locator(".landing button").click()  # more room for the page itself
    prepare(page)
    page.wait_for_timeout(1000)  # what moves has come to rest
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(path))
    context.close()
    print(f"wrote {path.relative_to(ROOT)}")


def main() -> int:
    """Build the site, and take all pictures, or those that are named."""
    chosen = set(sys.argv[1:])
    try:
        build(ROOT)
    except SiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    host = serve(ROOT / "viz" / "dist")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *GPU])
        for name, theme, address, prepare in PICTURES:
            if not chosen or name in chosen:
                take(browser, f"{host.url}#{address}", IMAGES / f"viz-{name}.png", theme, prepare)
        if not chosen or "preview" in chosen:
            take(browser, f"{host.url}#example=mlp&stage=simplified&step=58&pane=rewrites", ROOT / "viz" / "preview.png", "dark", nothing, (1200, 630))
        browser.close()
    host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
