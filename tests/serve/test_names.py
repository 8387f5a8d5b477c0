"""Names of every script are names, and one name is written in one way."""

from arcface_mxnet.serve.names import checked_name
from arcface_mxnet.serve.refusal import Refusal
import pytest

NAMES = [
    "Ada", "Zo\u00eb", "Jos\u00e9 \u00d1u\u00f1ez", "O'Brien-Smith", "\u0141ukasz",
    "\u5c71\u7530\u3000\u592a\u90ce",  # with the ideographic space
    "\u738b\u5c0f\u660e", "\uae40\ubbfc\uc218", "\u0645\u062d\u0645\u062f",
    "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # Ali Reza, joined by ZWNJ
    "\u0d9a\u0dca\u200d\u0dbb",  # Sinhala, with ZWJ
    "\u0915\u094d\u200d\u0937", "\u0e2a\u0e21\u0e0a\u0e32\u0e22", "\u05d3\u05d5\u05d3",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "Jean\u00a0Luc", "\U00020b9f\u91ce\u5bb6",
    "\u1019\u103c\u1014\u103a", "\u10d2\u10d8\u10dd\u10e0\u10d2\u10d8",
    "\u12a0\u1260\u1260", "a/b", "100 %", "<img src=x>", "\U0001f469\u200d\U0001f52c",
]  # fmt: skip
NONE = [
    "", " ", "\u3000", "\u200d", " \u200c ", ".", "..", "a\nb", "a\x00b", "x" * 101, "\u202eevil",
    "a\u2028b", "\ufeffa\ufeff b", "a\ufffdb", "\ue000", "\U000e0041a", "\u0378", "\u3164",
    "\u2800", "\u0301", "a\u00adb", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert checked_name(name) == checked_name(f" \u200d{name}\u3000") == name


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_name(name):
    with pytest.raises(Refusal, match="printable characters") as refused:
        checked_name(name)
    assert refused.value.status == 422


def test_one_name_in_one_form():
    assert checked_name("Zoe\u0308") == "Zo\u00eb" != checked_name("Zoe")
    assert checked_name("\u5c71\u3000\u592a") != checked_name("\u5c71\u592a")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_goes_through_the_service_unchanged(client, photo, name):
    files = {"image": photo(1)}
    assert client.post("/v1/enroll", data={"name": name}, files=files).json()["name"] == name
    assert client.get("/v1/people").json() == [{"name": name, "photos": 1}]
    assert len(client.get("/v1/photos", params={"name": name}).json()) == 1
    escaped = "".join(f"%{byte:02X}" for byte in name.encode())
    assert client.delete(f"/v1/people/{escaped}").status_code == 204
    assert client.get("/v1/people").json() == []


def test_bytes_that_are_not_utf8_are_never_another_name(client, photo):
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nAd\xff\r\n--x\r\n'
    body += b'Content-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + photo(1)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/enroll", content=body + b"\r\n--x--\r\n", headers=headers)
    assert answer.status_code == 422 and answer.json()["error"] == "bad_text"
    assert client.post("/enroll", data={"name": "Ad\ufffd"}, files={"image": photo(1)}
                       ).status_code == 422  # fmt: skip
    assert client.get("/people").json() == []
    assert client.delete("/people/Ad%FF").json()["error"] == "bad_text"
    assert client.get("/photos?name=Ad%FF").json()["error"] == "bad_text"
