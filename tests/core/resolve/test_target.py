"""Where a call goes and which key it takes: argument, then environment, then declared fact."""

from __future__ import annotations

import copy
import os
import sys
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from recorder import Reply, recording
from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    HTTPRequest,
    MissingAPIKeyError,
    Provider,
    Reranker,
    RerankError,
    RerankRequest,
    RerankResponse,
    TransportError,
    UnsupportedParamError,
    hookimpl,
    register,
    rerank,
    unregister,
    wire,
)
from rerank_core._resolve import target as kept_in
from rerank_core._resolve.options import Options
from rerank_core._resolve.target import Kept, Target, resolve_target
from rerank_core._send.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

KEY = "sk-argument-0123456789"
ENV_KEY = "sk-environment-0123456789"
BASE = "https://api.example.com"
OWN = "https://own.internal"
RANKING = {"results": [{"index": 0, "relevance_score": 0.5}]}
VARIABLES = (
    "FIRST_KEY",
    "SECOND_KEY",
    "FIRST_BASE",
    "SECOND_BASE",
    "TARGET_REGION",
    "TARGET_SHAPE",
    "TARGET_TOKEN",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's environment take part."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def make_plugin(**facts: Any) -> SimpleNamespace:
    """A plugin of a service with Cohere's wire, and facts that a test chooses."""
    stated: dict[str, Any] = {
        "name": "target",
        "base_url": BASE,
        "base_url_env": ("FIRST_BASE", "SECOND_BASE"),
        "api_key_env": ("FIRST_KEY", "SECOND_KEY"),
        **facts,
    }

    @hookimpl
    def resolve_provider() -> Provider:
        return Provider(**stated)

    @hookimpl
    def map_params(params: Mapping[str, Any]) -> dict[str, Any]:
        return dict(params)

    @hookimpl
    def build_request(
        provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        body = {"query": request.query, "documents": request.documents, **params}
        headers = {f"x-{name}": str(value) for name, value in request.options.items()}
        return HTTPRequest(
            wire.join_endpoint(provider.base_url or "", "/rerank"), body, headers=headers
        )

    @hookimpl
    def parse_response(payload: Any) -> RerankResponse:
        return RerankResponse(wire.read_results(payload["results"]))

    return SimpleNamespace(
        resolve_provider=resolve_provider,
        map_params=map_params,
        build_request=build_request,
        parse_response=parse_response,
    )


def resolve(plugin: object = None, **options: Any) -> Target:
    """The target of a model, with some options."""
    named = {name: options.pop(name) for name in list(options) if hasattr(Options(), name)}
    given = Options(**named, extra=options)
    return resolve_target("model", given, Connections(), plugin=plugin or make_plugin())


def key_of(target: Target) -> str | None:
    """The key that would be sent."""
    return target.api_key.value if target.api_key else None


@pytest.fixture
def registered() -> Iterator[None]:
    """The plugin as `target/...`, for the two functions."""
    register(make_plugin(options={"region": ("TARGET_REGION",)}, extra_params={"level": "level"}))
    yield
    unregister("target")


def test_the_key_of_the_argument_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    monkeypatch.setenv("FIRST_KEY", ENV_KEY)

    assert key_of(resolve(api_key=KEY)) == KEY


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("key-one", "key-two", "key-one"),
        ("key-one", None, "key-one"),
        (None, "key-two", "key-two"),
        ("", "key-two", "key-two"),
    ],
)
def test_the_variables_of_the_key_are_looked_at_in_order(
    monkeypatch: pytest.MonkeyPatch, first: str | None, second: str | None, expected: str
) -> None:
    """The first that is set wins, and one that is set to nothing counts as unset."""
    for name, value in (("FIRST_KEY", first), ("SECOND_KEY", second)):
        if value is not None:
            monkeypatch.setenv(name, value)

    assert key_of(resolve()) == expected


@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_key_is_refused_with_the_variables_that_were_looked_at(
    monkeypatch: pytest.MonkeyPatch, *, empty: bool
) -> None:
    """Before anything is sent; a variable set to nothing is as good as none."""
    if empty:
        monkeypatch.setenv("FIRST_KEY", "")

    with pytest.raises(MissingAPIKeyError) as caught:
        resolve()

    assert "FIRST_KEY, SECOND_KEY" in caught.value.message
    assert "api_key=" in caught.value.message
    assert (caught.value.provider, caught.value.model) == ("target", "model")


