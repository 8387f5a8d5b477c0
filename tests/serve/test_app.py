"""What each route answers, and what it refuses."""

import base64
import io
import struct
from urllib.parse import quote
import zipfile
import zlib

import cv2
from fastapi.testclient import TestClient
import numpy as np
from PIL import Image
import pytest


def test_embed_gives_face_crop_and_unit_embedding(client, photo):
    answer = client.post("/embed?crop=true", files={"image": photo(1)}).json()
    assert (answer["width"], answer["height"], answer["num_faces"]) == (160, 200, 1)
    assert answer["box"] == pytest.approx([32, 40, 128, 160])
    assert answer["landmarks"][2] == pytest.approx([80, 110])
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1)
    crop = base64.b64decode(answer["crop"].removeprefix("data:image/png;base64,"))
    assert cv2.imdecode(np.frombuffer(crop, np.uint8), 1).shape == (112, 112, 3)
    assert client.post("/embed", files={"image": photo(1)}).json()["crop"] is None


def test_compare_tells_people_apart(client, photo):
    def compare(left, right):
        return client.post("/compare", files={"left": left, "right": right}).json()

    same, different = compare(photo(1), photo(1, 1)), compare(photo(1), photo(2))
    assert same["same"] and same["similarity"] > 0.9
    assert not different["same"] and different["similarity"] < 0.6 == different["threshold"]
    assert same["squared_l2"] == pytest.approx(2 - 2 * same["similarity"])


def test_enrol_search_and_forget(client, photo):
    for number, name in ((1, "Ada"), (2, "Grace Hopper")):
        files = [("image", photo(number, noise)) for noise in (1, 2)]
        response = client.post("/enroll", data={"name": name}, files=files)
        assert response.status_code == 201
        enrolled = response.json()
        assert (enrolled["name"], enrolled["photos"], len(enrolled["ids"])) == (name, 2, 2)
    answer = client.post("/search?limit=1", files={"image": photo(2)}).json()
    (match,) = answer["matches"]
    assert match["name"] == "Grace Hopper" and match["same"] and match["similarity"] > 0.9
    assert client.get("/people").json() == [
        {"name": "Ada", "photos": 2},
        {"name": "Grace Hopper", "photos": 2},
    ]
    assert client.delete("/people/Grace%20Hopper").status_code == 204
    assert client.delete("/people/Grace%20Hopper").json()["error"] == "unknown_person"
    nearest = client.post("/search", files={"image": photo(2)}).json()["matches"]
    assert [match["name"] for match in nearest] == ["Ada"] and not nearest[0]["same"]


def by_pages(client, address, key):
    """Return what the pages of two from an address list, and how many pages there are."""
    found, pages = [], 0
    while address:
        page = client.get(address)
        assert 1 <= len(page.json()) <= 2
        found, pages = found + [one[key] for one in page.json()], pages + 1
        link = page.headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        address = link.partition(">")[0].removeprefix("<")
    return found, pages


def test_photos_are_listed_page_by_page(client, photo):
    name, other = "b & c/\u00e4?", "z"
    ids = []
    for _ in range(5):
        answer = client.post("/enroll", data={"name": name}, files={"image": photo(1)})
        ids += answer.json()["ids"]
        client.post("/enroll", data={"name": other}, files={"image": photo(1)})
    of_name = f"/v1/photos?name={quote(name, safe='')}"
    assert [one["id"] for one in client.get(of_name).json()] == ids
    assert by_pages(client, f"{of_name}&limit=2", "id") == (ids, 3)
    assert client.get(f"{of_name}&limit=5").headers.get("link") is None
    assert [one["id"] for one in client.get(f"{of_name}&after={ids[2]}").json()] == ids[3:]
    for wrong in ("limit=0", "after=-1", f"after={1 << 63}"):
        assert client.get(f"{of_name}&{wrong}").status_code == 422


def test_people_are_listed_page_by_page(client, photo):
    names = ["a", "b & c/\u00e4?", "\u3042", "z", "\U0001f600"]
    for name in names:
        client.post("/enroll", data={"name": name}, files={"image": photo(1)})
    assert [one["name"] for one in client.get("/people").json()] == sorted(names)
    assert by_pages(client, "/v1/people?limit=2", "name") == (sorted(names), 3)
    assert client.get("/people?limit=5").headers.get("link") is None
    assert [one["name"] for one in client.get("/people?after=b").json()] == sorted(names)[1:]
    assert client.get("/people?limit=0").status_code == 422


def test_enrolment_is_all_or_nothing(client, photo):
    files = [("image", photo(1)), ("image", b"junk")]
    assert client.post("/enroll", data={"name": "Ada"}, files=files).status_code == 415
    assert client.get("/people").json() == []


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a\nb", "x" * 101, "\u202eevil"])
def test_names_that_are_none(client, photo, name):
    response = client.post("/enroll", data={"name": name}, files={"image": photo(1)})
    assert response.status_code == 422
    assert response.json()["error"] in ("bad_name", "bad_request")


def test_one_name_however_it_is_written(client, photo):
    for name in ("Zo\u00eb/A", " Zoe\u0308/A "):
        client.post("/enroll", data={"name": name}, files={"image": photo(1)})
    assert client.get("/people").json() == [{"name": "Zo\u00eb/A", "photos": 2}]
    assert client.delete("/people/Zo%C3%AB%2FA").status_code == 204


