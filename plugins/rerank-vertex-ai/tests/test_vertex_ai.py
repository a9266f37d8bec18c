"""Google's ranking API: requests, replies, errors and tokens, against stand-ins for its servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, jwt

import rerank_vertex_ai
from failures import Failure, failing
from recorder import Reply, recording
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BilledUnits,
    ConfigurationError,
    Meta,
    MissingAPIKeyError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    TransportError,
    rerank,
)
from rerank_core.testing import CANARY, Case, Check, Example, Ranking, conformance
from rerank_core.tokens import TokenAuth
from rerank_vertex_ai import _credentials
from rerank_vertex_ai._auth import credentials_auth, metadata_auth
from service import (
    Difference,
    Send,
    both_ways,
    captures,
    differing,
    every_way,
    forget_credentials,
    load,
    send_async,
)
from token_service import (
    FAILED_ANYWHERE,
    FailedExchange,
    TokenCheck,
    TokenService,
    call_thrice,
    form_of,
    shown_with,
    token,
    token_checks,
    without_state,
)

MODEL = "semantic-ranker-default-004"
HOST = "https://discoveryengine.googleapis.com"
EU = "https://eu-discoveryengine.googleapis.com"
PATH = "/v1/projects/my-project/locations/global/rankingConfigs/default_ranking_config:rank"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
CALL: dict[str, Any] = {
    "model": f"vertex_ai/{MODEL}",
    "query": "capital of France",
    "documents": DOCUMENTS,
    "vertex_project": "my-project",
    "max_retries": 0,
}
READY = CALL | {"access_token": "ready-made"}
RECORDS = [{"id": str(at), "content": text} for at, text in enumerate(DOCUMENTS)]


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """Write the service's reply for a ranking."""
    del documents, top_n
    return {"records": [{"id": str(index), "score": score} for index, score in ranking]}


CASE = Case(
    plugin=rerank_vertex_ai,
    model=MODEL,
    options={"api_key": None, "access_token": CANARY, "vertex_project": "my-project"},
    params={"user_labels": {"team": "search"}},
    encode=encode,
    encode_error=lambda message: {"error": {"code": 400, "message": message, "status": "X"}},
    example=Example(
        call={"query": "capital of France", "documents": DOCUMENTS, "top_n": 2},
        url=HOST + PATH,
        json={
            "model": MODEL,
            "query": "capital of France",
            "records": RECORDS,
            "ignoreRecordDetailsInResponse": True,
            "topN": 2,
        },
        headers={"x-goog-user-project": "my-project"},
        reply=encode([(1, 0.9812), (0, 0.0123)], DOCUMENTS, 2),
        ranking=[(1, 0.9812), (0, 0.0123)],
        meta=Meta(billed_units=BilledUnits(search_units=1)),
    ),
)


@conformance(
    CASE,
    exceptions={
        "check_damaged_replies_do_no_harm": "JSON of this kind leaves out a score of zero, so that"
        " one that is lost cannot be told from it"
    },
)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


bare_environment = without_state("vertex_ai", credentials_auth, metadata_auth)


@pytest.fixture(autouse=True)
def somewhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let neither a machine of Google's nor gcloud's files take part."""
    for name in _credentials._ON_GOOGLE:  # noqa: SLF001 - what it looks at
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr(_credentials, "_PRODUCT_NAME", tmp_path / "product_name")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(service: Any, *, send: Send = rerank, **changes: Any) -> RerankResponse:
    """Ask for a ranking, with a ready token."""
    return send(**READY | changes, http_client=service)


def rank(asked: Any) -> dict[str, Any]:
    """Rank the last document first."""
    count = len(asked["records"])
    return encode([(at, (at + 1) / 1000) for at in reversed(range(count))], [], None)


def error(status: int, word: str, message: str) -> httpx.Response:
    """An error of the ranking endpoint."""
    body = {"code": status, "message": message, "status": word, "details": []}
    return httpx.Response(status, json={"error": body})


Service = partial(
    TokenService,
    ranking=rank,
    refusal=error(401, "UNAUTHENTICATED", "Invalid credentials."),
    path="/token",
)


def compare(name: str, call: Mapping[str, Any], send: Send) -> dict[str, Any]:
    """What is sent otherwise than in a capture."""
    service = Service()
    ask(service, **{"send": send, **call, "access_token": "test-key"})
    return differing(name, service)


STRINGS, TITLES = "vertex_ai-discoveryengine-strings", "vertex_ai-discoveryengine-titles"
LITELLM_STRINGS, LITELLM_DICTS = "vertex_ai-litellm-strings", "vertex_ai-litellm-dicts"
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read",
        (STRINGS, TITLES, LITELLM_STRINGS, LITELLM_DICTS),
    ),
    (
        "query",
        "",
        "Google's client adds the encoding of enumerations; plain JSON is the default",
        (STRINGS, TITLES),
    ),
    (
        "json.ignoreRecordDetailsInResponse",
        True,
        "the service would send title and content back; core attaches the caller's documents",
        (STRINGS, LITELLM_STRINGS),
    ),
    (
        "json.records",
        RECORDS,
        "title and content are scored together: one made up here changes the score",
        (LITELLM_STRINGS,),
    ),
    (
        "path",
        PATH.replace("global", "eu"),
        "litellm ignores the location",
        (LITELLM_DICTS,),
    ),
)


def same_call(name: str) -> dict[str, Any]:
    """The captured call in this project's words."""
    capture = load(name)
    call = {at: value for at, value in capture["call"].items() if at != "fn"}
    call["model"] = f"vertex_ai/{call['model'].removeprefix('vertex_ai/')}"
    # Labels are not among the capture's arguments.
    return call | {"user_labels": capture["request"]["json"].get("userLabels")}


