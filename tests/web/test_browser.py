"""The page without a server: WebAssembly gives the ranks that Python gives, offline.

`make browser` builds it and `make test-web` brings the driver; without them it is skipped.
"""

import functools
import http.server
import json
import os
import pathlib
import threading

import numpy as np
import pytest
from PIL import Image

import sor_jax
from sor_jax.datasets.scenes.draw import draw
from tests.web.conftest import downloaded

BUILT = pathlib.Path(__file__).parents[2] / "build" / "browser"
SCREENSHOT = os.environ.get("SOR_SCREENSHOT")
WAIT = 90_000  # milliseconds
LARGEST = 20_000_000  # bytes of all that the page is

pytestmark = [
    pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="not built: make browser"),
    pytest.mark.filterwarnings("default"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Quiet, directory=BUILT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(browser, address):
    """The page, loaded, and then without a network; it asked for its own files alone."""
    asked = []
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(WAIT)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]")
    print(f"the model was loaded in {page.get_attribute('body', 'data-loaded')} ms")
    page.context.set_offline(True)
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def ranker():
    return sor_jax.load()


def ranked(page, path):
    page.evaluate("document.body.dataset.state = 'waiting'")
    page.set_input_files("#file", path)
    page.wait_for_function("['ranked', 'failed'].includes(document.body.dataset.state)")
    return page.inner_text("#status")


# The second is higher than wide, and no side of the third is one that scales evenly.
@pytest.mark.parametrize(("index", "hw"), [(0, (480, 640)), (1, (640, 480)), (5, (251, 333))])
def test_a_scene_has_the_ranks_of_python(page, ranker, tmp_path, index, hw):
    path = tmp_path / "scene.png"
    Image.fromarray(draw(7, "test", index, image_hw=hw).image).save(path)
    expected = ranker(path)
    assert len(expected) >= 2
    told = ranked(page, path)
    print(f"{told} ({page.get_attribute('body', 'data-milliseconds')} ms)")
    if SCREENSHOT:
        page.screenshot(path=SCREENSHOT, full_page=True)

    facts = json.loads(pathlib.Path(downloaded(page, "#get-json").path()).read_text())
    assert [thing["rank"] for thing in facts["things"]] == expected.ranks
    assert [facts["height"], facts["width"]] == list(hw)
    for thing, wanted in zip(facts["things"], expected, strict=True):
        np.testing.assert_allclose(thing["box"], wanted.box, atol=0.5)
        probabilities = thing["rank_probabilities"]
        np.testing.assert_allclose(probabilities, wanted.rank_probabilities, atol=0.01)

    page.select_option("#aspect", "4:5")
    crop = downloaded(page, "#get-crop")
    assert crop.suggested_filename == "scene.crop-4x5.jpg"
    found = np.asarray(Image.open(crop.path())).astype(int)
    wanted = np.asarray(expected.crop("4:5")).astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() < 6  # of JPEG, or of a window that is a pixel beside
    with Image.open(downloaded(page, "#get-picture").path()) as picture:
        assert picture.size == hw[::-1]


def test_what_is_no_picture_is_told(page, tmp_path):
    path = tmp_path / "words.png"
    path.write_text("no picture")
    assert "words.png cannot be ranked" in ranked(page, path)


def test_all_of_it_is_small_enough_to_send():
    assert sum(file.stat().st_size for file in BUILT.iterdir()) < LARGEST
