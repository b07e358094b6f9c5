"""The API describes itself completely."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.intake.intake import OwnRoute
from app.api.main import NOUNS, create_app
from app.api.settings import ApiSettings
from jobs.status import links
from tests.app.conftest import LocalClient
from tests.conftest import MODELS

Document = dict[str, Any]
VERBS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The document as it is sent; it takes half a second to make."""
    catalog = tmp_path_factory.mktemp("catalog") / "models.toml"
    catalog.write_text(MODELS)
    app = create_app(ApiSettings(models_file=catalog, artifacts_url=str(catalog.parent)))
    return str(LocalClient(app).get("/openapi.json").text)


@pytest.fixture
def document(text: str) -> Document:
    document: Document = json.loads(text)
    return document


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            assert verb in VERBS
            yield f"{verb.upper()} {path}", operation


def test_every_field_of_every_model_has_a_description(document: Document) -> None:
    without = [
        f"{model}.{name}"
        for model, schema in document["components"]["schemas"].items()
        for name, field in schema.get("properties", {}).items()
        if not field.get("description")
    ]
    assert without == []


def test_every_number_of_a_request_has_a_range_and_an_example(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for model in ("GenerateRequest", "Guidance"):
        for name, field in schemas[model]["properties"].items():
            numbers = [
                kind for kind in (field, *field.get("anyOf", [])) if kind.get("type") in {"integer", "number"}
            ]
            for number in numbers:
                assert number.keys() & {"minimum", "exclusiveMinimum"}, f"{model}.{name}"
                assert number.keys() & {"maximum", "exclusiveMaximum"}, f"{model}.{name}"
                assert field.get("examples"), f"{model}.{name}"


def test_every_parameter_has_a_description(document: Document) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{name}: {parameter['name']}"


def test_every_route_has_a_summary_a_description_and_a_known_tag(document: Document) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
        assert operation["tags"], name


def test_every_operation_has_a_name_that_a_generated_client_may_bear(document: Document) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]*)+", name)] == []
    assert {"createJob", "listJobs", "generateImages", "searchByText", "whoAmI"} <= set(names)


def test_no_object_and_no_body_is_described_without_its_form(document: Document) -> None:
    def nodes(node: Any) -> Iterator[Document]:
        if isinstance(node, dict):
            yield node
            for name, child in node.items():
                if name not in {"default", "example", "examples", "properties"}:
                    yield from nodes(child)
                elif name == "properties":
                    yield from (each for field in child.values() for each in nodes(field))
        elif isinstance(node, list):
            yield from (each for child in node for each in nodes(child))

    for node in nodes(document):
        assert node.get("type") != "object" or node.keys() & {"properties", "additionalProperties"}, node
        assert node.get("additionalProperties") is not True, node
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for kind, content in (
            (kind, each) for body in bodies for kind, each in body.get("content", {}).items()
        ):
            assert content.get("schema"), f"{name}: {kind}"


def test_every_error_is_documented_as_a_problem_with_an_example(document: Document) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or name == "GET /readyz":
                continue
            assert set(response["content"]) == {"application/problem+json"}, f"{name} {status}"
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for example in content["examples"].values():
                assert example["value"]["status"] == int(status)


def test_the_documented_requests_are_accepted(client: TestClient, document: Document) -> None:
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]
    for example in body["examples"].values():
        assert client.post("/v1/jobs", json=example["value"]).status_code == 202


def test_every_reference_in_the_document_leads_somewhere(document: Document) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    assert "HTTPValidationError" not in json.dumps(document)


def test_a_stream_is_described_by_its_events(document: Document) -> None:
    for path in ("/v1/events", "/v1/jobs/{job_id}/events"):
        content = document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
        assert set(content["itemSchema"]["properties"]) == {"event", "data", "id"}
        assert content["schema"] == {"type": "array", "items": content["itemSchema"]}