def test_a_key_that_is_not_needed_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """But one that is there is used."""
    plugin = make_plugin(api_key_required=False)

    without = resolve(plugin)
    monkeypatch.setenv("SECOND_KEY", ENV_KEY)
    with_one = resolve(plugin)

    assert key_of(without) is None
    assert key_of(with_one) == ENV_KEY


def test_a_caller_who_authorizes_needs_no_key() -> None:
    """By a header or by the client's own authentication."""
    by_header = resolve(extra_headers={"authorization": "Bearer abc"})
    client = httpx.Client(auth=("user", "word"))

    with client, Reranker("model", provider=make_plugin(), http_client=client) as by_client:
        assert repr(by_client) == "Reranker('target/model')"
    assert key_of(by_header) is None


def test_an_empty_key_sends_none_to_a_base_url_of_one_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its own emptiness nor the environment's key."""
    monkeypatch.setenv("FIRST_KEY", ENV_KEY)

    by_argument = resolve(api_key="", api_base=OWN)
    monkeypatch.setenv("FIRST_BASE", OWN)
    by_variable = resolve(api_key="")

    assert key_of(by_argument) is None
    assert key_of(by_variable) is None


@pytest.mark.parametrize("base", [None, BASE, f"{BASE}/", f"{BASE}/v2", f"{BASE}/v2/rerank"])
def test_an_empty_key_is_refused_at_the_service_s_own_host(base: str | None) -> None:
    """It needs one there, however the base URL is written."""
    with pytest.raises(MissingAPIKeyError):
        resolve(api_key="", api_base=base)


@pytest.mark.parametrize("key", [None, ""])
def test_a_key_may_be_needed_by_some_hosts_only(key: str | None) -> None:
    """By those that the facts name, whichever of them the base URL is by default."""
    plugin = make_plugin(api_key_required_hosts=("hosted.test", "*.hosted.test"))

    for base in ("https://hosted.test", "https://eu.hosted.test/v1"):
        with pytest.raises(MissingAPIKeyError, match="FIRST_KEY, SECOND_KEY"):
            resolve(plugin, api_key=key, api_base=base)
    assert key_of(resolve(plugin, api_key=key, api_base=OWN)) is None


def test_an_empty_key_is_enough_where_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And keeps the environment's from being sent."""
    monkeypatch.setenv("FIRST_KEY", ENV_KEY)

    assert key_of(resolve(make_plugin(api_key_required=False), api_key="")) is None


@pytest.mark.parametrize(
    "key", ["sk-0123456789\n", " sk-0123456789", "sk-0123\n456", "sk-ключ-0123"]
)
def test_a_key_that_no_header_can_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """As copied with a line break; the message does not show it."""
    with pytest.raises(ConfigurationError, match="copy it again") as from_argument:
        resolve(api_key=key)
    monkeypatch.setenv("FIRST_KEY", key)
    with pytest.raises(ConfigurationError, match="copy it again") as from_environment:
        resolve()

    for caught in (from_argument, from_environment):
        assert key.strip() not in "".join(traceback.format_exception(caught.value))


HOSTED = {"FIRST_KEY": ("api.example.com", "*.regions.example.com")}


@pytest.mark.parametrize(
    ("base", "goes"),
    [
        (None, True),
        ("https://eu.regions.example.com/v1", True),
        ("https://API.example.com", True),
        ("https://api.example.com:8443", True),
        ("https://regions.example.com", False),
        ("https://api.example.com.evil.test", False),
        ("https://evil.test/api.example.com", False),
        ("https://api.example.com@evil.test", False),
        ("https://evil.test?x=.regions.example.com", False),
        ("http://localhost:8000", False),
    ],
)
def test_a_key_of_the_environment_goes_only_to_the_hosts_it_is_for(
    monkeypatch: pytest.MonkeyPatch, base: str | None, *, goes: bool
) -> None:
    """Where the facts name hosts for its variable."""
    monkeypatch.setenv("FIRST_KEY", ENV_KEY)
    plugin = make_plugin(api_key_hosts=HOSTED, api_key_required=False)

    assert key_of(resolve(plugin, api_base=base)) == (ENV_KEY if goes else None)