CALLS = {name: same_call(name) for name in (STRINGS, TITLES, LITELLM_STRINGS, LITELLM_DICTS)}
test_what_others_send_is_sent = captures("vertex_ai", CALLS, DIFFERENCES, compare)


@pytest.mark.parametrize(
    ("base", "options", "url"),
    [
        (None, {}, HOST + PATH),
        (f"{HOST}/", {}, HOST + PATH),
        (f"{HOST}/v1", {}, HOST + PATH),
        (f"{HOST}/v1beta/", {}, HOST + PATH.replace("/v1/", "/v1beta/")),
        (f"{HOST}/v1alpha", {}, HOST + PATH.replace("/v1/", "/v1alpha/")),
        ("https://proxy.test/google", {}, f"https://proxy.test/google{PATH}"),
        (f"{HOST}/v1/projects/p/x:rank", {}, f"{HOST}/v1/projects/p/x:rank"),
        (f"{HOST}?$alt=json#top", {}, f"{HOST}{PATH}?$alt=json"),
        (
            None,
            {"vertex_location": "us"},
            f"https://us-discoveryengine.googleapis.com{PATH.replace('global', 'us')}",
        ),
        (
            None,
            {"vertex_location": "eu"},
            f"https://eu-discoveryengine.googleapis.com{PATH.replace('global', 'eu')}",
        ),
        (
            "https://proxy.test",
            {"vertex_location": "eu"},
            f"https://proxy.test{PATH.replace('global', 'eu')}",
        ),
        (None, {"vertex_location": "global"}, HOST + PATH),
        *(
            (base, {"vertex_location": "eu"}, f"{EU}{PATH.replace('global', 'eu')}")
            for base in (f"{HOST}/", f"{HOST}/v1", f"{HOST}/v1/projects/my-project", EU)
        ),
        *(
            (base, {}, f"{base}{PATH.replace('global', 'us')}")
            for base in (
                "https://us-discoveryengine.googleapis.com",
                "https://discoveryengine.us.rep.googleapis.com",
            )
        ),
        (
            f"{HOST}/v1/projects/my-project/locations/eu/collections/c",
            {},
            f"{EU}{PATH.replace('global', 'eu')}",
        ),
        *(
            (f"{HOST}/v1/projects/my-project/locations/global/{method}", {}, HOST + PATH)
            for method in (
                "rankingConfigs/default_ranking_config",
                "collections/c/engines/e/servingConfigs/default_search:search",
            )
        ),
        (
            None,
            {"ranking_config": "mine", "vertex_project": "example.com:a/b"},
            HOST
            + PATH.replace("default_ranking_config", "mine").replace(
                "my-project", "example.com:a%2Fb"
            ),
        ),
    ],
)
def test_a_base_url_becomes_the_endpoint(
    base: str | None, options: dict[str, str], url: str
) -> None:
    """However much of it the caller has copied, at the host of the location."""
    service = Service()

    rerank(**READY | {"api_base": base} | options, http_client=service)

    assert service.url == url


