"""Where a text goes, with whose key, and what of it is shown."""

from __future__ import annotations

import base64
import json
import time
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from core.cases.plain import KEY, Ask, Plain, Service, ask, faulty, rows
from rerank_core import BadRequestError, ConfigurationError, Reranker, RerankError

# C2: an unknown keyword that speaks of where to, or with whose key, is refused.

SPEAKS_OF_THE_CONNECTION = [
    "base_url",
    "url",
    "base",
    "endpoint",
    "host",
    "key",
    "token",
    "secret",
    "auth",
    "api_url",
    "apikey",
    "apibase",
    "baseurl",
    "api_bas",
    "service_url",
    "server_host",
    "api_token",
    "client_secret_value",
    "auth_header",
    "proxy_auth",
    "rerank_endpoint",
    "key_id",
    "URL",
    "Api_Key",
    "baseurl",
    "apiurl",
    "ServerURL",
    "client",
    "async_client",
    "transport",
    "port",
    "gateway",
    "server_address",
    "endpointurl",
    "apihost",
    "authtoken",
    "accesstoken",
    "accesskey",
    "apisecret",
    "time_out",
    "timeot",
    "max_retrys",
    "deadlin",
    "extra_header",
    "http_clients",
    "fallback",
    "api_root",
    "domain",
    "origin",
    "account_id",
    "service_account_json",
    "oauth",
    "keyfile",
]


@pytest.mark.parametrize("name", SPEAKS_OF_THE_CONNECTION)
def test_a_keyword_about_the_connection_is_refused(call: Ask, name: str) -> None:
    """Also with `drop_params=True`: nothing is sent to another place than was meant."""
    service = Service()
    with pytest.raises(ConfigurationError, match=name):
        ask(call, service, ["CONFIDENTIAL"], drop_params=True, **{name: "http://other.internal"})

    assert service.requests == []


@pytest.mark.parametrize("name", SPEAKS_OF_THE_CONNECTION)
def test_it_is_refused_when_the_reranker_is_made(name: str) -> None:
    """Not first when it is called; the value may be a secret and is not shown."""
    given: dict[str, Any] = {name: "value-not-to-be-shown"}
    with pytest.raises(ConfigurationError, match=name) as caught:
        Reranker("m", provider=Plain(), api_key=KEY, drop_params=True, **given)

    assert "value-not-to-be-shown" not in str(caught.value)
    assert "drop_params" not in str(caught.value)  # which would change nothing


@pytest.mark.parametrize(
    ("model", "name", "near"),
    [
        ("bedrock/m", "region", "aws_region_name"),
        ("bedrock/m", "awsRegion", "aws_region_name"),
        ("bedrock/m", "profile", "aws_profile_name"),
        ("vertex_ai/m", "project", "vertex_project"),
        ("vertex_ai/m", "location", "vertex_location"),
        ("azure_ai/m", "tenant", "tenant_id"),
        ("azure_ai/m", "tenant_id_name", "tenant_id"),
        ("watsonx/m", "region_name", "region"),
        ("dashscope/m", "dashscope_region", "region"),
        ("dashscope/m", "workspaceName", "workspace"),
        ("elastic/m", "my_username", "username"),
    ],
)
def test_a_shorter_or_longer_name_of_an_option_is_refused(
    call: Ask, model: str, name: str, near: str
) -> None:
    """Left out, it would be sent to another region than was meant, or with another's key."""
    service = Service()
    given: dict[str, Any] = {name: "eu-central-1"}
    with pytest.raises(ConfigurationError, match=rf"did you mean '{near}'"):
        call(model, "q", ["CONFIDENTIAL"], drop_params=True, http_client=service, **given)

    assert service.requests == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("base_url", "api_base"),
        ("baseurl", "api_base"),
        ("baseURL", "api_base"),
        ("host", "api_base"),
        ("apikey", "api_key"),
        ("api_bas", "api_base"),
        ("timeot", "timeout"),
        ("extra_header", "extra_headers"),
    ],
)
def test_the_option_that_was_meant_is_named(name: str, near: str) -> None:
    """So that whoever wrote it knows what to write."""
    given: dict[str, Any] = {name: "x"}
    with pytest.raises(ConfigurationError, match=rf"\b{near}\b"):
        Reranker("jina/m", api_key=KEY, drop_params=True, **given)