def test_a_key_that_was_withheld_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a user who has set the variable would look in vain for the mistake."""
    monkeypatch.setenv("FIRST_KEY", ENV_KEY)

    with pytest.raises(MissingAPIKeyError) as caught:
        resolve(make_plugin(api_key_hosts=HOSTED), api_base="https://foreign.test/v1")

    assert "is not sent to https://foreign.test" in caught.value.message
    assert "api_key=" in caught.value.message
    assert ENV_KEY not in str(caught.value)


def test_a_key_of_a_variable_without_hosts_goes_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts belong to the variable, not to the provider."""
    monkeypatch.setenv("SECOND_KEY", ENV_KEY)

    target = resolve(make_plugin(api_key_hosts=HOSTED), api_base="https://foreign.test")

    assert key_of(target) == ENV_KEY


def test_a_key_of_the_argument_goes_anywhere() -> None:
    """The caller gave it for this very call."""
    target = resolve(
        make_plugin(api_key_hosts=HOSTED), api_key=KEY, api_base="https://foreign.test"
    )

    assert key_of(target) == KEY


@pytest.mark.parametrize(
    ("argument", "first", "second", "expected"),
    [
        ("https://argument.test", "https://first.test", None, "https://argument.test"),
        (None, "https://first.test", "https://second.test", "https://first.test"),
        (None, None, "https://second.test", "https://second.test"),
        (None, "", "https://second.test", "https://second.test"),
        (None, "", "", BASE),
        (None, None, None, BASE),
    ],
)
def test_the_base_url_has_an_order(
    monkeypatch: pytest.MonkeyPatch,
    argument: str | None,
    first: str | None,
    second: str | None,
    expected: str,
) -> None:
    """Argument, variables in order, the service's own; hooks find the one in use."""
    for name, value in (("FIRST_BASE", first), ("SECOND_BASE", second)):
        if value is not None:
            monkeypatch.setenv(name, value)

    assert resolve(api_key=KEY, api_base=argument).provider.base_url == expected


def test_a_base_url_may_depend_on_how_the_key_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the caller or the environment says otherwise."""
    plugin = make_plugin(base_urls_by_key={"eu-": "https://eu.example.com"})

    assert resolve(plugin, api_key="eu-0123456789").provider.base_url == "https://eu.example.com"
    assert resolve(plugin, api_key=KEY).provider.base_url == BASE
    monkeypatch.setenv("FIRST_BASE", OWN)
    assert resolve(plugin, api_key="eu-0123456789").provider.base_url == OWN


def test_a_base_url_that_is_needed_is_asked_for() -> None:
    """With the variables that may hold it."""
    plugin = make_plugin(base_url=None, base_url_required=True)

    with pytest.raises(ConfigurationError) as caught:
        resolve(plugin, api_key=KEY)

    assert "api_base=" in caught.value.message
    assert "FIRST_BASE or SECOND_BASE" in caught.value.message
    assert (caught.value.provider, caught.value.model) == ("target", "model")


def test_a_base_url_that_is_needed_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As for a server of one's own."""
    monkeypatch.setenv("SECOND_BASE", OWN)

    target = resolve(make_plugin(base_url=None, base_url_required=True), api_key=KEY)

    assert target.provider.base_url == OWN


