"""Credentials are kept by what identifies them; what is given wins; a fork is a new start."""

from __future__ import annotations

import asyncio
import os
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from core.cases.installed import install_plugin
from core.cases.plain import BASE, Ask, Plain, Service, awaited
from core.cases.programs import run_program
from core.cases.test_tokens import AZURE, WATSONX
from recorder import Reply, recording
from rerank_core import BadRequestError, ConfigurationError, Reranker
from rerank_core.auth import HeaderAuth

# C8: nothing that failed is kept.


@pytest.mark.parametrize("way", ["rerank", "arerank"])
def test_what_signs_is_made_anew_once_an_option_is_found(way: str) -> None:
    """A profile that could not be read at first is read later."""
    found = iter([None, "eu-1"])
    plugin = Plain(
        auth=lambda _key, _facts, options: HeaderAuth("x-region", str(options.get("region"))),
        options={"region": ()},
        option_sources={"region": lambda _: next(found)},
    )
    service = Service()
    reranker = Reranker("m", provider=plugin, api_key="k", http_client=service)
    for _ in range(3):
        if way == "rerank":
            reranker.rerank("q", ["a"])
        else:
            asyncio.run(reranker.arerank("q", ["a"]))

    assert [each.headers["x-region"] for each in service.requests] == ["None", "eu-1", "eu-1"]


def test_an_option_that_is_given_is_not_looked_up(call: Ask) -> None:
    """It neither costs a look-up nor loses to what that would find."""
    looked_up: list[Any] = []

    def look_up(secrets: Any) -> str:
        looked_up.append(secrets)
        return "found"

    plugin = Plain(
        auth=lambda _key, _facts, options: HeaderAuth("x-region", options["region"]),
        options={"region": ()},
        option_sources={"region": look_up},
    )
    service = Service()
    call("m", "q", ["a"], provider=plugin, api_key="k", region="given", http_client=service)

    assert service.requests[0].headers["x-region"] == "given"
    assert looked_up == []


@pytest.mark.parametrize(
    "others",
    [
        {"api_key": "other"},
        {"api_base": "https://other.test"},
        {"region": "eu-2"},
        {"session": "other"},
    ],
)
def test_what_signs_for_one_is_not_given_to_another(call: Ask, others: dict[str, str]) -> None:
    """Whatever they differ in: a key, a place, an option, secret or not."""
    plugin = Plain(
        auth=lambda key, facts, options: HeaderAuth(
            "x-sign", f"{key} {facts.base_url} {dict(options)}"
        ),
        options={"region": ()},
        secret_options={"session": ()},
    )
    service = Service()
    usual = {"api_key": "k", "api_base": BASE, "region": "eu-1", "session": "first"}
    for given in (usual, {**usual, **others}):
        call("m", "q", ["a"], provider=plugin, http_client=service, **given)
    one, other = [each.headers["x-sign"] for each in service.requests]

    assert one != other
    assert all(value in other for value in others.values())


# C6: a fork is a new start.


@pytest.mark.slow
def test_a_child_forked_while_a_token_is_fetched_gets_its_own() -> None:
    """Nothing that another thread of the parent holds is held in the child."""
    done = run_program(
        """
        import httpx
        parent, entered = os.getpid(), threading.Event()

        def token():
            if os.getpid() == parent:
                entered.set()
                time.sleep(3)
            return "token"

        def answer(_):
            return httpx.Response(200, json={"results": [{"index": 0, "relevance_score": 1.0}]})

        reranker = rerank_core.Reranker(
            "azure_ai/m", api_base="https://r.services.ai.azure.com",
            azure_ad_token_provider=token, http_client=httpx.MockTransport(answer),
        )
        thread = threading.Thread(target=reranker.rerank, args=("q", ["a"]))
        thread.start()
        entered.wait()
        fork_and_wait(lambda: reranker.rerank("q", ["a"]))
        thread.join()
        """
    )

    assert done.stdout.split() == ["child:", "done"], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("work", ["rerank", "list"])
def test_a_child_forked_while_a_plugin_is_imported_can_import_it(tmp_path: Any, work: str) -> None:
    """The import in the parent goes on, and the child has the plugin, too."""
    install_plugin(tmp_path, "slow", before="import time; time.sleep(1)")
    done = run_program(
        f"""
        thread = threading.Thread(
            target=rerank_core.Reranker, args=("slow/m",), kwargs={{"api_key": "k"}}
        )
        thread.start()
        time.sleep(0.3)
        if {work!r} == "rerank":
            fork_and_wait(lambda: rerank_core.Reranker("slow/m", api_key="k"))
        else:
            fork_and_wait(lambda: rerank_core.list_providers())
        thread.join()
        """,
        path=tmp_path,
    )

    assert done.stdout.split() == ["child:", "done"], done.stderr


