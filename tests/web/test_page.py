"""The page in a real browser: a picture goes in, ranks are seen, the crop comes out.

`make test-web` installs what it takes; without that it is skipped.
"""

import contextlib
import json
import os
import pathlib
import socket
import zipfile

import numpy as np
import pytest
from PIL import Image

import sor_jax
from tests.door.models import exported, photograph
from tests.pictures import encoded
from tests.web.conftest import downloaded

SCREENSHOT = os.environ.get("SOR_SCREENSHOT")
WAIT = 60_000  # milliseconds

gradio = pytest.importorskip("gradio", reason="the page needs Gradio: make test-web")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def ranker():
    return sor_jax.load(exported())


@pytest.fixture(scope="module")
def address(ranker):
    from sor_jax import web

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = web.build_page(ranker)
    web.launch(page, host="127.0.0.1", port=port, block=False)
    yield f"http://127.0.0.1:{port}"
    page.close()


@pytest.fixture
def page(browser, address):
    """The open page; nothing it asks for may come from elsewhere."""
    asked = []
    page = browser.new_page(viewport={"width": 1280, "height": 1100})
    page.set_default_timeout(WAIT)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#photograph input[type=file]", state="attached")
    yield page
    page.close()
    local = (address, address.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(local)] == []


@pytest.fixture
def upload(page, tmp_path):
    def put(name, content):
        (tmp_path / name).write_bytes(content)
        page.set_input_files("#photograph input[type=file]", tmp_path / name)

    return put


def test_a_photograph_is_ranked_and_its_files_come_down(page, upload, ranker):
    image = photograph(0, (200, 300))
    expected = ranker(image)
    upload("p.png", encoded(image))
    page.wait_for_selector("table.ranks")
    rows = page.locator("table.ranks tr").all_inner_texts()[1:]
    assert [int(row.split()[0]) for row in rows] == expected.ranks
    page.wait_for_selector("#crop img")
    page.wait_for_selector("#ranked img")
    if SCREENSHOT:
        page.wait_for_timeout(1000)
        page.screenshot(path=SCREENSHOT, full_page=True)

    crop = downloaded(page, "#get-crop")
    assert crop.suggested_filename == "p.crop-1x1.jpg"
    found = np.asarray(Image.open(crop.path())).astype(int)
    wanted = np.asarray(expected.crop("1:1")).astype(int)
    assert found.shape == wanted.shape == (200, 200, 3)
    assert np.abs(found - wanted).mean() < 25  # of noise, in JPEG

    facts = json.loads(pathlib.Path(downloaded(page, "#get-json").path()).read_text())
    assert [thing["rank"] for thing in facts["things"]] == expected.ranks
    with zipfile.ZipFile(downloaded(page, "#get-cutouts").path()) as archive:
        assert archive.namelist() == [f"p.{rank}.png" for rank in expected.ranks]
    with Image.open(downloaded(page, "#get-picture").path()) as picture:
        assert picture.size[0] > 0


def test_objects_are_toggled_and_the_aspect_is_chosen(page, upload, ranker):
    image = photograph(1, (200, 300))
    upload("p.png", encoded(image))
    page.wait_for_selector("#crop img")
    boxes = page.locator("#shown input[type=checkbox]")
    count = len(ranker(image))
    assert boxes.count() == count
    before = page.locator("#ranked img").first.get_attribute("src")
    boxes.first.uncheck()
    page.wait_for_function(
        "before => document.querySelector('#ranked img').getAttribute('src') !== before", arg=before
    )
    page.wait_for_function(
        "count => document.querySelectorAll('#ranked img').length === count", arg=count
    )  # the photograph and the masks that are left

    shape = "() => { const i = document.querySelector('#crop img'); return i.naturalWidth / "
    page.fill("#aspect input", "16:9")
    page.keyboard.press("Enter")
    page.wait_for_function(shape + "i.naturalHeight > 1.7 }")


def test_an_example_is_ranked(page):
    page.locator("#examples button").first.click()
    page.wait_for_selector("#crop img")


def test_a_damaged_file_shows_the_message_and_no_stack(page, upload):
    upload("broken.png", encoded(photograph(0))[:200])
    message = page.wait_for_selector(".toast-body.error, .toast-wrap .error").inner_text()
    assert "broken.png" in message
    assert "Traceback" not in page.content()


def test_too_many_pixels_show_the_message(page, upload, monkeypatch):
    monkeypatch.setattr("sor_jax.web.show.MOST_PIXELS", 1000)
    upload("large.png", encoded(photograph(0)))
    message = page.wait_for_selector(".toast-body.error, .toast-wrap .error").inner_text()
    assert "large.png has 120x90 pixels" in message


def test_it_listens_on_this_machine_alone(address):
    port = int(address.rsplit(":", 1)[1])
    with contextlib.suppress(OSError):
        other = socket.gethostbyname(socket.gethostname())
        if not other.startswith("127."):
            with pytest.raises(OSError), socket.create_connection((other, port), timeout=2):
                pass