@pytest.mark.parametrize("name", ["proxy", "auth", "secret"])
@pytest.mark.parametrize("drop", [False, True])
def test_no_way_out_is_named_that_is_none(name: str, *, drop: bool) -> None:
    """`drop_params` does not leave out what is about the connection."""
    given: dict[str, Any] = {name: "x"}
    with pytest.raises(ConfigurationError, match=name) as caught:
        Reranker("m", provider=Plain(), api_key=KEY, drop_params=drop, **given)

    assert "drop_params" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "truncate_prompt_tokens",
        "tokenizer",
        "monkey",
        "database",
        "author",
        "ghost",
        "curls",
        "report",
        "clientele",
    ],
)
def test_words_that_only_contain_such_a_word_are_parameters(call: Ask, name: str) -> None:
    """With `drop_params=True` they are left out with a warning, as any other."""
    service = Service()
    response = ask(call, service, drop_params=True, **{name: 1})

    assert any(name in warning for warning in response.warnings)
    assert name not in json.loads(service.requests[0].content)


def test_a_plugin_may_take_such_a_word(call: Ask) -> None:
    """What its facts list is known: nothing is refused that the provider takes."""
    service = Service()
    given: dict[str, Any] = {"token": "fine"}
    ask(call, service, facts={"extra_params": {"token": "token"}}, **given)

    assert json.loads(service.requests[0].content).get("token") == "fine"


# C5: a text is searched for secrets in a time that does not depend on its size.

ECHOES = {
    "quotes": '" \u2026',
    "backslashes": "\\\\",
    "unicode escapes": "\\u00e4\\n",
    "percent escapes": "%2F%25",
    "base64": base64.b64encode(KEY.encode()).decode()[:12] + "/",
    "beginnings of the key": KEY[:9],
    "snippets": "<b>Red</b> shoes &amp; more &quot;in the city&quot; \u2026 ",
    "nothing special": "an error, ",
}


def _seconds(call: Ask, body: bytes, **options: Any) -> float:
    """The processor time of the shortest of three calls that fail with this body."""
    times = []
    for _ in range(3):
        service = Service(httpx.Response(400, content=body))
        begin = time.process_time()
        with pytest.raises(RerankError):
            ask(call, service, **options)
        times.append(time.process_time() - begin)
    return min(times)


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_large_error_costs_hardly_more_than_a_small_one(call: Ask, echo: str, form: str) -> None:
    """A reply a hundred times as long takes a small multiple of the time, never the square."""

    def body(size: int) -> bytes:
        text = echo * (size // len(echo))
        return json.dumps({"message": text}).encode() if form == "json" else text.encode()

    small, large = _seconds(call, body(1_500)), _seconds(call, body(150_000))

    assert large < 20 * small


def test_many_secrets_cost_hardly_more_than_one(call: Ask) -> None:
    """A key, headers and a body with secrets: each is looked for in a text that is cut."""
    body = json.dumps({"message": '" \u2026 %41\\u0041' * 5_000}).encode()
    names = [f"x-{at}-api-key" for at in range(20)]
    headers = {name: f"secret-{name}-{'x' * 40}" for name in names}

    alone = _seconds(call, body)
    together = _seconds(call, body, extra_headers=headers)

    assert together < 30 * alone


AWKWARD = 'sk-"q/t+e=&%41\\end-0123456789'
FORMS = {
    "plain": AWKWARD,
    "url": quote(AWKWARD, safe=""),
    "json": json.dumps(AWKWARD)[1:-1],
    "base64": base64.b64encode(AWKWARD.encode()).decode(),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "url", "json", "base64"])