@pytest.mark.slow
def test_a_child_forked_while_core_is_imported_can_rerank() -> None:
    """The first call imports one module after another; a fork waits for none and then the next."""
    done = run_program(
        """
        import importlib.abc

        class Slow(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name in {"rerank_core._send.drivers", "rerank_core._send.flow"}:
                    time.sleep(1)

        sys.meta_path.insert(0, Slow())
        work = lambda: rerank_core.rerank("local/bm25", "q", ["a"])
        rerank_core.Reranker("local/bm25")
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.5)
        fork_and_wait(work)
        thread.join()
        """
    )

    assert done.stdout.split() == ["child:", "done"], done.stderr


# C9: tokens are kept by what identifies them.


@pytest.mark.parametrize("own_client", [False, True], ids=["shared", "http_client"])
def test_a_credentials_token_is_kept_between_calls(call: Ask, *, own_client: bool) -> None:
    """The same credential object, in calls that otherwise differ: one token while it is valid."""
    asked: list[str] = []

    def get_token(scope: str, **_: Any) -> Any:
        asked.append(scope)
        return SimpleNamespace(token=f"token-{len(asked)}", expires_on=time.time() + 3600)

    credential = SimpleNamespace(get_token=get_token)
    mock = Service()
    with recording(Reply({"results": [{"index": 0, "relevance_score": 1.0}]})) as service:
        for seconds in (20, 30, 20):
            options: dict[str, Any] = {**AZURE, "api_base": service.base_url, "timeout": seconds}
            if own_client:
                options["http_client"] = mock
            call(query="q", documents=["a"], azure_credential=credential, **options)
        sent = [request.headers for request in service.requests]
        sent += [dict(request.headers) for request in mock.requests]

    assert len(asked) == 1
    assert [headers["authorization"] for headers in sent] == ["Bearer token-1"] * 3


def test_two_credentials_have_two_tokens(call: Ask) -> None:
    """What is kept for one object is not given to another, however alike they are."""
    service = Service()

    def make(value: str) -> Any:
        found = SimpleNamespace(token=value, expires_on=time.time() + 3600)
        return SimpleNamespace(get_token=lambda *_, **__: found)

    for name in ("one", "two", "three"):
        call(**AZURE, query="q", documents=["a"], azure_credential=make(name), http_client=service)

    sent = [request.headers["authorization"] for request in service.requests]
    assert sent == ["Bearer one", "Bearer two", "Bearer three"]


# C12: what the caller gave wins.


