"""DashScope's two rerank APIs as its documentation and its official SDK have them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

import rerank_dashscope
from failures import Failure, failing
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    PermissionDeniedError,
    Price,
    RateLimitError,
    RerankResponse,
    ServerError,
    Tokens,
    UnsupportedParamError,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    NOTHING,
    Difference,
    Service,
    asking,
    by,
    captures,
    facts,
    rows,
    without_variables,
)

KEY = "sk-0123456789abcdef"
QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
QWEN, GTE, VL = "qwen3-rerank", "gte-rerank-v2", "qwen3-vl-rerank"
BEIJING = "https://dashscope.aliyuncs.com"
SINGAPORE = "https://dashscope-intl.aliyuncs.com"
COMPATIBLE = "/compatible-api/v1/reranks"
NATIVE = "/api/v1/services/rerank/text-rerank/text-rerank"
BASES = (
    "DASHSCOPE_API_BASE_RERANK",
    "DASHSCOPE_API_BASE",
    "DASHSCOPE_BASE_URL",
    "DASHSCOPE_HTTP_BASE_URL",
)
COMPATIBLE_REPLY = {
    "object": "list",
    "model": QWEN,
    "id": "85ba5752-1900-47d2-8896-23f99b13f6e1",
    "results": [
        {"index": 1, "relevance_score": 0.9334, "document": {"text": "other"}},
        {"index": 0, "relevance_score": 0.3410},
    ],
    "usage": {"total_tokens": 79},
}
NATIVE_REPLY = {
    "request_id": "4b0805c0-6b36-490d-8bc1-4365f4c89905",
    "code": "",
    "message": "",
    "output": {
        "results": [
            {"index": 1, "relevance_score": 0.9334, "document": "other"},
            {"index": 0, "relevance_score": 0.3410},
        ]
    },
    "usage": {"total_tokens": 79},
}
CALL = {"query": QUERY, "documents": DOCUMENTS, "top_n": 2}
RANKING = [(1, 0.9334), (0, 0.3410)]
COUNTED = Meta(billed_units=BilledUnits(total_tokens=79), tokens=Tokens(input_tokens=79))
INSTRUCTIONS = {"instruct": "find the answer", "instruction": "find the answer"}


def rows_of(ranking: Any) -> list[Any]:
    """A ranking as both APIs write it."""
    return [{"index": index, "relevance_score": score} for index, score in ranking]


COMPATIBLE_CASE = Case(
    plugin=rerank_dashscope,
    model=QWEN,
    example=Example(
        call=CALL,
        url=f"{BEIJING}{COMPATIBLE}",
        json={"model": QWEN, "query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        reply=COMPATIBLE_REPLY,
        ranking=RANKING,
        id="85ba5752-1900-47d2-8896-23f99b13f6e1",
        meta=COUNTED,
    ),
    encode=lambda ranking, _documents, _top_n: {"id": "1", "results": rows_of(ranking)},
    params=INSTRUCTIONS,
    error_in_200={"code": "InternalError", "message": "it failed", "request_id": "1"},
)
NATIVE_CASE = Case(
    plugin=rerank_dashscope,
    model=VL,
    example=Example(
        call=CALL,
        url=f"{BEIJING}{NATIVE}",
        json={
            "model": VL,
            "input": {"query": QUERY, "documents": DOCUMENTS},
            "parameters": {"top_n": 2},
        },
        reply=NATIVE_REPLY,
        ranking=RANKING,
        id="4b0805c0-6b36-490d-8bc1-4365f4c89905",
        meta=COUNTED,
    ),
    encode=lambda ranking, _documents, _top_n: {"output": {"results": rows_of(ranking)}},
    encode_error=lambda message: {"code": "SomeCode", "message": message, "request_id": "1"},
    params={**INSTRUCTIONS, "fps": 0.5},
    error_in_200={"code": "SomeCode", "message": "it failed", "output": {"results": []}},
)

ask_dashscope = asking(f"dashscope/{QWEN}", api_key=KEY, query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="dashscope")

# The captured call in this project's words, beside key and query.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "dashscope-dashscope1-textrerank": {
        "model": GTE,
        "top_n": 2,
        "return_documents": True,
        "api_base": "http://127.0.0.1:8080/api/v1",
    },
    "dashscope-dashscope2-full": {
        "model": GTE,
        "top_n": 2,
        "return_documents": True,
        "instruct": "Retrieve relevant passages.",
        "drop_params": True,
        "workspace": "ws-test",
        "api_base": "http://127.0.0.1:8080/api/v1",
    },
    "dashscope-dashscope2-minimal": {"api_base": "http://127.0.0.1:8080/api/v1"},
    "dashscope-litellm-compat": {"top_n": 2, "api_base": "http://127.0.0.1:8080/compatible-api/v1"},
    "dashscope-litellm-compat-dicts": {
        "model": GTE,
        "documents": [{"text": DOCUMENTS[0]}, {"text": DOCUMENTS[1]}],
        "return_documents": False,
        "instruct": "x",
        "max_tokens_per_doc": 5,
        "drop_params": True,
        "api_base": "http://127.0.0.1:8080/compatible-api/v1",
    },
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read; the SDKs say it otherwise or take their client's default",
        (
            "dashscope-dashscope1-textrerank",
            "dashscope-dashscope2-full",
            "dashscope-dashscope2-minimal",
        ),
    ),
    (
        "headers.content-type",
        "application/json",
        "JSON has no charset",
        ("dashscope-dashscope1-textrerank",),
    ),
    (
        "json.parameters",
        {"top_n": 2},
        "core attaches the caller's own documents, and instruct is only for the qwen3 family",
        ("dashscope-dashscope1-textrerank", "dashscope-dashscope2-full"),
    ),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents, and false is the service's default",
        ("dashscope-litellm-compat", "dashscope-litellm-compat-dicts"),
    ),
    (
        "json.documents",
        DOCUMENTS[:2],
        "models of text take only strings: mappings are rendered",
        ("dashscope-litellm-compat-dicts",),
    ),
)


def ask(
    service: Service, documents: Any = DOCUMENTS, *, model: str = QWEN, **keywords: Any
) -> RerankResponse:
    """Ask for a ranking."""
    return ask_dashscope(service, documents, model=f"dashscope/{model}", **keywords)


def rank_either(asked: Any) -> Any:
    """A reply of the API that was asked: the documents in the order they were sent."""
    content = {**asked, **asked.get("input", {}), **asked.get("parameters", {})}
    results = {"results": rows(content.get("top_n", len(content["documents"])))}
    return {"output": results} if "input" in asked else results


def documents_of(service: Service) -> Any:
    """The latest documents that were sent, of either API."""
    return service.body.get("input", service.body)["documents"]


# --- The kit -----------------------------------------------------------------------------------


@conformance(COMPATIBLE_CASE)
def test_the_compatible_api_conforms(check: Check) -> None:
    """To what every plugin must keep."""
    check()


@conformance(NATIVE_CASE)
def test_the_native_api_conforms(check: Check) -> None:
    """Likewise, with a model that sees."""
    check()


# --- What others were seen to send ------------------------------------------------------------


test_what_others_send_is_sent = captures("dashscope", CALLS, DIFFERENCES, by(ask, rank_either))


# --- Where requests go ------------------------------------------------------------------------

HOST = "https://gateway.test"


@pytest.mark.parametrize(
    ("model", "options", "url"),
    [
        # Each model where it is documented, unless the caller says otherwise.
        (QWEN, {}, f"{BEIJING}{COMPATIBLE}"),
        (GTE, {}, f"{BEIJING}{NATIVE}"),
        (VL, {}, f"{BEIJING}{NATIVE}"),
        ("qwen3.7-text-rerank", {}, f"{BEIJING}{NATIVE}"),
        ("my-own", {}, f"{BEIJING}{NATIVE}"),
        (QWEN, {"api": "native"}, f"{BEIJING}{NATIVE}"),
        (GTE, {"api": "compatible"}, f"{BEIJING}{COMPATIBLE}"),
        # Base URLs, which say which API they are as far as they go.
        (GTE, {"api_base": f"{HOST}/reranks"}, f"{HOST}/reranks"),
        (GTE, {"api_base": f"{HOST}/a{COMPATIBLE}/"}, f"{HOST}/a{COMPATIBLE}"),
        (QWEN, {"api_base": f"{HOST}{NATIVE}/"}, f"{HOST}{NATIVE}"),
        (QWEN, {"api_base": f"{HOST}/x/text-rerank"}, f"{HOST}/x/text-rerank"),
        # That of the chat says none.
        (GTE, {"api_base": f"{HOST}/compatible-mode/v1"}, f"{HOST}{NATIVE}"),
        (QWEN, {"api_base": f"{HOST}/compatible-mode/v1/"}, f"{HOST}{COMPATIBLE}"),
        (GTE, {"api_base": f"{HOST}/compatible-api/v1"}, f"{HOST}{COMPATIBLE}"),
        (QWEN, {"api_base": f"{HOST}/api/v1"}, f"{HOST}{NATIVE}"),
        (QWEN, {"api_base": f"{HOST}/api/v1?a=b"}, f"{HOST}{NATIVE}?a=b"),
        (QWEN, {"api_base": HOST}, f"{HOST}{COMPATIBLE}"),
        (GTE, {"api_base": f"{HOST}/"}, f"{HOST}{NATIVE}"),
        (GTE, {"api_base": f"{HOST}/a"}, f"{HOST}/a{NATIVE}"),
        (QWEN, {"api_base": HOST, "api": "native"}, f"{HOST}{NATIVE}"),
        (QWEN, {"api_base": f"{HOST}/api/v1", "api": "native"}, f"{HOST}{NATIVE}"),
        # Regions and workspaces.
        (QWEN, {"region": "cn-beijing"}, f"{BEIJING}{COMPATIBLE}"),
        (QWEN, {"region": "ap-southeast-1"}, f"{SINGAPORE}{COMPATIBLE}"),
        (QWEN, {"region": "us-east-1"}, f"{SINGAPORE}{COMPATIBLE}"),
        (QWEN, {"region": "eu-central-1"}, f"{SINGAPORE}{COMPATIBLE}"),
        (QWEN, {"region": "ap-northeast-1"}, f"{SINGAPORE}{COMPATIBLE}"),
        (
            QWEN,
            {"region": "cn-hongkong"},
            f"https://cn-hongkong.dashscope.aliyuncs.com{COMPATIBLE}",
        ),
        (QWEN, {"workspace": "ws1"}, f"https://ws1.cn-beijing.maas.aliyuncs.com{COMPATIBLE}"),
        (
            GTE,
            {"workspace": "ws1", "region": "eu-west-9"},
            f"https://ws1.eu-west-9.maas.aliyuncs.com{NATIVE}",
        ),
        (QWEN, {"workspace": "ws1", "api_base": BEIJING}, f"{BEIJING}{COMPATIBLE}"),
        (QWEN, {"region": "ap-southeast-1", "api_base": BEIJING}, f"{BEIJING}{COMPATIBLE}"),
    ],
)
def test_a_request_goes_where_model_options_and_base_url_say(
    model: str, options: dict[str, Any], url: str
) -> None:
    """And its body has the form of the API there."""
    service = Service(rank_either)

    ask(service, model=model, **options)

    assert service.url == url
    native = "text-rerank" in url.partition("?")[0]
    assert set(service.body) == ({"model", "input", "parameters"} if native else FLAT)


FLAT = {"model", "query", "documents"}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"workspace": "ws1"}, None),  # it is in the host
        ({"workspace": "ws1", "api_base": BEIJING}, "ws1"),
        ({"workspace": "ws1", "api_base": HOST}, "ws1"),
        ({}, None),
    ],
)
def test_the_workspace_is_a_header_for_shared_hosts(
    options: dict[str, Any], sent: str | None
) -> None:
    """As in the official SDK."""
    service = Service(rank_either)

    ask(service, **options)

    assert service.requests[0].headers.get("x-dashscope-workspace") == sent


@pytest.mark.parametrize(
    ("variables", "options", "url"),
    [
        (BASES, {"api_base": "https://mine.test"}, f"https://mine.test{COMPATIBLE}"),
        (BASES, {}, f"https://dashscope-api-base-rerank.test{COMPATIBLE}"),
        (BASES[1:], {}, f"https://dashscope-api-base.test{COMPATIBLE}"),
        (BASES[2:], {}, f"https://dashscope-base-url.test{COMPATIBLE}"),
        (BASES[3:], {}, f"https://dashscope-http-base-url.test{COMPATIBLE}"),
        (("DASHSCOPE_REGION",), {"region": "cn-hongkong"}, "https://cn-hongkong.dashscope."),
        # What is given never loses to a variable.
        (BASES, {"region": "ap-southeast-1"}, f"{SINGAPORE}{COMPATIBLE}"),
        (BASES, {"region": "eu-central-1", "workspace": "w"}, "https://w.eu-central-1.maas."),
        (BASES, {"region": "ap-southeast-1", "api_base": "https://mine.test"}, "https://mine.test"),
        (("DASHSCOPE_WORKSPACE",), {}, "https://dashscope-workspace.cn-beijing.maas."),
        (
            ("DASHSCOPE_WORKSPACE", "DASHSCOPE_REGION"),
            {},
            "https://dashscope-workspace.dashscope-region.maas.",
        ),
        (("DASHSCOPE_WORKSPACE",), {"workspace": "mine"}, "https://mine.cn-beijing.maas."),
        (("DASHSCOPE_WORKSPACE", "DASHSCOPE_BASE_URL"), {}, "https://dashscope-base-url.test"),
    ],
)
def test_the_environment_says_where(
    monkeypatch: pytest.MonkeyPatch,
    variables: tuple[str, ...],
    options: dict[str, Any],
    url: str,
) -> None:
    """Litellm's variables before the SDK's, the argument before all."""
    for name in variables:
        value = name.lower().replace("_", "-")
        monkeypatch.setenv(name, f"https://{value}.test" if name in BASES else value)
    service = Service(rank_either)

    ask(service, **options)

    assert service.url.startswith(url)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api": "v2"}, "api must be 'native' or 'compatible', not 'v2'"),
        ({"api": "native", "api_base": f"{HOST}/compatible-api/v1"}, "contradicts the base URL"),
        ({"api": "compatible", "api_base": f"{HOST}{NATIVE}"}, "contradicts the base URL"),
        ({"region": "eu-west-9"}, "no shared host is known for region 'eu-west-9'"),
        ({"region": "evil.test/"}, "region must be of letters"),
        ({"workspace": "evil.test/"}, "workspace must be of letters"),
        ({"workspace": "two\nlines", "api_base": HOST}, "workspace must be of letters"),
        ({"workspace": 5}, "workspace must be of letters"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], words: str) -> None:
    """Before anything is sent, as a mistake in the configuration."""
    service = Service(rank_either)

    with pytest.raises(ConfigurationError, match=words) as caught:
        ask(service, **options)

    assert type(caught.value) is ConfigurationError
    assert service.requests == []


def test_two_names_of_one_param_are_refused() -> None:
    """Neither is guessed to be meant."""
    service = Service(rank_either)

    with pytest.raises(InvalidRequestError, match="instruct and instruction are the same"):
        ask(service, instruct="a", instruction="b")

    assert service.requests == []


# --- What is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "params", "own"),
    [
        (QWEN, {}, {}),
        (QWEN, {"top_n": 1}, {"top_n": 1}),
        (QWEN, {"top_n": 9}, {"top_n": 3}),
        (QWEN, {"instruct": "a"}, {"instruct": "a"}),
        (QWEN, {"instruction": "a", "top_n": 2}, {"instruct": "a", "top_n": 2}),
        (QWEN, {"return_documents": True}, {}),
        (QWEN, {"return_documents": False}, {}),
        ("qwen3.7-text-rerank", {"instruction": "a"}, {"instruct": "a"}),
        (GTE, {"top_n": 2}, {"top_n": 2}),
        (VL, {"fps": 0.5, "instruct": "a"}, {"fps": 0.5, "instruct": "a"}),
    ],
)
def test_parameters_stand_where_the_api_has_them(
    model: str, params: dict[str, Any], own: dict[str, Any]
) -> None:
    """Flat in the compatible API, under `parameters` in the native one; nothing else is sent."""
    service = Service(rank_either)

    ask(service, model=model, **params)
    ask(service, model=model, api="native", **params)
    ask(service, model=model, api="compatible", **params)

    asked = {"query": QUERY, "documents": DOCUMENTS}
    bodies = [json.loads(request.content) for request in service.requests]
    assert bodies[1] == {"model": model, "input": asked, "parameters": own}
    assert bodies[2] == {"model": model, **asked, **own}
    assert bodies[0] == bodies[2 if model == QWEN else 1]


@pytest.mark.parametrize(
    ("model", "params", "refused"),
    [
        (GTE, {"instruct": "a"}, "instruct"),
        (GTE, {"instruction": "a"}, "instruction"),
        (QWEN, {"fps": 0.5}, "fps"),
        (QWEN, {"max_tokens_per_doc": 5}, "max_tokens_per_doc"),
        (VL, {"max_chunks_per_doc": 5}, "max_chunks_per_doc"),
    ],
)
def test_a_parameter_that_a_model_does_not_know_is_refused(
    model: str, params: dict[str, Any], refused: str
) -> None:
    """And left out with a warning where that is allowed."""
    service = Service(rank_either)

    with pytest.raises(UnsupportedParamError) as caught:
        ask(service, model=model, **params)
    response = ask(service, model=model, drop_params=True, **params)

    assert caught.value.param == refused
    assert [warning for warning in response.warnings if refused in warning]
    assert len(service.requests) == 1


@pytest.mark.parametrize("model", [QWEN, GTE])
def test_mappings_are_rendered_for_models_of_text(model: str) -> None:
    """They take only strings."""
    service = Service(rank_either)
    documents = [{"title": "a", "text": "b"}, {"text": "c"}, "d"]

    response = ask(service, documents, model=model)
    whole = documents_of(service)
    ask(service, documents, model=model, rank_fields=["text"])

    assert whole == ["title: a\ntext: b", "c", "d"]
    assert documents_of(service) == ["b", "c", "d"]
    assert [result.document and result.document.fields for result in response.results] == [
        documents[0],
        documents[1],
        None,
    ]


PICTURE, FILM = {"image": "https://pictures.test/1.png"}, {"video": "https://films.test/1.mp4"}


@pytest.mark.parametrize(
    ("documents", "rank_fields", "sent"),
    [
        (["a", "b"], None, ["a", "b"]),
        ([PICTURE, FILM, {"text": "a"}], None, [PICTURE, FILM, {"text": "a"}]),
        ([{**PICTURE, "text": "a"}], None, [{**PICTURE, "text": "a"}]),
        (["a", PICTURE], None, [{"text": "a"}, PICTURE]),
        ([{"title": "a", "text": "b"}, PICTURE], None, [{"text": "title: a\ntext: b"}, PICTURE]),
        ([{"title": "a", "text": "b"}], None, ["title: a\ntext: b"]),
        ([{"title": "a", "text": "b"}, "c"], ["text"], ["b", "c"]),
        ([{**PICTURE, "title": "cat"}, "c"], ["image"], [PICTURE, {"text": "c"}]),
        ([{**PICTURE, "title": "cat"}], ["title"], ["title: cat"]),
        ([{**PICTURE, "text": None, "title": None}], None, [PICTURE]),
        ([{**FILM, "text": "a"}], ["video"], [FILM]),
    ],
)
def test_documents_of_every_kind_go_to_the_model_that_sees(
    documents: list[Any], rank_fields: list[str] | None, sent: list[Any]
) -> None:
    """Its own objects pass through; other mappings are text, as everywhere."""
    service = Service(rank_either)

    ask(service, documents, model=VL, rank_fields=rank_fields)

    assert documents_of(service) == sent


@pytest.mark.parametrize("seen", [PICTURE, FILM, {"image": "data:image/png;base64,aGk="}])
@pytest.mark.parametrize("named", [False, True])
def test_other_fields_beside_a_picture_or_film_are_refused(
    seen: dict[str, str], *, named: bool
) -> None:
    """They would make its URL a text to rank."""
    service = Service(rank_either)

    with pytest.raises(InvalidRequestError, match=r"documents\[1\].*rank_fields=\['image'\]"):
        ask(
            service,
            ["a", {**seen, "title": "cat"}],
            model=VL,
            rank_fields=[*seen, "title"] if named else None,
        )

    assert service.requests == []


@pytest.mark.parametrize(("document", "most"), [(PICTURE, 40), (FILM, 4)])
def test_too_many_pictures_or_films_are_refused(document: dict[str, str], most: int) -> None:
    """With what to do; scores of several requests may not be compared unasked."""
    service = Service(rank_either)

    ask(service, [document] * most, model=VL)
    with pytest.raises(InvalidRequestError, match=f"split with max_documents={most}"):
        ask(service, [document] * (most + 1), model=VL)
    ask(service, [document] * (most + 1), model=VL, max_documents=most, split_listwise=True)

    assert len(service.requests) == 3


@pytest.mark.parametrize(("model", "most"), [(QWEN, 500), (GTE, 500), (VL, 100)])
def test_a_list_that_is_too_long_is_split_only_where_allowed(model: str, most: int) -> None:
    """Because the documentation advises against comparing scores of different requests."""
    service = Service(rank_either)
    documents = [f"document {at}" for at in range(most + 1)]

    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(service, documents, model=model)
    response = ask(service, documents, model=model, split_listwise=True)

    assert len(service.requests) == 2
    assert len(response.results) == most + 1


# --- What is answered --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "headers", "identity"),
    [
        ({}, {"x-request-id": "from-header"}, "from-header"),
        ({"request_id": 5}, {}, None),
        ({"usage": None}, {}, None),
        ({"usage": {"total_tokens": "many"}}, {}, None),
        ({"code": None, "message": None}, {}, None),
    ],
)
def test_what_is_optional_may_be_absent(
    extra: dict[str, Any], headers: dict[str, str], identity: str | None
) -> None:
    """A ranking is not lost for it, and gets an id all the same."""
    reply = {"output": {"results": rows_of([(0, 0.5), (1, 0.4), (2, 0.3)])}, **extra}

    response = ask(Service(reply, headers=headers))

    assert len(response.results) == 3
    assert response.id
    assert identity is None or response.id == identity
    assert response.meta == Meta()
    assert response.cost is None


ERRORS = [
    # Under a good status the code decides.
    Failure(
        200,
        {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "1"},
        "Invalid API-key provided.",
        kind=AuthenticationError,
    ),
    Failure(
        200,
        {"code": "Throttling.RateQuota", "message": "slow"},
        "slow",
        kind=RateLimitError,
        retried=True,
    ),
    Failure(
        200,
        {"code": "DataInspectionFailed", "message": "no"},
        "content filter",
        kind=BadRequestError,
    ),
    Failure(200, {"code": "InternalError"}, "InternalError", kind=ServerError, retried=True),
    Failure(200, {"code": "NobodyKnows", "message": "odd"}, "odd"),
    Failure(
        200,
        {
            "code": "InvalidApiKey",
            "message": "no",
            "output": {"results": rows_of([(0, 0.5), (1, 0.4), (2, 0.3)])},
        },
        "no",
        kind=AuthenticationError,
    ),
    Failure(200, {"error": {"message": "wrong model", "code": "x"}}, "wrong model"),
    Failure(400, {"code": "InvalidParameter", "message": "bad input"}, "bad input"),
    Failure(400, {"code": "DataInspectionFailed", "message": "no"}, "content filter"),
    Failure(400, {"code": "Arrearage", "message": "no"}, "unpaid bill", kind=PermissionDeniedError),
    Failure(403, {"code": "Arrearage", "message": "no"}, "unpaid bill"),
    Failure(
        401,
        {"code": "InvalidApiKey", "message": "Invalid API-key provided."},
        "it belongs to one region",
    ),
    Failure(
        401,
        {
            "error": {
                "message": "Incorrect API key provided.",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
                "param": None,
            },
            "request_id": "1",
        },
        "Incorrect API key provided.",
    ),
    Failure(403, {"code": "AccessDenied", "message": "no"}, "no"),
    Failure(403, {"code": "AccessDenied.Unpurchased", "message": "no"}, "switch Model Studio on"),
    Failure(403, {"code": "Model.AccessDenied", "message": "no"}, "workspace"),
    Failure(404, {"code": "Model.NotExist", "message": "no model"}, "no model"),
    Failure(404, {"code": "ModelNotFound", "message": "no model"}, "no model"),
    Failure(413, {"message": "too large"}, "too large"),
    Failure(429, {"code": "Throttling.AllocationQuota", "message": "quota"}, "quota"),
    Failure(500, {"code": "InternalError", "message": "oops"}, "oops"),
    Failure(503, {"code": "ServiceUnavailable", "message": "later"}, "later"),
    Failure(504, "<html>timeout</html>", "timeout"),
]
test_an_error_is_of_its_kind = failing(ask, f"dashscope/{QWEN}", ERRORS)


@pytest.mark.parametrize(
    ("status", "headers", "attempts"),
    [
        (400, {}, 1),
        (401, {}, 1),
        (403, {}, 1),
        (404, {}, 1),
        (413, {}, 1),
        (408, {}, 3),
        (409, {}, 3),
        (429, {}, 3),
        (500, {}, 3),
        (502, {}, 3),
        (503, {}, 3),
        (504, {}, 3),
        (503, {"x-should-retry": "false"}, 1),
        (400, {"x-should-retry": "true"}, 3),
    ],
)
def test_what_may_pass_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], attempts: int
) -> None:
    """As by the official SDK."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    service = Service({"message": "no"}, status=status, headers=headers)

    with pytest.raises(APIStatusError):
        ask(service, max_retries=2)

    assert len(service.requests) == attempts


# --- Facts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "documents", "tokens", "usd"),
    [
        (QWEN, 500, 4000, 0.1),
        (GTE, 500, 4000, 0.115),
        (VL, 100, 8000, None),
        ("qwen3.7-text-rerank", None, 32_768, None),
        ("my-own", None, None, None),
    ],
)
def test_what_is_stated_of_a_model(
    model: str, documents: int | None, tokens: int | None, usd: float | None
) -> None:
    """Limits, and a price where one is known in US dollars and depends on tokens alone."""
    known = facts(f"dashscope/{model}")

    assert known.max_documents == documents
    assert known.max_tokens == tokens
    assert known.price == (Price(usd / 1_000_000, "total_tokens", "2026-11-22") if usd else None)
    assert (known.score_kind, known.listwise) == ("probability", True)


def test_an_empty_key_is_for_hosts_of_one_s_own() -> None:
    """A gateway that adds the key, for example."""
    service = Service(rank_either)

    ask(service, api_key="", api_base=HOST)
    with pytest.raises(ConfigurationError):
        ask(service, api_key="")

    assert "authorization" not in service.requests[0].headers
    assert len(service.requests) == 1