def test_a_location_of_another_region_than_the_host_s_is_refused() -> None:
    """Neither is asked in the other's stead."""
    service = Service()
    with pytest.raises(ConfigurationError, match="'eu', but vertex_location is 'us'"):
        rerank(**READY, api_base=EU, vertex_location="us", http_client=service)

    assert service.requests == []


@pytest.mark.parametrize("location", ["us", "us-central1", "global"])
def test_a_location_of_the_environment_loses_to_that_of_the_url(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be there for chat models, which have more locations, and some of the same."""
    monkeypatch.setenv("VERTEXAI_LOCATION", location)
    service = Service()

    rerank(**READY, api_base=EU, http_client=service)

    assert service.url == f"{EU}{PATH.replace('global', 'eu')}"


def test_a_whole_base_url_and_its_own_parts_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A location of the environment's may be another API's."""
    service = Service()
    parts: dict[str, Any] = {
        "vertex_location": "global",
        "ranking_config": "default_ranking_config",
    }

    rerank(**READY, **parts, api_base=HOST + PATH, http_client=service)
    monkeypatch.setenv("VERTEXAI_LOCATION", "us-central1")
    rerank(**READY, api_base=HOST + PATH, http_client=service)

    assert [str(request.url) for request in service.requests] == [HOST + PATH] * 2


def test_a_project_may_be_a_number() -> None:
    """Google knows each by a number as well."""
    service = Service()

    rerank(**READY | {"vertex_project": 123456}, http_client=service)

    assert service.requests[0].url.path.startswith("/v1/projects/123456/locations/")
    assert service.requests[0].headers["x-goog-user-project"] == "123456"


def test_variables_name_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base URL, project and location."""
    monkeypatch.setenv("DISCOVERYENGINE_API_BASE", "https://from.test")
    monkeypatch.setenv("VERTEXAI_PROJECT", "env-project")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other-project")
    monkeypatch.setenv("VERTEXAI_LOCATION", "eu")
    service = Service()

    rerank(**READY | {"vertex_project": None}, http_client=service)

    (request,) = service.requests
    assert str(request.url).startswith("https://from.test/v1/projects/env-project/locations/eu/")
    assert request.headers["x-goog-user-project"] == "env-project"


@pytest.mark.parametrize(
    ("document", "rank_fields", "record"),
    [
        ("text", None, {"content": "text"}),
        ({"text": "a"}, None, {"content": "a"}),
        ({"content": "a"}, None, {"content": "a"}),
        ({"title": "t", "text": "a"}, None, {"title": "t", "content": "a"}),
        ({"title": "t", "content": "a"}, None, {"title": "t", "content": "a"}),
        ({"title": "t"}, None, {"title": "t"}),
        ({"title": 7, "text": "a"}, None, {"content": "title: 7\ntext: a"}),
        ({"title": None, "text": "a"}, None, {"content": "a"}),
        ({"title": " ", "text": "a"}, None, {"content": "a"}),
        ({"title": "t", "text": "a", "n": 1}, None, {"title": "t", "content": "text: a\nn: 1"}),
        ({"title": "t", "text": "a", "n": 1}, ["n", "text"], {"content": "n: 1\ntext: a"}),
        ({"title": "t", "text": "a"}, ["title"], {"title": "t"}),
        ({"title": "t", "text": "a"}, ["text", "title"], {"title": "t", "content": "a"}),
        ({"title": "", "text": ""}, None, {"content": "title: \ntext: "}),
        ({"title": " ", "text": ""}, None, {"content": "title:  \ntext: "}),
    ],
)
def test_a_document_is_a_record(
    document: Any, rank_fields: list[str] | None, record: dict[str, str]
) -> None:
    """A title only where it has one, all other fields in the content, nothing blank."""
    service = Service()

    rerank(**READY | {"documents": [document]}, rank_fields=rank_fields, http_client=service)

    assert service.body["records"] == [{"id": "0", **record}]


def test_a_long_list_is_split_and_billed_by_the_hundred() -> None:
    """The service takes 200 records, and a unit covers up to 100."""
    service = Service()

    response = rerank(**READY | {"documents": ["x"] * 201}, http_client=service)

    assert sorted(len(json.loads(r.content)["records"]) for r in service.requests) == [100, 101]
    assert len(response.results) == 201
    assert response.meta.billed_units.search_units == 3
    assert response.cost == pytest.approx(0.003)


@both_ways
def test_a_reply_is_read(send: Send) -> None:
    """By id, not by place; a score of zero is left out of such JSON."""
    body = {
        "records": [
            {"id": "1", "title": "France", "content": "not the caller's", "score": 0.9812},
            {"id": "2"},
            {"id": "0", "score": 0.0123},
        ]
    }

    response = send(**READY, http_client=Service(body))

    rows = [(result.index, result.relevance_score) for result in response.results]
    assert rows == [(1, 0.9812), (0, 0.0123), (2, 0.0)]
    assert response.results[0]["document"]["text"] == DOCUMENTS[1]
    assert response.id
    assert response.meta == Meta(billed_units=BilledUnits(search_units=1))
    assert response.cost == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "no 'records'"),
        ({"records": {}}, "records is dict, not a list"),
        ({"records": [{"score": 1}]}, r"records\[0\] has no id"),
        ({"records": [{"id": 0, "score": 1}]}, r"records\[0\] has no id"),
        ({"records": [{"id": "00", "score": 1}]}, r"records\[0\] has no id"),
        ({"records": [{"id": "3", "score": 1}]}, r"records\[0\] has no id"),
        ({"records": ["text"]}, r"records\[0\] has no id"),
        ({"records": [{"id": "0", "score": "high"}]}, "score"),
        ({"records": [{"id": "0", "score": 1}] * 3}, "twice"),
        ([], "'records' was expected"),
    ],
)
def test_a_reply_of_another_shape_is_no_ranking(body: Any, words: str) -> None:
    """Never a wrong document, never an empty success."""
    with pytest.raises(ResponseParseError, match=words):
        rerank(**READY, http_client=Service(body))


def failed(status: int, word: str, hint: str = "") -> Failure:
    """An error in Google's form, and what may be done."""
    body = {"code": status, "message": SAID, "status": word, "details": []}
    return Failure(status, {"error": body}, (SAID, hint))


SAID = "The service says this."
ERRORS = [
    failed(400, "INVALID_ARGUMENT"),
    failed(401, "UNAUTHENTICATED", "has not ended"),
    failed(403, "PERMISSION_DENIED", "discoveryengine.googleapis.com enabled"),
    failed(404, "NOT_FOUND", "'global', 'us' or 'eu'"),
    failed(429, "RESOURCE_EXHAUSTED"),
    failed(500, "INTERNAL"),
    failed(504, "DEADLINE_EXCEEDED"),
]
test_an_error_is_of_its_kind = failing(
    ask, CALL["model"], ERRORS, make=Service, hidden="ready-made"
)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("delay", "seconds"), [("12s", 12.0), ("3.5s", 3.5), ("soon", None)])
def test_the_details_say_how_long_to_wait(status: int, delay: str, seconds: float | None) -> None:
    """No header does; the message neither."""
    kind = "type.googleapis.com/google.rpc.RetryInfo"
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": kind}]
    details[1]["retryDelay"] = delay
    said = {"error": {"code": status, "message": SAID, "status": "BUSY", "details": details}}
    for text in (
        json.dumps(said),
        json.dumps(said, indent=2),
        json.dumps(said, separators=(",", ":")),
    ):
        with pytest.raises(APIStatusError, match=SAID) as caught:
            ask(Service(httpx.Response(status, text=text)), max_retries=0)

        assert caught.value.retry_after == seconds