@pytest.mark.parametrize(
    "base",
    [
        "localhost:8000",
        "api.example.com/v1",
        "/v1/rerank",
        "rerank",
        "ftp://example.com",
        "https://",
        "https:///v1",
        "http://[::1",
        "http://host:port",
        "http://host:99999",
    ],
)
def test_a_base_url_that_is_no_absolute_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    """Before anything is sent, wherever it comes from."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=RANKING)

    def ask(**options: Any) -> None:
        transport = httpx.MockTransport(answer)
        reranker = Reranker(
            "model", provider=make_plugin(), api_key=KEY, http_client=transport, **options
        )
        reranker.rerank("query", ["document"])

    with pytest.raises(ConfigurationError, match="api_base"):
        ask(api_base=base)
    monkeypatch.setenv("FIRST_BASE", base)
    with pytest.raises(ConfigurationError, match="api_base"):
        ask()

    assert sent == []


REGION = {"options": {"region": ("TARGET_REGION",), "verbose": ()}}


def test_an_option_of_the_provider_comes_from_the_argument_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then from its variables; one that is in neither is absent."""
    plugin = make_plugin(**REGION)
    absent = resolve(plugin, api_key=KEY)
    monkeypatch.setenv("TARGET_REGION", "eu-west")
    from_environment = resolve(plugin, api_key=KEY)
    from_argument = resolve(plugin, api_key=KEY, region="us-east")

    assert absent.provider_options == {}
    assert from_environment.provider_options == {"region": "eu-west"}
    assert from_argument.provider_options == {"region": "us-east"}


