"""The providers that are installed, and the places where a key can be given to them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any
from urllib.parse import quote

import httpx
import pytest  # noqa: TC002 - as everywhere in the tests
from attrs import field, frozen

from rerank_core import ConfigurationError, Provider, RerankError, list_providers
from rerank_core._client.reranker import Reranker

from .canary import CANARY

HOST = "https://service.test"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@frozen
class Place:
    """One place for a key.

    Attributes:
        name: For the test's name.
        options: What is given to `Reranker`.
        variables: What stands in the environment.
        client: What the caller's own client has.
    """

    name: str
    options: Mapping[str, Any] = field(factory=dict)
    variables: Mapping[str, str] = field(factory=dict)
    client: Mapping[str, Any] = field(factory=dict)


def _installed() -> dict[str, Provider]:
    """Every provider that is asked over HTTP, by its own name."""
    listed = {found.facts.name: found.facts for found in list_providers() if found.facts}
    return {
        name: facts
        for name, facts in listed.items()
        if facts.base_url or facts.base_url_required or facts.auth
    }


PROVIDERS = _installed()


def model_of(facts: Provider) -> str:
    """A model that the provider documents, or any."""
    return f"{facts.name}/{next(iter(facts.models), 'model')}"


def clear_environment(facts: Provider, patch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's environment take part."""
    options = (*facts.options.values(), *facts.secret_options.values())
    for name in (*facts.base_url_env, *facts.api_key_env, *PROXIES, *chain.from_iterable(options)):
        patch.delenv(name, raising=False)
    patch.setenv("NO_PROXY", "127.0.0.1")
    for name in list(os.environ):  # files of credentials, of whatever cloud
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_")):
            patch.delenv(name)
    patch.setenv("HOME", "/nowhere")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def places_of(facts: Provider) -> Iterator[Place]:
    """Every place, by the provider's own facts."""
    yield Place("api_key", {"api_key": CANARY})
    for variable in facts.api_key_env:
        yield Place(variable, variables={variable: CANARY})
    for name, variables in facts.secret_options.items():
        yield Place(name, {name: CANARY})
        for variable in variables:
            yield Place(variable, variables={variable: CANARY})
        parts = {"client_secret": CANARY, "refresh_token": CANARY, "private_key": f"-\n{CANARY}\n-"}
        told = {"client_id": "app", "client_email": "a@b", **parts}
        yield Place(f"{name} mapping", {name: {"type": "authorized_user", **told}})
        yield Place(f"{name} JSON", {name: json.dumps({"type": "service_account", **told})})
    if facts.secret_options:
        yield Place("all secrets", dict.fromkeys(facts.secret_options, CANARY))
    key = {"api_key": "another-key-0123456789"}
    yield Place("authorization", {"extra_headers": {"Authorization": f"Bearer {CANARY}"}})
    yield Place("x-api-key", {**key, "extra_headers": {"x-api-key": CANARY}})
    yield Place("any header", {**key, "extra_headers": {"x-whatever-token": f"as Key {CANARY}"}})
    body = {"settings": {"api_key": CANARY}, "more": [{"password": CANARY}]}
    yield Place("extra_body", {**key, "extra_body": body})
    host, hidden = HOST.removeprefix("https://"), quote(CANARY, safe="")
    yield Place("user-info", {**key, "api_base": f"https://user:{hidden}@{host}/v1"})
    yield Place("user", {**key, "api_base": f"https://{hidden}@{host}/v1"})
    yield Place("query", {**key, "api_base": f"{HOST}/v1?version=1&code={hidden}"})
    for variable in facts.base_url_env[:1]:
        yield Place(variable, key, {variable: f"https://user:{hidden}@{host}"})
    yield Place("client's header", client={"headers": {"Authorization": f"Bearer {CANARY}"}})
    yield Place("client's key", key, client={"headers": {"x-api-key": CANARY}})
    yield Place("proxy", key, {"HTTPS_PROXY": f"http://user:{hidden}@127.0.0.1:9"})


def needed_options(facts: Provider, place: Place) -> dict[str, Any]:
    """The place's options with whatever else a call takes: errors name it, and are listened to."""
    options = dict(place.options)
    if "api_base" not in options and not set(place.variables) & set(facts.base_url_env):
        options["api_base"] = HOST
    transport = httpx.MockTransport(lambda _: httpx.Response(400))
    quiet = httpx.Client(transport=transport, **place.client)
    for _ in range(6):
        try:
            with Reranker(model_of(facts), max_retries=0, http_client=quiet, **options) as reranker:
                reranker.rerank("query", ["one", "two"])
        except ConfigurationError as error:
            known = (*facts.options, *facts.secret_options)
            named = (name for name in known if re.search(rf"\b{name}\b", str(error)))
            lacking = next((name for name in named if name not in options), None)
            if lacking is None:
                return options
            options[lacking] = CANARY if lacking in facts.secret_options else "us-east-1"
        except RerankError:
            return options
    return options