# Who calls


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    """A key such as a service account has."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account(private_key: rsa.RSAPrivateKey) -> dict[str, str]:
    """The file of a service account."""
    pem = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "account-project",
        "private_key_id": "key-1",
        "private_key": pem.decode(),
        "client_email": "robot@account-project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


USER = {
    "type": "authorized_user",
    "client_id": "gcloud-client",
    "client_secret": "gcloud-secret",
    "refresh_token": "refresh-secret",
    "quota_project_id": "quota-project",
}
AS_USER = CALL | {"vertex_credentials": USER}
PLACE = {name: CALL[name] for name in ("model", "vertex_project")}


@every_way
def test_a_service_account_exchanges_a_signed_assertion(
    send: Send, account: dict[str, str], private_key: rsa.RSAPrivateKey
) -> None:
    """Signed with its key, for an hour, for the scope of the cloud."""
    service = Service()

    send(**CALL, vertex_credentials=account, http_client=service)

    (request,) = service.exchanges
    form = form_of(request)
    public = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    decode: Any = jwt.decode
    claims = decode(form["assertion"], certs=public, audience=account["token_uri"])
    assert request.method == "POST"
    assert str(request.url) == account["token_uri"]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert claims["iss"] == account["client_email"]
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["exp"] - claims["iat"] == 3600
    assert service.authorizations == ["Bearer token-1"]


@every_way
def test_a_user_exchanges_the_refresh_token(send: Send) -> None:
    """As gcloud leaves it."""
    service = Service()

    send(**CALL, vertex_credentials=json.dumps(USER), http_client=service)

    (request,) = service.exchanges
    assert str(request.url) == "https://oauth2.googleapis.com/token"
    assert form_of(request) == {
        "grant_type": "refresh_token",
        "client_id": "gcloud-client",
        "client_secret": "gcloud-secret",
        "refresh_token": "refresh-secret",
    }
    assert service.authorizations == ["Bearer token-1"]


OF_THE_MACHINE = Reply({"access_token": "machine-token", "expires_in": 3600})


@every_way
def test_a_machine_of_google_s_asks_its_metadata_server(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the caller's client, and with the header that keeps others from being tricked."""
    service = Service()

    with recording(OF_THE_MACHINE) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", server.base_url.removeprefix("http://"))
        send(**CALL, http_client=service)
        (request,) = server.requests

    assert request.method == "GET"
    assert request.path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert request.headers["metadata-flavor"] == "Google"
    assert service.authorizations == ["Bearer machine-token"]