def test_no_piece_of_a_key_is_shown_wherever_a_text_is_cut(form: str) -> None:
    """A key that lies across the end of what is shown is replaced before the text is cut."""
    shown = FORMS[form]
    pieces = {shown[:at] for at in (10, 14, len(shown))}
    found: list[int] = []
    reranker = None
    for offset in range(0, 2_400, 7):
        reply = httpx.Response(400, json={"message": "x" * offset + shown + " and more" * 40})
        reranker = Reranker("m", provider=Plain(), api_key=AWKWARD, http_client=Service(reply))
        with pytest.raises(RerankError) as caught:
            reranker.rerank("q", ["a"])
        text = f"{caught.value} {caught.value!r}"
        if any(piece in text for piece in pieces):
            found.append(offset)

    assert found == []


# C13: scheme, host and port are compared before a key goes anywhere.


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://plain.test:8443/next",
        "http://plain.test/next",
        "http://plain.test:443/next",
        "https://other.test/next",
        "https://plain.test.evil.test/next",
        "https://plain.test@evil.test/next",
        "https://sub.plain.test/next",
        "https://further.test:8443/next",
        "http://further.test/next",
        "http://further.test:443/next",
        "https://sub.further.test/next",
    ],
)
def test_a_next_request_elsewhere_gets_no_key(call: Ask, elsewhere: str) -> None:
    """Whether it is refused or sent without: the key does not go along."""
    first = httpx.Response(200, json={"results": rows(1), "next": elsewhere})
    last = httpx.Response(200, json={"results": [{"index": 1, "relevance_score": 0.1}]})
    service = Service(first, last)
    shown = ""
    try:
        ask(call, service, facts={"further_hosts": ("further.test",)})
    except RerankError as error:
        shown = str(error)

    assert KEY not in shown
    assert KEY in str(service.requests[0].headers.raw)
    assert not any(KEY in str(request.headers.raw) for request in service.requests[1:])


@pytest.mark.parametrize(
    "same",
    [
        "https://plain.test/next",
        "https://plain.test:443/next",
        "https://PLAIN.test/next?a=1",
        "https://further.test/next",
        "https://Further.test:443/next",
    ],
)
def test_a_next_request_to_the_same_place_gets_the_key(call: Ask, same: str) -> None:
    """However it is written; and one to a host that the facts name."""
    first = httpx.Response(200, json={"results": rows(1), "next": same})
    last = httpx.Response(200, json={"results": [{"index": 1, "relevance_score": 0.1}]})
    service = Service(first, last)
    ask(call, service, facts={"further_hosts": ("further.test",)})

    assert [request.headers["authorization"] for request in service.requests] == [
        f"Bearer {KEY}"
    ] * 2