def png_header(width, height):
    """Return a PNG of few bytes that claims a size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def zip_bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(10_000_000))
    return file.getvalue()


SVG_BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>'
)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))

HOSTILE = {
    "empty": (b"", 415),
    "random": (np.random.default_rng(1).bytes(5000), 415),
    "gif": (saved(NOISE, "GIF", save_all=True, append_images=[NOISE] * 5), 415),
    "svg": (SVG_BOMB, 415),
    "zip": (zip_bomb(), 415),
    "tiff": (saved(NOISE, "TIFF"), 415),
    "truncated_jpeg": (saved(NOISE, "JPEG")[:-700], 422),
    "truncated_png": (saved(NOISE, "PNG")[:-5000], 422),
    "png_without_pixels": (png_header(100, 100), 422),
    "50_megapixels": (png_header(10_000, 5_000), 413),
    "4_gigapixels": (png_header(65_535, 65_535), 413),
    "tiny": (saved(NOISE.resize((1, 1)), "PNG"), 422),
    "thin": (saved(NOISE.resize((2000, 2)), "PNG"), 422),
    "no_face": (saved(NOISE.point(lambda value: 90), "PNG"), 422),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused(client, photo, name):
    body, status = HOSTILE[name]
    for response in (
        client.post("/embed", files={"image": body}),
        client.post("/compare", files={"left": photo(1), "right": body}),
        client.post("/enroll", data={"name": "x"}, files={"image": body}),
        client.post("/search", files={"image": body}),
    ):
        # The form parser itself refuses a part of no bytes.
        assert response.status_code in ((status, 422) if name == "empty" else (status,))
        assert response.json()["error"] and response.json()["detail"]
    assert client.post("/embed", files={"image": photo(1)}).status_code == 200


def test_random_requests_are_refused(client):
    rng = np.random.default_rng(2)
    types = [
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/json",
        "",
        "a/b",
    ]
    for number in range(100):
        headers = {"content-type": types[number % len(types)]}
        body = rng.bytes(int(rng.integers(0, 3000))) + b"--x\r\n" * (number % 3)
        path = ["/embed", "/compare", "/enroll", "/search"][number // 4 % 4]
        assert 400 <= client.post(path, content=body, headers=headers).status_code < 500


def test_turned_grey_and_deep_photos(client, photo):
    upright = Image.open(io.BytesIO(photo(1)))
    expected = client.post("/embed", files={"image": photo(1)}).json()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise for display
    turned = saved(upright.rotate(90, expand=True), "PNG", exif=exif)
    answer = client.post("/embed", files={"image": turned}).json()
    assert (answer["width"], answer["height"]) == (160, 200)
    assert np.dot(answer["embedding"], expected["embedding"]) > 0.999
    exif[0x0112] = 9  # means nothing
    answer = client.post("/embed", files={"image": saved(upright, "PNG", exif=exif)}).json()
    assert (answer["width"], answer["height"]) == (160, 200)
    grey = np.asarray(upright.convert("L"))
    deep = cv2.imencode(".png", grey.astype(np.uint16) * 257)[1].tobytes()
    one, other = (
        client.post("/embed", files={"image": data}).json()["embedding"]
        for data in (cv2.imencode(".png", grey)[1].tobytes(), deep)
    )
    assert np.dot(one, other) > 0.999


def test_a_large_photo_is_reduced_but_told_in_its_own_pixels(client, photo):
    large = Image.open(io.BytesIO(photo(1))).resize((3200, 4000))
    answer = client.post("/embed", files={"image": saved(large, "JPEG")}).json()
    assert (answer["width"], answer["height"]) == (3200, 4000)
    found = np.array([256, 320, 1024, 1280])  # in 1280x1600, counted from the first centres
    assert answer["box"] == pytest.approx((found + 0.5) * 2.5 - 0.5)


def test_limits(make_app, photo):
    with TestClient(make_app(photos=1, photo_bytes=70_000, request_bytes=100_000, enrolled=1)) as c:

        def enrol(files, name="Ada"):
            return c.post("/enroll", data={"name": name}, files=files)

        small = saved(Image.open(io.BytesIO(photo(1))).resize((64, 80)), "JPEG")
        assert enrol([("image", small)] * 2).json()["error"] == "too_many_photos"
        assert enrol([("image", small)]).status_code == 201
        assert enrol([("image", small)]).json()["error"] == "store_full"
        assert enrol([("image", small + bytes(70_000))]).json()["error"] == "too_many_bytes"
        refused = enrol([("image", bytes(200_000))])
        assert refused.status_code == 413 and "a request may have 100000 bytes" in refused.text


def test_health_metrics_and_page(client, photo):
    client.post("/embed", files={"image": photo(1)})
    client.get("/a-path-of-a-stranger")
    assert client.get("/health").json()["status"] == "ok"
    metrics = client.get("/metrics").text
    assert 'face_requests_total{route="/embed",status="200"} 1.0' in metrics
    assert 'face_requests_total{route="other",status="404"} 1.0' in metrics
    assert "a-path-of-a-stranger" not in metrics
    assert "face_batch_size_sum 1.0" in metrics
    page = client.get("/")
    assert "<title>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/style.css", "/page.js"):
        assert path in page.text and client.get(path).status_code == 200


def test_uploads_never_touch_the_disk(client, photo, monkeypatch):
    import builtins
    import os
    import tempfile

    def refused(*arguments, **options):
        raise AssertionError("a file was opened")

    large = Image.open(io.BytesIO(photo(1))).resize((1600, 2000), Image.NEAREST)
    data = saved(large, "PNG")
    data += bytes(3_000_000 - len(data))  # behind the end of a PNG may be anything
    client.post("/embed", files={"image": data})  # whatever is opened once
    for module, name in ((tempfile, "SpooledTemporaryFile"), (tempfile, "TemporaryFile"),
                         (builtins, "open"), (os, "open")):  # fmt: skip
        monkeypatch.setattr(module, name, refused)
    response = client.post("/embed", files={"image": data})
    monkeypatch.undo()
    assert response.status_code == 200 and len(data) == 3_000_000