@pytest.mark.parametrize("name", [None, "K_SERVICE", "GAE_ENV", "CLOUD_RUN_JOB"])
def test_google_s_machines_and_services_are_known(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a variable, or by the name of the machine in the file that Linux keeps it in."""
    assert not _credentials.is_on_google()
    if name is None:
        _credentials._PRODUCT_NAME.write_text("Google Compute Engine\n", encoding="utf-8")  # noqa: SLF001 - the test's own
    else:
        monkeypatch.setenv(name, "here")

    assert _credentials.is_on_google()
    assert _credentials.metadata_url("x") == "http://metadata.google.internal/computeMetadata/v1/x"


def write_json(path: Path, info: Any) -> str:
    """Keep credentials in a file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(info), encoding="utf-8")
    return str(path)


@both_ways
def test_the_first_of_what_is_known_signs_the_request(
    send: Send, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A token, credentials, two variables, gcloud's file, the metadata server."""
    users = {
        name: USER | {"refresh_token": name} for name in ("argument", "first", "second", "gcloud")
    }
    service, seen = Service(), []

    def call(**options: Any) -> None:
        send(**CALL, **options, http_client=service)
        request = service.exchanges.pop() if service.exchanges else None
        seen.append("none" if request is None else form_of(request)["refresh_token"])

    with recording(OF_THE_MACHINE) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", server.base_url.removeprefix("http://"))
        send(**CALL, http_client=service)
    assert service.authorizations == ["Bearer machine-token"]
    forget_credentials(monkeypatch)  # which are kept, whatever file appears
    write_json(tmp_path / "gcloud" / "application_default_credentials.json", users["gcloud"])
    call()
    second = write_json(tmp_path / "second.json", users["second"])
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", second)
    call()
    monkeypatch.setenv("VERTEXAI_CREDENTIALS", json.dumps(users["first"]))
    call()
    call(vertex_credentials=write_json(tmp_path / "argument.json", users["argument"]))
    call(access_token="ready-made", vertex_credentials=users["argument"])  # noqa: S106 - a test's

    assert seen == ["gcloud", "second", "first", "argument", "none"]


@both_ways
def test_without_credentials_every_way_is_named(send: Send) -> None:
    """And no metadata server is waited for that is not there."""
    service = Service()

    with pytest.raises(MissingAPIKeyError) as caught:
        send(**CALL, http_client=service)

    for word in ("access_token=", "vertex_credentials=", "VERTEXAI_CREDENTIALS", "gcloud auth"):
        assert word in str(caught.value)
    assert service.requests == service.exchanges == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_key": "the-secret-key"}, "takes no API key: give access_token="),
        ({"access_token": "broken\n"}, "access_token must be a string"),
        ({"vertex_credentials": 7}, "must be a mapping, JSON, a path or an object"),
        ({"vertex_credentials": "{s3cret"}, "vertex_credentials is no JSON object"),
        ({"vertex_credentials": "/no/such/file.json"}, r"cannot be read \(FileNotFoundError\)"),
        ({"vertex_credentials": {"type": "odd"}}, "of the type 'odd' are not known"),
        ({"vertex_credentials": {"type": "authorized_user"}}, r"cannot be used \(KeyError\)"),
        (
            {"vertex_credentials": {"type": "service_account", "private_key": "s3cret"}},
            "of the type 'service_account' cannot be used",
        ),
        (
            {"vertex_credentials": {"type": "external_account", "audience": "s3cret"}},
            "of the type 'external_account' cannot be used",
        ),
        (
            {"access_token": "ready-made", "api_base": HOST + PATH, "ranking_config": "mine"},
            "ranking_config='mine' contradicts the base URL",
        ),
        *(
            ({"access_token": "ready-made", name: [7]}, f"{name} must be a string, not list")
            for name in ("vertex_project", "vertex_location", "ranking_config")
        ),
        (
            {"access_token": "ready-made", "vertex_project": None},
            "no project: give vertex_project=, or set VERTEXAI_PROJECT",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_sent(options: dict[str, Any], words: str) -> None:
    """With what to do, and without any secret."""
    service = Service()

    with pytest.raises(ConfigurationError, match=words) as caught:
        rerank(**CALL | options, http_client=service)

    assert type(caught.value) is ConfigurationError
    assert caught.value.__context__ is None  # whose text may hold a secret
    assert service.requests == service.exchanges == []
    assert caught.value.provider == "vertex_ai"
    for secret in ("the-secret-key", "broken", "s3cret"):
        assert secret not in str(caught.value)


def test_what_a_file_holds_does_not_hang_on_the_error(tmp_path: Path) -> None:
    """Python's error of decoding has all of it."""
    path = tmp_path / "key.json"
    path.write_bytes(b"s3cret \xff")

    with pytest.raises(ConfigurationError, match=r"read \(UnicodeDecodeError\)") as caught:
        rerank(**CALL | {"vertex_project": None}, vertex_credentials=path)

    assert caught.value.__context__ is None


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    """Its text, which may be a key, is not shown."""
    path = tmp_path / "key.json"
    path.write_text("s3cret", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="is no JSON object") as caught:
        rerank(**CALL | {"vertex_project": None}, vertex_credentials=path)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("credentials", "project"),
    [
        ({"project_id": "account-project", "quota_project_id": "q"}, "account-project"),
        (USER, "quota-project"),
        (SimpleNamespace(project_id=None, quota_project_id="q", refresh=print), "q"),
    ],
)
def test_credentials_know_their_project(credentials: Any, project: str) -> None:
    """Where no option and no variable names another."""
    service = Service()
    options = {"vertex_project": None, "vertex_credentials": credentials}

    rerank(
        **CALL | options,
        extra_headers={"Authorization": "Bearer own"},
        http_client=service,
    )

    assert service.requests[0].headers["x-goog-user-project"] == project
    assert service.requests[0].url.path.startswith(f"/v1/projects/{project}/")


@pytest.mark.parametrize(
    ("reply", "project"),
    [
        (Reply(body=b"metadata-project\n"), "metadata-project"),
        (Reply(body=b""), None),
        (Reply(body=b"no", status=404), None),
    ],
)
def test_a_machine_of_google_s_knows_its_project(
    reply: Reply, project: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the metadata server, asked last."""
    with recording(reply) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", server.base_url.removeprefix("http://"))
        found = _credentials.find_project(None)
        (request,) = server.requests

    assert found == project
    assert request.path == "/computeMetadata/v1/project/project-id"
    assert request.headers["metadata-flavor"] == "Google"


def test_a_metadata_server_that_is_not_there_names_no_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That may pass, so that it is no settled answer."""
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")

    with pytest.raises(TransportError, match="the metadata server does not name the project"):
        rerank(**READY | {"vertex_project": None}, http_client=Service())


@pytest.mark.parametrize(
    ("system", "variables", "folder"),
    [
        ("posix", {}, "~/.config/gcloud"),
        ("nt", {"APPDATA": "roaming"}, "roaming/gcloud"),
        ("nt", {"CLOUDSDK_CONFIG": "mine"}, "mine"),
    ],
)
def test_gcloud_s_folder_is_found(
    system: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where gcloud keeps its files on each system."""
    monkeypatch.delenv("CLOUDSDK_CONFIG")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_credentials, "os", SimpleNamespace(name=system, environ=dict(variables)))

    assert _credentials.gcloud_folder() == Path(folder).expanduser()


GONE = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
FAILED_EXCHANGES: list[FailedExchange] = [
    (
        httpx.Response(400, json=GONE),
        AuthenticationError,
        "oauth2.googleapis.com gave no token: status 400: Token has been expired or revoked.",
    ),
    (httpx.Response(401, json={"error": "bad"}), AuthenticationError, "status 401: bad"),
    (httpx.Response(404, text="<html>no</html>"), AuthenticationError, "status 404: <html>"),
    (httpx.Response(429, json=["slow"]), TransportError, "status 429: slow"),
    *FAILED_ANYWHERE,
]


LASTING: list[tuple[dict[str, Any], int]] = [
    ({"expires_in": 60}, 2),
    ({"expires_in": 3599}, 1),
]


@token_checks(
    AS_USER,
    Service,
    lasting=LASTING,
    refused=r"Invalid credentials\.",
    failed=FAILED_EXCHANGES,
    hidden="secret",
)
def test_tokens_are_used_as_wherever_there_are_any(check: TokenCheck) -> None:
    """Kept, replaced 60 seconds before their end, and where refused; a failure hides secrets."""
    check()


# Functions, and google-auth's own credentials


async def give_token() -> str:
    """A token, awaited."""
    return "made"


@every_way
def test_a_function_gives_the_token_for_each_call(send: Send) -> None:
    """It is called in a thread of its own, so that one that hangs holds up nobody."""
    service, threads = Service(), set[int]()

    def provide() -> str:
        threads.add(threading.get_ident())
        return "made"

    send(**CALL, access_token=provide, http_client=service)
    send(**CALL, access_token=provide, http_client=service)

    assert service.authorizations == ["Bearer made"] * 2
    assert threading.get_ident() not in threads


def test_an_async_function_serves_async_calls() -> None:
    """And only these: a blocking call says so."""
    service = Service()

    def provide() -> Any:
        return give_token()

    for given in (give_token, provide):
        send_async(**CALL, access_token=given, http_client=service)

    assert service.authorizations == ["Bearer made"] * 2
    with pytest.raises(ConfigurationError, match="is async: use arerank"):
        rerank(**CALL, access_token=give_token, http_client=service)


@both_ways
def test_a_function_that_gives_the_refused_token_again_is_not_heeded(send: Send) -> None:
    """Sending the same once more would change nothing."""
    service = Service(accepted=set())

    with pytest.raises(AuthenticationError):
        send(**CALL, access_token=lambda: "same", http_client=service)

    assert service.authorizations == ["Bearer same"]


class Credentials:
    """Credentials of google-auth's kind.

    Args:
        failure: What refreshing raises.
        lifetime: Seconds that its tokens live; `None` where it does not say.
    """

    valid = False
    expiry: datetime | None = None

    def __init__(self, failure: Exception | None = None, lifetime: float | None = 3600) -> None:
        self.failure, self.lifetime, self.refreshed = failure, lifetime, 0
        self.token = ""

    def refresh(self, send: Any) -> None:
        """Get another token."""
        assert callable(send)
        if self.failure is not None:
            raise self.failure
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"
        if self.lifetime is not None:
            ends = datetime.now(UTC) + timedelta(seconds=self.lifetime)
            self.expiry = ends.replace(tzinfo=None)


@every_way
@pytest.mark.parametrize(("lifetime", "refreshed"), [(3600, 1), (30, 3), (None, 3)])
def test_an_object_of_google_auth_is_asked_for_its_token(
    lifetime: float | None, refreshed: int, send: Send
) -> None:
    """Shortly before the last one ends."""
    service, credentials = Service(), Credentials(lifetime=lifetime)

    with Reranker(**PLACE, vertex_credentials=credentials, http_client=service) as reranker:
        call_thrice(reranker, send)

    assert credentials.refreshed == refreshed
    assert service.authorizations[-1] == f"Bearer token-{refreshed}"


@both_ways
@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (exceptions.RefreshError("s3cret"), AuthenticationError, "RefreshError; what google-auth"),  # type: ignore[no-untyped-call]
        (exceptions.TransportError("s3cret", retryable=True), TransportError, "TransportError"),  # type: ignore[no-untyped-call]
        (OSError("s3cret"), TransportError, "the token could not be obtained: OSError"),
        (KeyError("s3cret"), AuthenticationError, "the token could not be obtained: KeyError"),
        (ConfigurationError("mine"), ConfigurationError, "mine"),
    ],
)
def test_credentials_that_fail_say_so(
    failure: Exception, kind: type[Exception], words: str, send: Send
) -> None:
    """In our words, and nowhere in google-auth's or anybody else's: they may hold a secret."""
    service = Service()

    with pytest.raises(kind, match=words) as caught:
        send(**CALL, vertex_credentials=Credentials(failure), http_client=service)

    assert type(caught.value) is kind
    assert not any("s3cret" in text for text in _texts_of_chain(caught.value))


def _texts_of_chain(error: BaseException | None) -> Iterator[str]:
    """What an error and those behind it say, shown in a traceback or not."""
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__


WORKLOAD = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
CONSENT = {
    "type": "external_account_authorized_user",
    "audience": "//iam.googleapis.com/locations/global/workforcePools/p",
    "refresh_token": "s3cret-refresh-token",
    "client_id": "client",
    "client_secret": "s3cret-of-client",
    "token_info_url": "https://sts.googleapis.com/v1/introspect",
}


@both_ways
@pytest.mark.parametrize("kind", [WORKLOAD, CONSENT], ids=lambda kind: kind["type"])
def test_a_token_service_that_quotes_what_google_auth_sent_shows_nothing(
    kind: dict[str, Any], send: Send, tmp_path: Path
) -> None:
    """Whose text google-auth passes on."""
    subject = tmp_path / "subject"
    subject.write_text("s3cret-subject-token", encoding="utf-8")
    said = "refused: subject_token=s3cret-subject-token&refresh_token=s3cret-refresh-token"
    with recording(Reply({"error": "invalid_grant", "error_description": said}, 400)) as server:
        url, source = f"{server.base_url}/v1/token", {"file": str(subject)}
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps({**kind, "token_url": url, "credential_source": source}))
        with pytest.raises(AuthenticationError, match="answered with status 400") as caught:
            send(**CALL, vertex_credentials=path, http_client=Service())

    assert b"s3cret" in server.requests[0].body
    assert not any("s3cret" in text for text in _texts_of_chain(caught.value))


@both_ways
def test_a_workload_elsewhere_exchanges_its_own_token(send: Send, tmp_path: Path) -> None:
    """Through google-auth, whose requests go the way of httpx."""
    (tmp_path / "subject").write_text("subject-token", encoding="utf-8")
    good = Reply({"access_token": "federated", "expires_in": 3600, "token_type": "Bearer"})
    service = Service()
    with recording(good) as server:
        info = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.base_url}/v1/token",
            "credential_source": {"file": str(tmp_path / "subject")},
        }
        send(**CALL, vertex_credentials=info, http_client=service)
        (request,) = server.requests

    assert parse_qs(request.body.decode())["subject_token"] == ["subject-token"]
    assert service.authorizations == ["Bearer federated"]


def test_a_token_service_that_google_auth_cannot_reach_is_a_transport_error(
    tmp_path: Path,
) -> None:
    """So that core tries again."""
    (tmp_path / "subject").write_text("subject-token", encoding="utf-8")
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "http://127.0.0.1:1/v1/token",
        "credential_source": {"file": str(tmp_path / "subject")},
    }

    with pytest.raises(TransportError, match=r"127\.0\.0\.1: ConnectError"):
        rerank(**CALL, vertex_credentials=info, http_client=Service())


EXTERNAL = {"type": "external_account", "audience": "a", "token_url": "https://sts.googleapis.com"}
AWS = {
    "environment_id": "aws1",
    "regional_cred_verification_url": "https://sts.{region}.amazonaws.com",
}


@pytest.mark.parametrize(
    "info",
    [
        EXTERNAL
        | {
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "credential_source": AWS,
        },
        EXTERNAL
        | {
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "credential_source": {"executable": {"command": "program"}},
        },
        {
            "type": "external_account_authorized_user",
            "audience": "a",
            "refresh_token": "r",
            "token_url": "https://sts.googleapis.com",
            "token_info_url": "https://sts.googleapis.com",
            "client_id": "c",
            "client_secret": "s",
        },
        {
            "type": "impersonated_service_account",
            "source_credentials": USER,
            "service_account_impersonation_url": (
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                "robot@p.iam.gserviceaccount.com:generateAccessToken"
            ),
        },
    ],
)
def test_every_type_of_credentials_is_known(info: dict[str, Any]) -> None:
    """Google-auth takes over for the rarer ones."""
    auth = credentials_auth(json.dumps(info))

    assert isinstance(auth, TokenAuth)


def test_no_representation_shows_a_secret() -> None:
    """Neither that of the token nor that of what signs."""
    auth = credentials_auth(json.dumps(USER))

    shown = shown_with(auth, token("the-token"))
    assert "secret" not in shown
    assert "the-token" not in shown