@pytest.mark.parametrize(
    "base",
    [
        "http://plain.test",
        "https://other.test",
        "https://plain.test.other.test",
        "https://plain.test@other.test",
        "http://api.plain.test",
    ],
)
def test_a_key_of_the_environment_stays_with_its_hosts(
    call: Ask, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes to them over TLS alone."""
    monkeypatch.setenv("PLAIN_API_KEY", "key-of-the-environment")
    facts = {"api_key_hosts": {"PLAIN_API_KEY": ("plain.test", "*.plain.test")}}
    service = Service()
    shown = ""
    try:
        ask(call, service, facts=facts, api_key=None, api_base=base)
    except ConfigurationError as error:
        shown = str(error)

    assert "key-of-the-env" not in shown
    assert not any("key-of-the-env" in str(request.headers.raw) for request in service.requests)


@pytest.mark.parametrize("base", ["https://plain.test", "https://api.plain.test/v1"])
def test_a_key_of_the_environment_goes_to_its_hosts(
    call: Ask, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS."""
    monkeypatch.setenv("PLAIN_API_KEY", "key-of-the-environment")
    facts = {"api_key_hosts": {"PLAIN_API_KEY": ("plain.test", "*.plain.test")}}
    service = Service()
    ask(call, service, facts=facts, api_key=None, api_base=base)

    assert service.requests[0].headers["authorization"] == "Bearer key-of-the-environment"


@pytest.mark.parametrize(
    "base", ["http://router.huggingface.co/hf-inference", "http://api-inference.huggingface.co"]
)
def test_a_hugging_face_token_is_not_sent_in_clear(
    call: Ask, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of a real provider."""
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    service = Service(httpx.Response(200, json=[[{"index": 0, "score": 0.5}]]))
    shown = ""
    try:
        call("huggingface/m", "q", ["a"], api_base=base, http_client=service, max_retries=0)
    except RerankError as error:
        shown = str(error)

    assert "hf_of_the" not in shown
    assert not any("hf_of_the" in str(request.headers.raw) for request in service.requests)


# C18: only what is secret by its name's words is one.


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"extra_headers": {"X-Environment": "production"}}, "production"),
        ({"extra_headers": {"X-Team": "search"}}, "search"),
        ({"extra_headers": {"X-Tokenizer": "documents"}}, "documents"),
        ({"extra_headers": {"X-Monkey": "results"}}, "results"),
        ({"extra_headers": {"User-Agent": "application"}}, "application"),
        ({"extra_body": {"tokenizer": "document"}}, "document"),
        ({"extra_body": {"mode": "overloaded"}}, "overloaded"),
        ({"extra_body": {"max_tokens": "unlimited"}}, "unlimited"),
    ],
)
def test_what_is_no_secret_is_shown(call: Ask, options: dict[str, Any], word: str) -> None:
    """The service's words are kept where they have a header's or field's value among them."""
    said = f"the {word} index is not there"
    service = Service(httpx.Response(400, json={"message": said}))
    with pytest.raises(RerankError) as caught:
        ask(call, service, **options)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"Authorization": "Bearer hidden-value-123"}},
        {"extra_headers": {"X-Api-Key": "hidden-value-123"}},
        {"extra_headers": {"Proxy-Authorization": "hidden-value-123"}},
        {"extra_headers": {"X-Auth-Token": "hidden-value-123"}},
        {"extra_headers": {"X-Client-Secret": "hidden-value-123"}},
        {"extra_headers": {"Cookie": "hidden-value-123"}},
        {"extra_headers": {"X-JWT": "hidden-value-123"}},
        {"extra_headers": {"X-Authtoken": "hidden-value-123"}},
        {"extra_headers": {"x-accesskey": "hidden-value-123"}},
        {"extra_headers": {"X-Portkey-Virtual-Key": "hidden-value-123"}},
        {"extra_headers": {"X-Master-Key": "hidden-value-123"}},
        {"extra_headers": {"DD-APPLICATION-KEY": "hidden-value-123"}},
        {"extra_headers": {"X-Encryption-Key": "hidden-value-123"}},
        {"extra_headers": {"X-SSH-Key": "hidden-value-123"}},
        {"extra_body": {"pass_phrase": "hidden-value-123"}},
        {"extra_body": {"secretkey": "hidden-value-123"}},
        {"extra_body": {"api_key": "hidden-value-123"}},
        {"extra_body": {"auth": {"token": "hidden-value-123"}}},
        {"api_key": "hidden-value-123"},
        {"api_base": "https://user:hidden-value-123@own.test", "api_key": ""},
    ],
)
def test_what_is_a_secret_is_not_shown(call: Ask, options: dict[str, Any]) -> None:
    """By its name's words, wherever it stands."""
    service = Service(httpx.Response(400, json={"message": "what is hidden-value-123 for?"}))
    with pytest.raises(RerankError, match=r"what is .* for") as caught:
        ask(call, service, **options)

    assert "hidden-value-123" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("take", [dict, list, repr, lambda said: repr(said).encode()])
def test_a_message_that_is_no_text_holds_no_secret(call: Ask, take: Callable[[Any], Any]) -> None:
    """A plugin may hand over a piece of the reply; it is cut, too."""

    def parse_response(_: Any, payload: Any) -> Any:
        raise BadRequestError(take(payload.items()))

    said = {"message": f"what is {KEY} for?", "echo": "long " * 1000}
    plugin = faulty(parse_response=parse_response)
    with pytest.raises(BadRequestError, match="what is") as caught:
        ask(call, Service(httpx.Response(200, json={"failed": said})), provider=plugin)

    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.args} {shown}"
    assert len(caught.value.message) <= 1000