def test_a_key_given_from_the_environment_is_given(
    call: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not lose to another variable because it equals one."""
    monkeypatch.setenv("WATSONX_APIKEY", "key-that-is-given")
    monkeypatch.setenv("WATSONX_TOKEN", "expired")
    exchanged = httpx.Response(200, json={"access_token": "fresh", "expires_in": 3600})
    ranked = httpx.Response(200, json={"results": [{"index": 0, "score": 1}]})
    service = Service(
        lambda request: exchanged if request.url.path == "/identity/token" else ranked
    )
    given = {**WATSONX, "api_key": os.environ["WATSONX_APIKEY"]}
    call(query="q", documents=["a"], http_client=service, **given)

    assert service.requests[-1].headers["authorization"] == "Bearer fresh"


def test_a_token_given_from_the_environment_is_given(
    call: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise the other way round, and for another provider."""
    monkeypatch.setenv("AZURE_AI_API_KEY", "key-of-the-environment")
    monkeypatch.setenv("AZURE_AD_TOKEN", "token-that-is-given")
    service = Service()
    token = os.environ["AZURE_AD_TOKEN"]
    call(query="q", documents=["a"], http_client=service, azure_ad_token=token, **AZURE)

    assert service.requests[-1].headers["authorization"] == "Bearer token-that-is-given"
    assert "api-key" not in service.requests[-1].headers


def test_an_azure_key_given_from_the_environment_is_given(
    call: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key beside a token of the environment."""
    monkeypatch.setenv("AZURE_AI_API_KEY", "key-that-is-given")
    monkeypatch.setenv("AZURE_AD_TOKEN", "token-of-the-environment")
    service = Service()
    key = os.environ["AZURE_AI_API_KEY"]
    call(query="q", documents=["a"], http_client=service, api_key=key, **AZURE)

    shown = str(service.requests[-1].headers.raw)
    assert "key-that-is-given" in shown
    assert "token-of-the-environment" not in shown


@pytest.mark.parametrize("name", ["api-key", "Api-Key", "API-KEY"])
@pytest.mark.parametrize(
    "variables", [{"AZURE_AI_API_KEY": "from-env"}, {"AZURE_AD_TOKEN": "from-env"}]
)
def test_a_header_that_is_given_replaces_the_environments_key(
    call: Ask, name: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever header the provider's key travels in."""
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    service = Service()
    call(
        **AZURE,
        query="q",
        documents=["a"],
        extra_headers={name: "given"},
        auth_header="api-key",
        http_client=service,
    )

    assert service.requests[-1].headers["api-key"] == "given"
    assert "from-env" not in str(service.requests[-1].headers.raw)


@pytest.mark.parametrize("own", [True, False], ids=["URL given", "both of the environment"])
def test_a_user_in_a_url_that_is_given_replaces_the_environments_key(
    call: Ask, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    """It says who asks; of two that the environment has, the key is sent."""
    url = "https://user:pass-word@r.test"
    monkeypatch.setenv("INFINITY_API_KEY", "from-env")
    monkeypatch.setenv("INFINITY_API_BASE", url)
    service = Service()
    call("infinity/m", "q", ["a"], api_base=url if own else None, http_client=service)

    sent = service.requests[-1].headers["authorization"]
    assert sent == ("Basic dXNlcjpwYXNzLXdvcmQ=" if own else "Bearer from-env")


def test_a_key_that_is_given_does_not_lose_to_a_header_of_another_name(call: Ask) -> None:
    """A gateway may want one of its own; without the key, it is taken for what authorizes."""
    plugin = Plain(auth=lambda key, *_: HeaderAuth("authorization", f"Key {key}"))
    options: dict[str, Any] = {"provider": plugin, "extra_headers": {"x-api-key": "gateway"}}
    service = Service()
    call("m", "q", ["a"], api_key="given", http_client=service, **options)
    call("m", "q", ["a"], http_client=service, **options)

    sent = [
        (each.headers.get("authorization"), each.headers["x-api-key"]) for each in service.requests
    ]
    assert sent == [("Key given", "gateway"), (None, "gateway")]


def test_a_secret_that_is_given_does_not_lose_to_a_user_in_a_url(call: Ask) -> None:
    """Whatever it is called: a token, or what signs requests."""
    service = Service()
    given = {"api_base": "https://user:pass-word@r.test", "azure_ad_token": "given-token"}
    call(query="q", documents=["a"], http_client=service, **{**AZURE, **given})

    assert service.requests[-1].headers["authorization"] == "Bearer given-token"


@pytest.mark.parametrize("model", ["pinecone/m", "azure_ai/m"])
@pytest.mark.parametrize("name", ["api-key", "Api-Key"])
def test_a_header_of_the_callers_client_replaces_the_environments_key(
    call: Ask, model: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one among `extra_headers` does."""
    for variable in ("PINECONE_API_KEY", "AZURE_AI_API_KEY"):
        monkeypatch.setenv(variable, "from-env")
    service = Service(httpx.Response(400, json={}))
    make: Any = httpx.AsyncClient if call is awaited else httpx.Client
    client = make(transport=service, headers={name: "given"})
    with pytest.raises(BadRequestError):
        call(model, "q", ["a"], api_base=AZURE["api_base"], http_client=client)

    assert service.requests[-1].headers["api-key"] == "given"
    assert "from-env" not in str(service.requests[-1].headers.raw)


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ({"model": "cohere/m", "api_base": ""}, {"CO_API_URL": "https://env.test"}),
        ({"model": "jina/m", "api_base": ""}, {}),
        ({**WATSONX, "token": ""}, {"WATSONX_APIKEY": "from-env"}),
        ({**WATSONX, "zen_api_key": ""}, {"WATSONX_TOKEN": "from-env"}),
        (
            {"model": "bedrock/m", "aws_access_key_id": "", "aws_secret_access_key": ""},
            {"AWS_ACCESS_KEY_ID": "from-env", "AWS_SECRET_ACCESS_KEY": "from-env"},
        ),
    ],
    ids=["base URL", "usual base URL", "token", "Zen key", "AWS keys"],
)
def test_what_is_given_empty_does_not_lose_to_the_environment(
    call: Ask,
    options: dict[str, Any],
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable that the caller read, and that is not set, for example: it is refused."""
    keys = {"COHERE_API_KEY": "from-env", "JINA_API_KEY": "from-env", "AWS_REGION": "us-east-1"}
    for variable, value in {**keys, **variables}.items():
        monkeypatch.setenv(variable, value)
    given = {name: value for name, value in options.items() if name != "api_key"}
    service = Service()
    with pytest.raises(ConfigurationError):
        call(query="q", documents=["a"], http_client=service, **given)

    assert service.requests == []