def test_a_cursor_and_a_reference_to_a_picture_have_a_pattern(document: Document) -> None:
    listed = {each["name"]: each["schema"] for each in document["paths"]["/v1/jobs"]["get"]["parameters"]}
    pattern = next(kind["pattern"] for kind in listed["cursor"]["anyOf"] if kind["type"] == "string")
    assert re.search(pattern, "1767225600000000")
    assert not re.search(pattern, "next")
    refs = document["components"]["schemas"]["Body_scorePictures"]["properties"]["jobs"]["items"]["pattern"]
    for ref in ("01a203967d75b0c90aa928ee9db4", "01a2/0", "/v1/jobs/01a2/images/15"):
        assert re.search(refs, ref)
    assert not re.search(refs, "no job")


def test_a_form_has_no_null_and_nothing_within_its_fields(document: Document) -> None:
    score = document["components"]["schemas"]["Body_scorePictures"]["properties"]
    assert (score["prompt"]["type"], score["prompt"]["maxLength"]) == ("string", 2000)
    content = document["paths"]["/v1/images"]["post"]["requestBody"]["content"]
    drawn = content["multipart/form-data"]["schema"]["properties"]
    assert {"prompt", "sampler", "guidance.scale", "select.candidates", "webhook.url"} <= drawn.keys()
    assert "guidance" not in drawn
    assert all({"$ref", "null"}.isdisjoint(json.dumps(field).split('"')) for field in drawn.values())


def test_the_api_serves_every_path_that_a_job_tells(document: Document) -> None:
    job_id, name, index = "{job_id}", "{name}", "{index}"
    for path, verb in (
        (links.job(job_id), "get"),
        (links.cancel(job_id), "post"),
        (links.events(job_id), "get"),
        (links.image(job_id, 7).replace("7", name), "get"),
        (links.preview(job_id, 7, 3).replace("7", index).partition("?")[0], "get"),
    ):
        assert verb in document["paths"][path]


def test_every_call_that_refuses_unknown_fields_of_a_query_says_so(
    client: TestClient, document: Document
) -> None:
    refusing = [
        (path, method.lower())
        for noun in NOUNS
        for route in noun.router.routes
        if isinstance(route, OwnRoute) and route.include_in_schema
        for path, method in ((route.path, method) for method in route.methods or ())
    ]
    assert len(refusing) > 40
    for path, method in refusing:
        assert "422" in document["paths"][path][method]["responses"], (method, path)
    answer = client.get("/v1/jobs/none?nothing=1")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "nothing")


def test_a_body_that_may_be_left_out_may_not_be_null(client: TestClient, document: Document) -> None:
    path = "/v1/admin/keys/{key_id}/rotate"
    body = document["paths"][path]["post"]["requestBody"]
    assert body == {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Rotation"}}}}
    for name, operation in operations(document):
        assert '"null"' not in json.dumps(operation.get("requestBody", {})), name
    key = client.post("/v1/admin/keys", json={"name": "a"}).json()["id"]
    headers = {"Content-Type": "application/json"}
    assert client.post(path.format(key_id=key), content="null", headers=headers).status_code == 422
    assert client.post(path.format(key_id=key)).status_code == 201


def test_the_page_for_a_login_and_the_end_of_a_repeated_job_are_described(document: Document) -> None:
    assert set(document["paths"]["/login"]["get"]["responses"]["200"]["content"]) == {"text/html"}
    assert document["paths"]["/v1/jobs/{job_id}/retry"]["post"]["responses"]["200"]["content"]


def test_examples_of_a_query_may_be_sent_together(client: TestClient, document: Document) -> None:
    parameters = document["paths"]["/v1/jobs/failures"]["get"]["parameters"]
    sent = {
        each["name"]: each["schema"]["examples"][0] if "examples" in each["schema"] else each.get("example")
        for each in parameters
        if each["name"] in {"since", "until", "kind", "label", "q", "model"}
    }
    assert {"since", "until"} <= sent.keys()
    assert client.get("/v1/jobs/failures", params=sent).status_code == 200
