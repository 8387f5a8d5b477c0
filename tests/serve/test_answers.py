"""Answers name their photos and faces; enrolment refuses what it cannot be sure of."""

import hashlib
import json

from arcface_mxnet.align.face import Face
import cv2
import numpy as np
import pytest

FIVE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])  # of a box


def two_faces(bgr):
    """Find a face in each half of a photo that is wider than high, else one; none in one colour."""
    height, width = bgr.shape[:2]
    if bgr.std() < 1:
        return []
    found = []
    for left in (0, width // 2) if width > height else (0,):
        side = width // 2 if width > height else width
        box = np.array([left + 0.2 * side, 0.2 * height, left + 0.8 * side, 0.8 * height])
        points = FIVE * (box[2:] - box[:2]) + box[:2]
        found.append(Face(box.astype(np.float32), points.astype(np.float32), 0.9 - left / 1e4))
    return found


def flipped(bgr):
    """Find a face whose mouth is above its eyes."""
    (face,) = two_faces(bgr)
    return [Face(face.box, face.landmarks[::-1].copy(), 0.9)]


@pytest.fixture
def post(make_app):
    from fastapi.testclient import TestClient

    with TestClient(make_app(detect=two_faces)) as client:

        def send(path, *photos, fields=("image",), headers=None, **data):
            names = fields if len(fields) > 1 else fields * len(photos)
            files = [
                (name, (f"{i}.png", one))
                for i, (name, one) in enumerate(zip(names, photos, strict=True))
            ]
            return client.post(path, files=files, data=data, headers=headers)

        send.client = client
        yield send


@pytest.fixture
def beside(photo):
    """Return the function beside(left, right) -> PNG of two people in one photo."""

    def make(left, right):
        halves = [cv2.imdecode(np.frombuffer(photo(n), np.uint8), 1)[:150] for n in (left, right)]
        return cv2.imencode(".png", np.hstack(halves))[1].tobytes()

    return make


def test_every_answer_names_its_photo_and_its_faces(post, photo, beside):
    pair = beside(1, 2)
    answer = post("/v1/embed", pair).json()
    assert answer["photo"] == {
        "index": 0, "field": "image", "file_name": "0.png",
        "sha256": hashlib.sha256(pair).hexdigest(),
    }  # fmt: skip
    assert answer["num_faces"] == 2 and answer["taken"] in (0, 1)
    assert answer["box"] == answer["faces"][answer["taken"]]["box"]
    for face in answer["faces"]:
        assert face["score"] > 0.8 and face["quality"]["eye_distance"] > 10
        assert face["embedding"] is None and face["matches"] is None
    compared = post("/compare", pair, photo(1), fields=("left", "right")).json()
    assert [compared[side]["photo"]["index"] for side in ("left", "right")] == [0, 1]
    enrolled = post("/enroll", photo(1), photo(1, 1), name="Ada").json()
    assert [face["photo"]["file_name"] for face in enrolled["faces"]] == ["0.png", "1.png"]


def test_all_faces_on_request_and_one_that_is_chosen(post, photo, beside):
    pair = beside(1, 2)
    every = post("/embed?all=true", pair).json()
    for number, face in enumerate(every["faces"]):
        one = post(f"/embed?face={number}", pair).json()
        assert one["taken"] == number and one["box"] == face["box"]
        assert one["embedding"] == pytest.approx(face["embedding"], abs=1e-6)
    assert every["embedding"] == every["faces"][every["taken"]]["embedding"]
    for number, name in enumerate(("left", "right")):
        path = f"/enroll?face={number}"
        assert post(path, pair, name=name).status_code == 201
    found = post("/search?all=true&limit=1", pair).json()
    assert [face["matches"][0]["name"] for face in found["faces"]] == ["left", "right"]
    assert post("/search?face=1", pair).json()["matches"][0]["name"] == "right"
    compared = post("/compare?left_face=0&right_face=1", pair, pair, fields=("left", "right"))
    assert not compared.json()["same"] and compared.json()["right"]["taken"] == 1
    refused = post("/embed?face=2", pair)
    assert refused.status_code == 422 and refused.json()["error"] == "unknown_face"


def test_the_photo_that_fails_is_named(post, photo):
    blank = cv2.imencode(".png", np.full((90, 90, 3), 80, np.uint8))[1].tobytes()
    answer = post("/enroll", photo(1), blank, b"junk", name="Ada").json()
    assert answer["error"] == "no_face" and answer["photo"]["index"] == 1
    assert answer["photo"]["file_name"] == "1.png"
    (other,) = answer["faults"]
    assert other["error"] == "no_photo" and other["photo"]["index"] == 2
    answer = post("/compare", photo(1), blank, fields=("left", "right")).json()
    assert answer["photo"]["field"] == "right"


def test_enrolment_refuses_several_faces_unless_told(post, photo, beside):
    pair = beside(1, 2)
    refused = post("/enroll", photo(1), pair, name="Ada")
    assert refused.status_code == 422 and refused.json()["error"] == "several_faces"
    assert refused.json()["photo"]["index"] == 1 and len(refused.json()["faces"]) == 2
    assert post.client.get("/people").json() == []
    assert post("/enroll?allow=several_faces", pair, name="Ada").status_code == 201
    assert post("/enroll?face=0&face=0", pair, pair, name="Eve").status_code == 201
    for query in ("face=0", "face=0&face=0&face=0", "face=-2&face=0", "face=x&face=0"):
        answer = post(f"/enroll?{query}", photo(1), pair, name="Eve")
        assert answer.status_code == 422 and answer.json()["error"] == "bad_request"


def test_enrolment_refuses_several_people_unless_told(post, photo):
    photos = [photo(1), photo(2), photo(1, 1), photo(2, 1)]
    refused = post("/enroll", *photos, name="Ada").json()
    assert refused["error"] == "several_people" and refused["groups"] == [[0, 2], [1, 3]]
    assert [one["index"] for one in refused["photos"]] == [0, 1, 2, 3]
    assert post.client.get("/people").json() == []
    assert post("/enroll?allow=several_people", *photos, name="Ada").json()["photos"] == 4
    assert post("/enroll?allow=everything", *photos, name="Ada").status_code == 422


def test_a_stranger_does_not_join_a_person_unsaid(post, photo):
    assert post("/enroll", photo(1), name="Ada").status_code == 201
    refused = post("/enroll", photo(2), photo(2, 1), name="Ada").json()
    assert refused["error"] == "several_people" and refused["groups"] == [[0, 1]]
    assert "show 2 people by their similarity (photos 0, 1; those enrolled)" in refused["detail"]
    mixed = post("/enroll", photo(2), photo(1, 1), name="Ada").json()
    assert mixed["groups"] == [[0], [1]] and "(photos 0; 1, those enrolled)" in mixed["detail"]
    assert post("/enroll", photo(1, 1), name="Ada").json()["photos"] == 2
    assert post("/enroll", photo(2), name="Eve").status_code == 201
    assert post("/enroll?allow=several_people", photo(2), name="Ada").json()["photos"] == 3


def test_unsure_faces_are_refused_unless_told(make_app, photo):
    from fastapi.testclient import TestClient

    with TestClient(make_app(detect=flipped)) as client:
        for path in ("/embed", "/search", "/enroll"):
            for query, status in (
                ("", 422),
                ("?allow=uncertain", 201 if "enroll" in path else 200),
            ):
                data = {"name": "Ada"} if "enroll" in path else None
                answer = client.post(path + query, data=data, files={"image": photo(1)})
                assert answer.status_code == status
        refused = client.post("/embed", files={"image": photo(1)}).json()
        assert refused["error"] == "uncertain_face" and refused["faces"][0]["doubts"]


def test_photos_of_a_person_one_by_one(post, photo):
    ids = post("/enroll", photo(1), photo(1, 1), name="Ada/x").json()["ids"]
    listed = post.client.get("/v1/photos", params={"name": "Ada/x"}).json()
    assert [row["id"] for row in listed] == ids
    assert listed[0]["sha256"] == hashlib.sha256(photo(1)).hexdigest() and listed[0]["added"]
    assert post.client.delete(f"/v1/photos/{ids[0]}").status_code == 204
    assert post.client.delete(f"/v1/photos/{ids[0]}").json()["error"] == "unknown_photo"
    assert post.client.get("/people").json() == [{"name": "Ada/x", "photos": 1}]
    for wrong in ("x", "0", "-1", str(2**63)):
        assert post.client.delete(f"/v1/photos/{wrong}").status_code == 422
    assert post.client.get("/v1/photos", params={"name": "Eve"}).status_code == 404


def test_an_idempotency_key_makes_repeats_safe(post, photo):
    headers = {"Idempotency-Key": "one"}
    first = post("/enroll", photo(1), headers=headers, name="Ada").json()
    again = post("/v1/enroll", photo(1), headers=headers, name="Ada")
    assert again.status_code == 201
    assert {k: again.json()[k] for k in ("name", "photos", "ids")} == {
        k: first[k] for k in ("name", "photos", "ids")
    }
    assert post.client.get("/people").json() == [{"name": "Ada", "photos": 1}]
    other = post("/enroll", photo(2), headers=headers, name="Ada")
    assert other.status_code == 422 and other.json()["error"] == "key_reused"
    for _ in range(2):
        gone = post.client.delete("/people/Ada", headers={"Idempotency-Key": "two"})
        assert gone.status_code == 204
    spent = post("/enroll", photo(1), headers=headers, name="Ada")
    assert spent.status_code == 409 and spent.json()["error"] == "key_spent"
    long = post("/enroll", photo(1), headers={"Idempotency-Key": "x" * 300}, name="Ada")
    assert long.status_code == 422


def test_health_tells_of_recognizer_store_and_disk(make_app, photo, monkeypatch):
    from arcface_mxnet.serve import health
    from fastapi.testclient import TestClient

    monkeypatch.setattr(health, "KEPT", -1)
    with TestClient(make_app()) as client:
        for path in ("/health", "/v1/health", "/ready", "/v1/ready"):
            assert client.get(path).status_code == 200
            head = client.head(path)
            assert head.status_code == 200 and head.text == ""
        monkeypatch.setattr(health, "LEAST_DISK", 2**70)
        assert "bytes left" in client.get("/health").json()["parts"]["disk"]
        assert client.get("/health").status_code == 503 == client.get("/ready").status_code
        monkeypatch.undo()
        monkeypatch.setattr(health, "KEPT", -1)
        monkeypatch.setattr(health, "STUCK", -1)
        assert "has been busy" in client.get("/health").json()["parts"]["recognizer"]
        monkeypatch.setattr(health, "STUCK", 30)
        assert client.get("/health").status_code == 200
        monkeypatch.setattr(
            health.People, "check", lambda self: (_ for _ in ()).throw(health.sqlite3.Error("gone"))
        )
        assert "cannot be read: gone" in client.get("/health").json()["parts"]["store"]


def test_errors_of_routing_are_json(post):
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/embed", 405, "wrong_method"),
        ("POST", "/v1/people", 405, "wrong_method"),
        ("GET", "/v1/embed/", 404, "not_found"),
        ("PATCH", "/", 405, "wrong_method"),
    ):
        answer = post.client.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (status, code), path
        assert status != 405 or answer.headers["allow"]
    schema = post.client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert {"400", "401", "413", "415", "422", "503"} <= set(
        schema["paths"]["/v1/embed"]["post"]["responses"]
    )
    assert "HTTPValidationError" not in json.dumps(schema)
