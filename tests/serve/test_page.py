"""The web page in a real browser: desktop and phone, with the service behind it."""

import os
from pathlib import Path
import shutil
import time

import arcface_mxnet.serve
from arcface_mxnet.serve.access import Access
import cv2
import numpy as np
import pytest

CHROMIUM = shutil.which("chromium")
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
LOCAL = ("http://127.0.0.1:", "blob:", "data:")
ARGUMENTS = [
    "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
SHOTS = os.environ.get("ARCFACE_SHOTS", "")  # folder for pictures of the page
TOKEN = "a-token-of-some-length"


def until(page, expression):
    """Wait until an expression of the page is true; its policy forbids playwright's own way."""
    end = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(browser, request):
    page = browser.new_page(viewport=request.param)
    page.set_default_timeout(10_000)
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: r.url.startswith(LOCAL) or faults.append(r.url))
    page.on("console", lambda m: faults.append(m.text) if "Content Security" in m.text else None)
    yield page
    fits = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()
    assert faults == []
    assert fits, "the page is wider than the screen"


@pytest.fixture
def files(tmp_path, photo):
    """Return the function files(number, noise) -> path of a photo."""

    def write(number, noise=0):
        path = tmp_path / f"{number}-{noise}.png"
        path.write_bytes(photo(number, noise))
        return str(path)

    return write


def test_compare_shows_faces_crops_and_verdict(page, serve, files):
    page.goto(serve())
    page.set_input_files("#left input", files(1))
    page.set_input_files("#right input", files(1, 1))
    page.wait_for_selector("#verdict.alike")
    assert page.text_content("#verdict") == "The same person"
    assert page.text_content(".threshold span") == "threshold 0.60"
    similarity = float(page.text_content(".value span"))
    assert similarity > 0.9
    assert page.locator("#left .marks circle").count() == 5
    assert page.get_attribute("#left .marks", "viewBox") == "0 0 160 200"
    assert page.get_attribute("#left .marks rect", "x") == "32"
    assert page.evaluate("document.querySelector('#right .crop').naturalWidth") == 112
    page.wait_for_timeout(600)  # the value slides into place
    scale, value = (page.locator(s).bounding_box() for s in ("#scale", "#scale .value"))
    share = (value["x"] - scale["x"]) / scale["width"]
    assert share == pytest.approx((similarity + 0.2) / 1.2, abs=0.01)

    page.set_input_files("#right input", files(2))
    page.wait_for_selector("#verdict.apart")
    assert page.text_content("#verdict") == "Different people"


def test_what_is_no_photo_is_said(page, serve, files, tmp_path):
    page.goto(serve())
    (tmp_path / "junk.png").write_bytes(b"junk")
    page.set_input_files("#left input", files(1))
    page.set_input_files("#right input", str(tmp_path / "junk.png"))
    page.wait_for_selector("#right .message:not(.empty):not(.calm)")
    assert "Not a photo" in page.text_content("#right .message")
    assert page.locator("#left .message.empty").count() == 1
    assert page.locator("#right .drop > img").is_hidden()  # no torn picture
    assert page.locator("#result").is_hidden()


def test_enrol_search_and_forget(page, serve, files):
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(serve())
    page.click("#tab-people")
    page.wait_for_selector("#nobody:not([hidden])")
    name = "<img src=x onerror=alert(1)> / Zo\u00eb"
    page.fill("#name", name)
    page.set_input_files("#photos", [files(1), files(1, 1)])
    page.click("#enrol button")
    page.wait_for_selector("#list li")
    assert page.text_content("#list li > span") == f"{name} 2 photos"
    page.set_input_files("#probe input", files(1, 2))
    page.wait_for_selector("#matches li")
    assert page.text_content("#matches li span") == name
    assert float(page.text_content("#matches li b.alike")) > 0.9
    page.click("#list button.warn")
    page.wait_for_selector("#nobody:not([hidden])")
    assert page.locator("#list li").count() == 0


