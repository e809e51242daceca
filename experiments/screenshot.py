"""Draw on the service's page as people do, with the mouse, and save figures/page.png: at a desk, and on a phone.

Needs Chromium (Debian: apt install chromium).

    python -m experiments.screenshot
"""

from __future__ import annotations

import shutil
import sys
from io import BytesIO

from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, expect, sync_playwright

from benchmarks.load import SERVE, free_port, running
from experiments.runs import ROOT
from experiments.samples import STROKES, curve

FIGURE = ROOT / "figures" / "page.png"
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
WINDOW = ViewportSize(width=780, height=700)
DENSITY, GAP = 1.5, 30  # the figure's pixels for one of the page; pixels between both pictures


def chromium(playwright: Playwright) -> Browser | None:
    """Return a running browser, Debian's Chromium or the one that Playwright has installed, or None without either."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    except Exception as error:  # Playwright names no class for it
        if path or "Executable doesn't exist" not in str(error):
            raise
        return None


def draw(page: Page, text: str) -> None:
    """Draw digits beside each other in the middle of the sheet."""
    box = page.locator("#sheet").bounding_box()
    assert box
    height = min(0.6 * box["height"], 0.8 * box["width"] / (0.75 * len(text)))
    width, pitch = 0.6 * height, 0.75 * height
    left = box["x"] + (box["width"] - pitch * len(text) + pitch - width) / 2
    top = box["y"] + (box["height"] - height) / 2
    for number, symbol in enumerate(text):
        for stroke in STROKES[symbol]:
            places = [(left + pitch * number + width * x, top + height * y) for x, y in curve(stroke)]
            page.mouse.move(*places[0])
            page.mouse.down()
            for place in places[1:]:
                page.mouse.move(*place)
            page.mouse.up()


def main() -> None:
    """Start the service, draw, save."""
    port = free_port()
    with sync_playwright() as playwright, running(*SERVE, "--port", str(port), port=port):
        browser = chromium(playwright)
        if browser is None:
            sys.exit("Chromium is not installed.")
        address = f"http://127.0.0.1:{port}/"
        shots = [at_a_desk(browser, address), on_a_phone(browser, address)]
        browser.close()
    both = Image.new("RGB", (sum(shot.width for shot in shots) + GAP, max(shot.height for shot in shots)), "white")
    both.paste(shots[0], (0, 0))
    both.paste(shots[1], (shots[0].width + GAP, 0))
    both.save(FIGURE, optimize=True)


def at_a_desk(browser: Browser, address: str) -> Image.Image:
    """Return the page after a digit was drawn that is accepted."""
    page = browser.new_page(viewport=WINDOW, device_scale_factor=DENSITY, color_scheme="light")
    page.goto(address)
    draw(page, "4")
    answered(page)
    expect(page.locator("#text")).to_have_text("4")
    expect(page.locator("#decision")).to_have_text("accepted")
    expect(page.locator("#views")).to_have_attribute("aria-busy", "false")
    return shot(page, "footer")


def on_a_phone(browser: Browser, address: str) -> Image.Image:
    """Return the page, in the dark, after the example ZIP code was chosen."""
    page = browser.new_page(viewport=PHONE, device_scale_factor=DENSITY, color_scheme="dark")
    page.goto(address)
    page.get_by_alt_text("A ZIP code").click()
    expect(page.locator("#places")).to_be_visible()
    with page.expect_response("**/read?zip=true"):
        page.get_by_label("US ZIP code").check()
    answered(page)
    expect(page.locator("#text")).to_have_text("94103")
    expect(page.locator("#decision")).to_have_text("accepted")
    expect(page.locator("#places")).to_be_visible()
    return shot(page, ".output")


def answered(page: Page) -> None:
    """Wait until the last answer is shown: from the first stroke on, an older one is marked as out of date."""
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    page.wait_for_load_state("networkidle")


def shot(page: Page, end: str) -> Image.Image:
    """Return the page down to the end of one of its parts."""
    page.evaluate("scrollTo(0, 0)")  # a box is measured from what is in view
    box = page.locator(end).bounding_box()
    assert box
    picture = Image.open(BytesIO(page.screenshot(full_page=True, animations="disabled"))).convert("RGB")
    return picture.crop(
        (0, 0, picture.width, min(picture.height, round(DENSITY * (box["y"] + box["height"])) + GAP // 2))
    )


if __name__ == "__main__":
    main()
