"""What /openapi.json promises, tried by schemathesis where it is installed."""

import json

from arcface_mxnet.serve.access import Access
import pytest

TOKEN = "a-token-of-some-length"
FORMS = {"/v1/embed", "/v1/compare", "/v1/enroll", "/v1/search"}


def test_routes_errors_and_the_scheme_are_told(make_app):
    schema = make_app(access=Access(TOKEN, frozenset())).openapi()
    assert schema["security"] == [{"bearer": []}]
    assert make_app().openapi()["security"] == [{}, {"bearer": []}]
    assert set(schema["paths"]) == FORMS | {
        "/v1/people", "/v1/people/{name}", "/v1/photos", "/v1/photos/{number}", "/v1/health",
        "/v1/ready", "/v1/metrics",
    }  # fmt: skip
    for path in FORMS:
        route = schema["paths"][path]["post"]
        assert {"400", "401", "403", "408", "413", "415", "422", "503"} <= set(route["responses"])
        assert "multipart/form-data" in route["requestBody"]["content"]
    assert "HTTPValidationError" not in json.dumps(schema)


def test_aliases_answer_as_the_routes_do(client, photo):
    for path in ("people", "health", "openapi.json", "photos?name=x"):
        one, other = client.get(f"/{path}"), client.get(f"/v1/{path}")
        assert (one.status_code, one.json()) == (other.status_code, other.json())


def test_schemathesis_finds_nothing(serve):
    schemathesis = pytest.importorskip(
        "schemathesis", reason="schemathesis is not installed: pip install it"
    )
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi import checks

    headers = {"authorization": f"Bearer {TOKEN}"}
    url = serve(access=Access(TOKEN, frozenset()))
    schema = schemathesis.openapi.from_url(f"{url}openapi.json", headers=headers)
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=20, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        )  # fmt: skip
        def check(case):
            tried.add(case.operation.label)
            # No schema says that an image shows a face, or which letters a name may have; the
            # other check takes the token given here for one that it sends itself (test_gate.py).
            case.call_and_validate(
                headers=headers,
                excluded_checks=[checks.positive_data_acceptance, checks.ignored_auth],
            )

        check()
    assert len(tried) == 11