def test_a_token_is_asked_for_once(page, serve, files):
    page.goto(serve(access=Access(TOKEN, frozenset())))
    page.set_input_files("#left input", files(1))
    page.set_input_files("#right input", files(2))
    page.wait_for_selector("#token-dialog[open]")
    for wrong in ("wrong", "\u0442\u043e\u043a\u0435\u043d \U0001f511"):
        page.fill("#token", wrong)
        page.click("#token-dialog .primary")
        until(page, "document.getElementById('token').value === ''")
        page.wait_for_selector("#token-dialog[open]")
        assert "did not take this token" in page.text_content("#token-wrong")
    page.keyboard.press("Escape")
    page.wait_for_selector("#left .message:not(.empty):not(.calm)")
    assert "Without its token" in page.text_content("#left .message")
    assert page.locator("#token-dialog[open]").count() == 0
    page.set_input_files("#right input", files(2))
    page.fill("#token", TOKEN)
    page.click("#token-dialog .primary")
    page.wait_for_selector("#verdict.apart")
    page.click("#tab-people")
    page.wait_for_selector("#nobody:not([hidden])")


def test_tabs_take_arrow_keys(page, serve):
    page.goto(serve())
    page.focus("#tab-compare")
    for key, shown in (("ArrowRight", "people"), ("ArrowRight", "compare"), ("End", "people"),
                       ("Home", "compare"), ("ArrowLeft", "people")):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-{shown}"
        assert page.locator(f"#{shown}").is_visible()
        assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_places_have_names_and_tell_what_goes_on(page, serve, files, find):
    def slow(bgr):
        time.sleep(0.5)
        return find(bgr)

    page.goto(serve(detect=slow))
    field = page.locator("#left input")
    assert field.get_attribute("aria-label") == "First photo: choose a photo"
    page.set_input_files("#left input", files(1))
    assert "1-0.png" in field.get_attribute("aria-label")
    page.set_input_files("#right input", files(1, 1))
    page.wait_for_selector("#right[aria-busy=true]")
    assert "Looking at the photo" in page.text_content("#right .message")
    assert page.get_attribute("#right .message", "aria-live") == "polite"
    page.wait_for_selector("#verdict.alike")
    assert page.get_attribute("#right", "aria-busy") == "false"
    assert page.locator("#right .message.empty").count() == 1
    assert "One face" in field.get_attribute("aria-label")


def test_of_several_faces_one_is_chosen(page, serve, files, tmp_path, find):
    def in_halves(bgr):
        height, width = bgr.shape[:2]
        if width < height:
            return find(bgr)
        half = width // 2
        faces = [*find(bgr[:, :half]), *find(bgr[:, half:])]
        for face in faces[1:]:
            face.box[::2] += half
            face.landmarks[:, 0] += half
        return faces

    both = np.hstack([cv2.imread(files(number)) for number in (1, 2)])
    cv2.imwrite(str(tmp_path / "both.png"), both)
    page.goto(serve(detect=in_halves))
    page.set_input_files("#left input", str(tmp_path / "both.png"))
    page.set_input_files("#right input", files(2))
    page.wait_for_selector("#left .faces button")
    assert page.locator("#left .marks rect").count() == 2
    for number, kind in ((0, "apart"), (1, "alike"), (0, "apart")):
        page.locator("#left .faces button").nth(number).click()
        page.wait_for_selector(f"#verdict.{kind}")
        chosen = page.locator("#left .faces button").nth(number)
        assert chosen.get_attribute("aria-pressed") == "true"
    assert page.locator("#right .faces").is_hidden()


def test_a_busy_service_is_asked_three_times(page, serve, files):
    page.goto(serve())
    asked = []

    def busy(route):
        asked.append(route.request)
        route.fulfill(
            status=503, headers={"Retry-After": "0"}, json={"error": "busy", "detail": "b"}
        )

    page.route("**/v1/compare*", busy)
    page.set_input_files("#left input", files(1))
    page.set_input_files("#right input", files(2))
    until(page, "document.querySelector('#left .message').textContent.includes('was busy 3')")
    assert len(asked) == 3


