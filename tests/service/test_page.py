"""The page, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, Route, expect

from experiments.samples import STROKES, curve
from experiments.screenshot import DESKTOP, PHONE, draw
from tests.service.server import Server


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """Return the page on a desktop; no test may leave an error in its console."""
    with browser.new_context(viewport=DESKTOP) as context:
        yield from opened(context.new_page(), server)


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Page]:
    """Return the page on a phone, in the dark."""
    with browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark") as context:
        yield from opened(context.new_page(), server)


def opened(page: Page, server: Server) -> Iterator[Page]:
    """Open the page, and look at its console in the end."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.goto(server.url)
    yield page
    refused = [text for text in problems if "status of 4" not in text]  # the browser's own note of a refused request
    assert not refused


def touches(page: Page) -> Callable[..., None]:
    """Return what sends a touch event; the fingers' places are shares of the sheet."""
    box = page.locator("#sheet").bounding_box()
    assert box
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [
            {"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y, "id": finger}
            for finger, (x, y) in enumerate(places)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return touch


def keep_sent(page: Page) -> None:
    """Let the page keep the picture that it sends last, as `window.sent`."""
    page.evaluate(
        """() => {
            const original = window.fetch;
            window.fetch = (path, request) => {
                if (request?.body) window.sent = request.body.get("image");
                return original(path, request);
            };
        }"""
    )


def sent(page: Page) -> Image.Image:
    """Return the picture that the page sent last."""
    content = page.evaluate("async () => Array.from(new Uint8Array(await window.sent.arrayBuffer()))")
    return Image.open(BytesIO(bytes(content)))


@pytest.mark.parametrize("digit", "0123456789")
def test_a_drawn_digit_is_read(page: Page, digit: str) -> None:
    draw(page, digit)
    expect(page.locator("#text")).to_have_text(digit)
    expect(page.locator("#decision")).to_have_text(re.compile("accepted|needs review"))
    expect(page.locator(".bar")).to_have_count(10)
    expect(page.locator("#why")).to_contain_text("% sure")
    expect(page.locator("#message")).to_have_text(
        re.compile(rf"^{digit}, (accepted|needs review), (over )?\d+\.\d % sure$")
    )
    expect(page.locator("#bars")).not_to_have_text(re.compile(r"(100|\b0)\.0 %"))  # nothing is certain
    expect(page.locator("#heat")).not_to_have_js_property("width", 28)  # as large as the service has drawn it


def test_a_drawn_zip_code_is_read(page: Page) -> None:
    page.get_by_label("A line of digits").check()
    draw(page, "94103")
    expect(page.locator("#text")).to_have_text("94103")
    expect(page.locator(".bar")).to_have_count(5)
    expect(page.locator("#placed")).to_be_visible()
    page.get_by_label("US ZIP code").check()
    expect(page.locator("#decision")).to_have_text(re.compile("accepted|needs review"))


def test_upload_and_bad_file(page: Page, root: Path, tmp_path: Path) -> None:
    page.set_input_files("#file", root / "docs" / "samples" / "seven.jpg")
    expect(page.locator("#text")).to_have_text("7")
    expect(page.locator("#decision")).to_have_text("accepted")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    page.set_input_files("#file", bad)
    expect(page.locator("#message")).to_contain_text("not an image")
    expect(page.locator("#result")).to_be_hidden()


def test_examples_clear_and_undo(page: Page) -> None:
    page.get_by_alt_text("A ZIP code").click()
    expect(page.locator("#text")).to_have_text("94103")
    expect(page.get_by_text("Where each digit stands")).to_be_visible()
    page.get_by_label("US ZIP code").check()
    expect(page.locator("#text")).to_have_text("94103")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#result")).to_be_hidden()
    page.get_by_label("US ZIP code").uncheck()
    expect(page.locator("#message")).to_have_text("Nothing has been read yet.")
    page.get_by_label("One digit").check()
    draw(page, "7")
    expect(page.locator("#text")).to_have_text("7")
    draw(page, "-")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#text")).to_have_text("7")


def test_paste(page: Page, root: Path) -> None:
    content = list((root / "docs" / "samples" / "seven.jpg").read_bytes())
    page.evaluate(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "seven.jpg", { type: "image/jpeg" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }""",
        content,
    )
    expect(page.locator("#text")).to_have_text("7")


def test_by_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    for _ in range(5):
        if page.evaluate("document.activeElement.id") == "sheet":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#text")).to_have_text("1")


def test_keyboard_after_clear(page: Page) -> None:
    keep_sent(page)
    page.locator("#sheet").focus()
    for key in ("Space", "ArrowDown"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#ring")).to_be_hidden()
    page.locator("#sheet").focus()
    page.keyboard.press("ArrowLeft")  # the pen is lifted: this draws nothing
    page.keyboard.press("Space")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#text")).to_have_text("1")
    expect(page.locator("#ring")).to_be_visible()
    pixels = np.asarray(sent(page).convert("RGB")).astype(int)
    assert pixels.min() < 50
    assert np.ptp(pixels, axis=2).max() < 20  # black on white: the blue ring is not sent


def test_no_verdict_while_the_pen_is_down(page: Page) -> None:
    held: list[Route] = []
    page.route("**/predict", lambda route: held.append(route))
    with page.expect_request("**/predict"):
        draw(page, "-")
    page.mouse.down()
    page.mouse.move(400, 400)
    with page.expect_response("**/predict"):
        for route in held:
            route.continue_()
    before = len(held)
    page.wait_for_timeout(400)
    assert len(held) == before
    expect(page.locator("#result")).to_be_hidden()
    page.unroute("**/predict")
    page.mouse.up()
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    page.mouse.down()
    expect(page.locator("#result")).to_have_attribute("aria-busy", "true")  # dimmed
    page.mouse.up()


def test_mode_switch_keeps_the_picture(page: Page, root: Path) -> None:
    page.set_input_files("#file", root / "docs" / "samples" / "seven.jpg")
    expect(page.locator("#text")).to_have_text("7")
    page.get_by_label("A line of digits").check()
    expect(page.locator("#placed")).to_be_visible()
    expect(page.locator("#text")).to_have_text("7")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#message")).to_have_text("Nothing has been read yet.")
    page.get_by_label("One digit").check()
    draw(page, "7")
    drawn = page.evaluate("sheet.toDataURL()")
    for mode in ("A line of digits", "One digit"):
        page.get_by_label(mode).check()
        expect(page.locator("#placed" if "line" in mode else "#seen")).to_be_visible()
        expect(page.locator("#text")).to_have_text("7")
    assert page.evaluate("sheet.toDataURL()") == drawn


def test_a_line_where_one_digit_is_expected(page: Page) -> None:
    draw(page, "42")
    expect(page.locator("#why")).to_contain_text("does not look like a digit")
    expect(page.locator("#text")).to_have_text("?")
    page.get_by_role("button", name="Read it as a line").click()
    expect(page.locator("#text")).to_have_text("42")


def test_views_that_fail_leave_the_reading(page: Page) -> None:
    page.route("**/explain", lambda route: route.fulfill(status=400))
    with page.expect_response("**/explain"):
        draw(page, "7")
    expect(page.locator("#views")).to_be_hidden()
    expect(page.locator("#text")).to_have_text("7")
    expect(page.locator("#text")).to_be_visible()


def test_a_large_photo_is_scaled_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    keep_sent(page)
    photo = Image.new("L", (4000, 2000), "white")
    ImageDraw.Draw(photo).line([(2000, 400), (2000, 1600)], fill="black", width=150)
    photo.save(tmp_path / "photo.png")
    page.set_input_files("#file", tmp_path / "photo.png")
    expect(page.locator("#message")).to_contain_text("too large")  # for the tests' service, which takes a megapixel
    assert sent(page).size == (3000, 1500)
    assert sent(page).format == "JPEG"


def test_a_file_that_the_browser_cannot_show(page: Page, root: Path, tmp_path: Path) -> None:
    with Image.open(root / "docs" / "samples" / "seven.jpg") as image:
        image.convert("L").save(tmp_path / "seven.tif", compression="tiff_adobe_deflate")
    page.set_input_files("#file", tmp_path / "seven.tif")
    expect(page.locator("#text")).to_have_text("7")
    expect(page.get_by_text("Your browser cannot show this file")).to_be_visible()


def test_an_example_that_cannot_be_loaded(page: Page) -> None:
    page.route("**/samples/zip.jpg", lambda route: route.fulfill(status=404))
    page.get_by_alt_text("A ZIP code").click()
    expect(page.locator("#message")).to_have_text("The example cannot be loaded.")


def test_by_finger_without_scrolling(phone: Page) -> None:
    phone.set_viewport_size({"width": PHONE["width"], "height": 600})  # the page is longer
    touch = touches(phone)
    for stroke in STROKES["7"][::-1]:
        places = [(0.3 + 0.4 * x, 0.2 + 0.6 * y) for x, y in curve(stroke)][::-1]  # upwards
        touch("touchStart", places[0])
        for place in places:
            touch("touchMove", place)
        touch("touchEnd")
    expect(phone.locator("#text")).to_have_text("7")
    assert phone.evaluate("window.scrollY") == 0


def test_two_fingers_draw_two_strokes(phone: Page) -> None:
    requests: list[str] = []
    phone.on("request", lambda request: requests.append(request.url))
    phone.get_by_label("A line of digits").check()
    touch = touches(phone)
    touch("touchStart", (0.45, 0.2))
    touch("touchStart", (0.45, 0.2), (0.55, 0.2))
    for step in range(1, 13):
        touch("touchMove", (0.45, 0.2 + 0.05 * step), (0.55, 0.2 + 0.05 * step))
    touch("touchEnd", (0.45, 0.8))
    phone.wait_for_timeout(400)
    assert not requests  # one finger is down yet
    touch("touchEnd")
    expect(phone.locator("#text")).to_have_text("11")


@pytest.mark.parametrize("mode", ["One digit", "A line of digits"])
def test_nothing_is_cut_off(phone: Page, mode: str) -> None:
    phone.get_by_label(mode).check()
    phone.get_by_alt_text("A ZIP+4 code" if "line" in mode else "A 7 on a sheet").click()
    expect(phone.locator("#text")).to_have_text("20500-0003" if "line" in mode else "7")
    for width in (320, PHONE["width"], 820, DESKTOP["width"]):
        phone.set_viewport_size({"width": width, "height": PHONE["height"]})
        assert phone.evaluate("document.documentElement.scrollWidth") <= width
        for element in phone.locator("button:visible, .button:visible, .bar:visible, canvas:visible").all():
            box = element.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_a_key_is_asked_for(browser: Browser) -> None:
    with Server(DIGITS_API_KEYS="secret") as locked, browser.new_context(viewport=DESKTOP) as context:
        page = context.new_page()
        page.goto(locked.url)
        draw(page, "7")
        for key, trouble in (("wrong", "This service needs an API key."), ("secret", "This key is not accepted.")):
            expect(page.locator("#message")).to_have_text(trouble)
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Use it").click()
        expect(page.locator("#text")).to_have_text("7")


def test_a_service_that_is_gone(browser: Browser) -> None:
    with Server() as server, browser.new_context(viewport=DESKTOP) as context:
        page = context.new_page()
        page.goto(server.url)
        server.stop()
        draw(page, "7")
        expect(page.locator("#message")).to_contain_text("cannot be reached")


def test_documentation_is_shown(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/docs")
    expect(page.get_by_text("/predict/batch")).to_be_visible()