@pytest.mark.parametrize("value", [False, 0])
def test_an_option_that_is_false_is_given_all_the_same(
    monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    """It is neither replaced by the environment nor lost."""
    monkeypatch.setenv("TARGET_REGION", "eu-west")

    target = resolve(make_plugin(**REGION), api_key=KEY, region=value, verbose=value)

    assert target.provider_options == {"region": value, "verbose": value}


def test_an_option_that_is_none_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that `region=settings.get("region")` falls back to the environment."""
    monkeypatch.setenv("TARGET_REGION", "eu-west")

    target = resolve(make_plugin(**REGION), api_key=KEY, region=None)

    assert target.provider_options == {"region": "eu-west"}


def test_an_option_that_nobody_knows_is_refused_with_the_nearest() -> None:
    """Also with `drop_params`: it is near an option of the connection."""
    plugin = make_plugin(**REGION)

    for drop in (False, True):
        with pytest.raises(UnsupportedParamError) as caught:
            resolve(plugin, api_key=KEY, regoin="eu-west", drop_params=drop)

    assert caught.value.message == "target does not take 'regoin'; did you mean 'region'?"
    assert caught.value.param == "regoin"


def test_the_provider_s_refusal_of_a_model_says_where() -> None:
    """An error that `resolve_provider` raises carries provider and model like any other."""
    with pytest.raises(ConfigurationError) as caught:
        Reranker("local/no-such-model")

    assert (caught.value.provider, caught.value.model) == ("local", "no-such-model")


@pytest.mark.usefixtures("registered")
def test_the_functions_see_a_changed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, base URL and options alike, although targets are kept between calls."""
    with recording(Reply(RANKING)) as one, recording(Reply(RANKING)) as two:
        monkeypatch.setenv("FIRST_BASE", one.base_url)
        monkeypatch.setenv("SECOND_KEY", "key-number-one")
        rerank("target/model", "query", ["document"])
        rerank("target/model", "query", ["document"])
        monkeypatch.setenv("SECOND_KEY", "key-number-two")
        rerank("target/model", "query", ["document"])
        monkeypatch.setenv("FIRST_KEY", "key-number-three")
        monkeypatch.setenv("TARGET_REGION", "eu-west")
        rerank("target/model", "query", ["document"])
        monkeypatch.setenv("FIRST_BASE", f"{two.base_url}/prefix")
        rerank("target/model", "query", ["document"])
        monkeypatch.delenv("FIRST_KEY")
        monkeypatch.delenv("SECOND_KEY")
        with pytest.raises(MissingAPIKeyError):
            rerank("target/model", "query", ["document"])

    seen = [(sent.headers["authorization"], sent.headers.get("x-region")) for sent in one.requests]
    assert seen == [
        ("Bearer key-number-one", None),
        ("Bearer key-number-one", None),
        ("Bearer key-number-two", None),
        ("Bearer key-number-three", "eu-west"),
    ]
    assert [sent.path for sent in two.requests] == ["/prefix/rerank"]


@pytest.mark.usefixtures("registered")
def test_the_functions_take_a_list_of_rerankers() -> None:
    """They are the caller's own, and not kept."""
    with recording(Reply({"message": "no"}, 503)) as recorder, Reranker("local/bm25") as fallback:
        options: dict[str, Any] = {"api_base": recorder.base_url, "max_retries": 0}
        response = rerank("target/m", "q", ["a"], api_key=KEY, fallbacks=[fallback], **options)

    assert response.provider == "local"


def test_the_functions_see_that_a_variable_was_changed_which_only_the_plugin_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that names a file, for example."""
    plugin = make_plugin(
        options={"region": ()},
        option_sources={"region": lambda _: os.environ.get("TARGET_FILE")},
        watched_env=("TARGET_FILE",),
    )
    register(plugin)
    monkeypatch.delenv("TARGET_FILE", raising=False)
    try:
        with recording(Reply(RANKING)) as recorder:
            for path in ("one", "two", "two"):
                rerank("target/m", "query", ["a"], api_key=KEY, api_base=recorder.base_url)
                monkeypatch.setenv("TARGET_FILE", path)
    finally:
        unregister("target")

    seen = [request.headers.get("x-region") for request in recorder.requests]
    assert seen == [None, "one", "two"]


def test_facts_follow_from_a_variable_where_the_plugin_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The argument comes first; another option's variable is no matter of the facts."""
    seen: list[dict[str, Any]] = []
    plugin = make_plugin()

    @hookimpl
    def resolve_provider(options: Mapping[str, Any]) -> Provider:
        seen.append(dict(options))
        return Provider(
            name="target",
            base_url=BASE,
            api_key_required=False,
            options={"shape": ("TARGET_SHAPE",), "region": ("TARGET_REGION",)},
            shaping_options=("shape", "not_an_option"),
            max_documents=int(options.get("shape", 9)),
        )

    plugin.resolve_provider = resolve_provider
    monkeypatch.setenv("TARGET_REGION", "here")
    limits = []
    for variable, given in ((None, {}), ("2", {}), ("2", {"shape": 3}), ("2", {"shape": None})):
        if variable:
            monkeypatch.setenv("TARGET_SHAPE", variable)
        limits.append(resolve(plugin, **given).provider.max_documents)

    assert limits == [9, 2, 3, 2]
    assert {name for options in seen for name in options} == {"shape"}


@pytest.mark.usefixtures("registered")
def test_the_functions_do_not_confuse_options_that_are_equal_but_not_the_same() -> None:
    """`True == 1` in Python, but not on the wire."""
    values = (True, 1, 1.0)
    with recording(Reply(RANKING)) as recorder:
        options = {"api_key": KEY, "api_base": recorder.base_url}
        for value in values:
            rerank("target/model", "query", ["document"], level=value, **options)  # type: ignore[arg-type]

    assert [repr(sent.json["level"]) for sent in recorder.requests] == ["True", "1", "1.0"]


@pytest.mark.usefixtures("registered")
def test_the_functions_do_not_confuse_lists_that_are_equal_but_not_the_same() -> None:
    """Neither in tuples nor inside of lists and mappings, nor one caller's for another's."""
    values = [(True,), (1,), (1.0,), [True], [1], [1.0], [[1, 2]], [[1], 2], {"a": 1}, {"a": True}]
    with recording(Reply(RANKING)) as recorder:
        options = {"api_base": recorder.base_url}
        for key in ("key-of-the-first", "key-of-the-second"):
            for value in values:
                rerank("target/model", "query", ["document"], level=value, api_key=key, **options)  # type: ignore[arg-type]

    sent = [repr(request.json["level"]) for request in recorder.requests]
    assert sent == [repr(list(v) if isinstance(v, tuple) else v) for v in values] * 2
    assert [request.headers["authorization"][-5:] for request in recorder.requests] == [
        *["first"] * len(values),
        *["econd"] * len(values),
    ]


@pytest.mark.usefixtures("registered")
def test_the_functions_see_that_a_list_or_mapping_was_changed() -> None:
    """It is looked up by what it holds; what is kept is a copy."""
    level, headers = [0], {"x-team": "one"}
    with recording(Reply(RANKING)) as recorder:
        options: dict[str, Any] = {"api_key": KEY, "api_base": recorder.base_url}
        options |= {"level": level, "extra_headers": headers}
        for number in (1, 2, 1):
            headers["x-team"], level[0] = f"team {number}", number
            rerank("target/model", "query", ["document"], **options)
        options |= {"level": [2], "extra_headers": {"x-team": "team 2"}}
        rerank("target/model", "query", ["document"], **options)

    seen = [(request.headers["x-team"], request.json["level"]) for request in recorder.requests]
    assert seen == [("team 1", [1]), ("team 2", [2]), ("team 1", [1]), ("team 2", [2])]


@pytest.mark.parametrize(
    "option",
    [
        {"fallbacks": ["local/bm25"]},
        {"fallbacks": ("local/bm25",)},
        {"extra_headers": {"x-team": "search"}},
        {"extra_body": {"user": {"tags": ["a", 1, None]}}},
        {"level": (1, 2)},
    ],
    ids=repr,
)
def test_the_functions_resolve_once_for_the_same_options(option: dict[str, Any]) -> None:
    """Lists and mappings included: credentials would be fetched anew with each call."""
    resolved, counts = list[str](), list[int]()
    facts = Provider(name="target", api_key_env=(), extra_params={"level": "level"})

    @hookimpl
    def resolve_provider(model: str) -> Provider:
        resolved.append(model)
        return facts

    plugin = make_plugin()
    plugin.resolve_provider = resolve_provider
    register(plugin)
    try:
        with recording(Reply(RANKING)) as recorder:
            for _ in range(3):
                options = {"api_key": KEY, "api_base": recorder.base_url, **copy.deepcopy(option)}
                rerank("target/model", "query", ["document"], **options)
                counts.append(len(resolved))
    finally:
        unregister("target")

    assert counts == counts[:1] * 3


def test_a_reranker_reads_the_environment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is made."""
    with recording(Reply(RANKING)) as recorder:
        monkeypatch.setenv("FIRST_BASE", recorder.base_url)
        monkeypatch.setenv("FIRST_KEY", ENV_KEY)
        with Reranker("model", provider=make_plugin()) as reranker:
            reranker.rerank("query", ["document"])
            monkeypatch.setenv("FIRST_KEY", "key-number-two")
            monkeypatch.setenv("FIRST_BASE", "http://127.0.0.1:9")
            reranker.rerank("query", ["document"])

    assert [sent.headers["authorization"] for sent in recorder.requests] == [
        f"Bearer {ENV_KEY}"
    ] * 2


SECRET_HEADERS = {"Authorization": "Bearer sk-header-0123456789", "X-Token": "token-0123456789"}
SECRETS = {
    KEY,
    "sk-header-0123456789",
    "token-0123456789",
    "sk-option-0123456789",
    "sk-variable-0123456789",
    "password-0123456789",
}
SECRET_FACTS = {"secret_options": {"secret": (), "token": ("TARGET_TOKEN",)}}


def secretive(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options that hold a secret wherever one may stand."""
    monkeypatch.setenv("TARGET_TOKEN", "sk-variable-0123456789")
    return {
        "api_key": KEY,
        "api_base": "http://user:password-0123456789@127.0.0.1:9/v1",
        "extra_headers": SECRET_HEADERS,
        "secret": "sk-option-0123456789",
    }


def shown(text: str) -> set[str]:
    """The secrets that a text shows."""
    return {secret for secret in SECRETS if secret in text}


def test_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what core makes around a call."""
    options = secretive(monkeypatch)

    target = resolve(make_plugin(**SECRET_FACTS), **options)
    reranker = Reranker("model", provider=make_plugin(**SECRET_FACTS), **options)

    assert shown(repr(reranker)) == set()
    assert shown(repr(target)) == set()
    assert shown(repr(target.options)) == set()
    assert shown(repr(target.provider)) == set()
    assert repr(reranker) == "Reranker('target/model')"


@pytest.mark.parametrize("secret", sorted(SECRETS - {"password-0123456789"}))
def test_no_error_shows_a_secret_that_the_service_sends_back(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """A key that was refused is a favourite in error messages."""
    options = secretive(monkeypatch)
    transport = httpx.MockTransport(
        lambda _: httpx.Response(401, json={"message": f"{secret} is not valid"})
    )

    with pytest.raises(AuthenticationError) as caught:
        Reranker(
            "model", provider=make_plugin(**SECRET_FACTS), http_client=transport, **options
        ).rerank("query", ["document"])

    written = "".join(traceback.format_exception(caught.value))
    assert shown(written) == set()
    assert "is not valid" in written


def test_no_transport_error_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what it was caused by."""
    options = secretive(monkeypatch)

    with (
        Reranker(
            "model", provider=make_plugin(**SECRET_FACTS), max_retries=0, **options
        ) as reranker,
        pytest.raises(TransportError) as caught,
    ):
        reranker.rerank("query", ["document"])

    written = "".join(traceback.format_exception(caught.value))
    assert shown(written) == set()
    assert "127.0.0.1:9" in written


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": -1},
        {"max_retries": "2"},
        {"deadline": 0},
        {"on_failure": "ignore"},
        {"regoin": "x"},
        {"api_base": "nowhere"},
    ],
    ids=str,
)
def test_no_configuration_error_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    """Whatever else is wrong."""
    options = secretive(monkeypatch) | wrong

    with pytest.raises(RerankError) as caught:
        Reranker("model", provider=make_plugin(**SECRET_FACTS), **options)

    assert isinstance(caught.value, ConfigurationError)
    assert shown(str(caught.value)) == set()


