"""The web page in a real browser: desktop and phone, with the service behind it."""

from pathlib import Path
import shutil
import threading
import time

import arcface_mxnet.serve
from arcface_mxnet.serve.gate import Access
import pytest
import uvicorn

CHROMIUM = shutil.which("chromium")
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
LOCAL = ("http://127.0.0.1:", "blob:", "data:")
TOKEN = "a-token-of-some-length"


@pytest.fixture
def serve(make_app):
    """Return a function that serves the application and returns its address."""
    servers = []

    def start(**options):
        config = uvicorn.Config(make_app(**options), port=0, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
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
    page.wait_for_selector("#compare-message:not([hidden])")
    assert "Not a photo" in page.text_content("#compare-message")
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
    page.click("#list button")
    page.wait_for_selector("#nobody:not([hidden])")
    assert page.locator("#list li").count() == 0


def test_a_token_is_asked_for_once(page, serve, files):
    page.goto(serve(access=Access(TOKEN, frozenset())))
    page.set_input_files("#left input", files(1))
    page.set_input_files("#right input", files(2))
    page.wait_for_selector("#token-dialog[open]")
    page.fill("#token", "wrong")
    page.click("#token-dialog button")
    page.wait_for_selector("#token-dialog[open]")
    page.fill("#token", TOKEN)
    page.click("#token-dialog button")
    page.wait_for_selector("#verdict.apart")
    page.click("#tab-people")
    page.wait_for_selector("#nobody:not([hidden])")


def test_the_page_is_of_one_piece():
    """Its files name nothing that lies elsewhere."""
    for path in (Path(arcface_mxnet.serve.__file__).parent / "web").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text
