"""Reports in a real browser: nothing leaves its place on a phone, in the dark, with many models."""

import shutil

from arcface_mxnet.eval.evaluation import evaluate
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.report import Entry, write_report
import numpy as np
import pytest

CHROMIUM = shutil.which("chromium")
PAIRS = 1200
FACTS = {"model": "1" * 64, "engine": "onnxruntime", "dtype": "float32", "flip": "sum"}
# Texts of figures that leave their figure, and pairs of texts that cover each other.
OUTSIDE = """() => {
  const found = []
  for (const svg of document.querySelectorAll('svg')) {
    const box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')]
    const boxes = texts.map(text => text.getBoundingClientRect())
    texts.forEach((text, i) => {
      const a = boxes[i]
      if (a.left < box.left - 1 || a.right > box.right + 1 || a.bottom > box.bottom + 1 ||
          a.top < box.top - 1) found.push('outside: ' + text.textContent)
      for (let k = 0; k < i; k++) {
        const b = boxes[k]
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left)
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
        if (wide > 2 && high > 4) found.push(texts[k].textContent + ' on ' + text.textContent)
      }
    })
  }
  return found
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of 1, 3 and 12 models by their number; errors from many to none at all."""
    rng = np.random.default_rng(1)
    flags = np.arange(PAIRS) // 60 % 2 == 0
    left = rng.normal(size=(PAIRS, 32))
    right = np.where(flags[:, None], left, rng.normal(size=left.shape))
    both = np.stack([left, right], axis=1).reshape(2 * PAIRS, 32)
    entries = []
    for number in range(12):
        noise = rng.normal(scale=0.05 + 0.12 * number, size=both.shape)
        vectors = (both + noise).astype(np.float32)
        evaluation = evaluate("lfw", PairEmbeddings(vectors, vectors, flags))
        name = f"models/r{number}-ms1mv2-arcface_{'w' * 3 * number}/model,1"
        entries.append(Entry(name, FACTS, "2" * 64, None, evaluation))
    folder = tmp_path_factory.mktemp("pages")
    for count in (1, 3, 12):
        write_report(folder / f"{count}.html", entries[:count])
    return folder


@pytest.mark.parametrize("count", [1, 3, 12])
@pytest.mark.parametrize("width", [390, 1280])
def test_everything_stays_in_its_place(browser, pages, count, width):
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme="dark")
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto((pages / f"{count}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    assert said == []  # the policy of the page refuses nothing that the page has
    sticky = page.locator("tbody th").first
    at = sticky.bounding_box()["x"]
    page.evaluate("document.querySelector('.scroll').scrollLeft = 200")
    assert sticky.bounding_box()["x"] == at
    page.close()


def test_light_dark_and_paper(browser, pages):
    page = browser.new_page(color_scheme="light")
    page.goto((pages / "3.html").as_uri())
    ground = "getComputedStyle(document.body).backgroundColor"
    stroke = "getComputedStyle(document.querySelector('.curve')).stroke"
    light = page.evaluate(ground), page.evaluate(stroke)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground), page.evaluate(stroke)
    page.emulate_media(color_scheme="dark", media="print")
    paper = page.evaluate(ground), page.evaluate(stroke)
    assert light == paper and light[0] == "rgb(255, 255, 255)"
    assert dark[0] != light[0] and dark[1] != light[1]
    page.close()