def test_a_key_in_a_wrong_place_is_not_shown() -> None:
    """A key that is not text is refused by its type."""
    with pytest.raises(ConfigurationError) as caught:
        Options(api_key=KEY.encode())  # type: ignore[arg-type]

    assert KEY not in str(caught.value)


def test_another_provider_gets_bounds_and_policy_and_nothing_else() -> None:
    """A key, a base URL, headers and a body belong to the provider they were given for."""
    options = Options(
        api_key=KEY,
        api_base=BASE,
        timeout=5,
        max_retries=1,
        extra_headers=SECRET_HEADERS,
        extra_body={"field": 1},
        drop_params=True,
        split_listwise=True,
        max_concurrency=7,
        client_headers=httpx.Client(headers={"authorization": KEY}),
        extra={"region": "eu-west"},
    )

    assert options.for_another_provider() == Options(
        timeout=5,
        max_retries=1,
        drop_params=True,
        split_listwise=True,
        max_concurrency=7,
    )


def test_a_key_is_not_sent_to_a_fallback_of_another_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks with its own, from the environment."""
    monkeypatch.setenv("OTHER_KEY", ENV_KEY)
    with recording(Reply(status=503)) as failing, recording(Reply(RANKING)) as other:
        register(
            make_plugin(
                name="other", base_url=other.base_url, base_url_env=(), api_key_env=("OTHER_KEY",)
            )
        )
        try:
            with Reranker(
                "model",
                provider=make_plugin(),
                api_key=KEY,
                api_base=failing.base_url,
                extra_headers={"x-token": "token-0123456789"},
                extra_body={"field": 1},
                max_retries=0,
                fallbacks=["other/model"],
            ) as reranker:
                response = reranker.rerank("query", ["document"])
        finally:
            unregister("other")

    assert response.provider == "other"
    assert failing.last.headers["authorization"] == f"Bearer {KEY}"
    assert other.last.headers["authorization"] == f"Bearer {ENV_KEY}"
    assert "x-token" not in other.last.headers
    assert "field" not in other.last.json


@pytest.mark.parametrize("at", range(40))
def test_a_table_may_be_changed_by_another_thread_at_any_moment(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Else threads that call with many different options get a RuntimeError in place of a reply."""
    monkeypatch.setattr(kept_in, "_MAX_KEPT", 2)
    table, left = Kept(), at
    table.update(first=1, second=2)

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            if left == 0:
                table.update(other=3)
            left -= 1
        return step

    before = sys.gettrace()
    sys.settrace(lambda *call: step(*call) if call[0].f_code is Kept.put.__code__ else None)
    try:
        kept = table.put("third", 4)
    finally:
        sys.settrace(before)

    assert kept == table["third"] == 4
    assert "first" not in table