def test_a_photo_from_the_camera(page, serve, files):
    page.goto(serve())
    page.click("#left .camera")
    until(page, "document.getElementById('camera-view').videoWidth > 0")
    page.keyboard.press("Escape")
    page.wait_for_selector("#camera-dialog:not([open])", state="attached")
    assert not page.evaluate("document.querySelector('#left .drop').classList.contains('filled')")
    page.click("#left .camera")
    until(page, "document.getElementById('camera-view').videoWidth > 0")
    page.click("#camera-dialog .primary")
    page.wait_for_selector("#left .drop.filled")
    assert page.evaluate("document.getElementById('camera-view').srcObject") is None
    page.set_input_files("#right input", files(2))
    page.wait_for_selector("#verdict")


def test_a_camera_that_gives_no_picture_is_let_go(page, serve):
    page.goto(serve())
    page.evaluate("() => { HTMLCanvasElement.prototype.toBlob = (done) => done(null) }")
    page.click("#left .camera")
    page.wait_for_selector("#camera-dialog[open]")
    page.click("#camera-dialog .primary")
    until(page, "document.querySelector('#left .message').textContent.includes('no picture')")
    assert page.evaluate("document.getElementById('camera-view').srcObject") is None


def test_photos_of_a_person_are_deleted_one_by_one(page, serve, files):
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(serve())
    page.click("#tab-people")
    page.fill("#name", "\u5c71\u7530\u3000\u592a\u90ce")
    page.set_input_files("#photos", [files(1), files(2)])
    page.click("#enrol .primary")
    until(page, "document.getElementById('enrol-message').textContent.includes('2 people')")
    page.click("summary")
    page.check("[value=several_people]")
    page.click("#enrol .primary")
    page.wait_for_selector("#list li")
    page.click("#list button[aria-expanded]")
    page.wait_for_selector(".photos li >> nth=1")
    page.click(".photos li >> nth=0 >> button")
    until(page, "document.querySelector('#list .quiet').textContent === '1 photo'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(browser, serve, files, tmp_path, scheme, width):
    axe = pytest.importorskip(
        "axe_playwright_python", reason="axe-playwright-python is not installed"
    )
    (source,) = Path(axe.__file__).parent.rglob("axe.min.js")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    url = serve()
    (tmp_path / "junk.png").write_bytes(b"junk")

    def check(state):
        page.wait_for_timeout(700)
        page.evaluate(source.read_text())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
        assert not told, state
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{state}-{width}-{scheme}.png", full_page=True)

    page.goto(url)
    check("empty")
    page.set_input_files("#left input", files(1))
    page.set_input_files("#right input", files(1, 1))
    page.wait_for_selector("#verdict.alike")
    check("compared")
    page.set_input_files("#right input", str(tmp_path / "junk.png"))
    page.wait_for_selector("#right .message:not(.empty):not(.calm)")
    check("refused")
    page.click("#tab-people")
    page.fill("#name", "Ada")
    page.set_input_files("#photos", [files(1), files(1, 1)])
    page.click("#enrol .primary")
    page.wait_for_selector("#list li")
    page.click("#list button[aria-expanded]")
    page.set_input_files("#probe input", files(1, 2))
    page.wait_for_selector("#matches li")
    check("people")
    page.close()
    token_page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = token_page
    page.goto(serve(access=Access(TOKEN, frozenset())))
    page.click("#tab-people")
    page.fill("#token", "wrong")
    page.click("#token-dialog .primary")
    until(page, "document.getElementById('token-wrong').textContent !== ''")
    check("token")
    page.close()


def test_the_page_is_of_one_piece():
    """Its files name nothing that lies elsewhere."""
    for path in (Path(arcface_mxnet.serve.__file__).parent / "web").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text
