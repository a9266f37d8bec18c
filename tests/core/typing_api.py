"""Only type-checked: what users and plugin authors write passes mypy and pyright as it stands.

It begins with the README's programs, word for word.
"""

# ruff: noqa: T201 - the README's programs print

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from typing import Any, assert_type

import httpx
from attrs import frozen

from rerank_core import (
    APIKeyHeader,
    APIStatusError,
    AuthenticationError,
    BilledUnits,
    Compute,
    Document,
    HTTPRequest,
    HTTPResponse,
    InstalledProvider,
    InvalidRequestError,
    Meta,
    NextRequest,
    PluginError,
    Price,
    Provider,
    ProviderNotFoundError,
    RateLimitError,
    Reranker,
    RerankError,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    Tokens,
    UnsupportedParamError,
    arerank,
    hookimpl,
    list_providers,
    register,
    rerank,
    unregister,
    wire,
)


def readme_first_program() -> None:
    """The README's five lines."""
    documents = [
        "Carson City is the capital of Nevada.",
        "Washington, D.C. is the capital of the United States.",
    ]
    response = rerank("local/bm25", "What is the capital of the United States?", documents)
    for result in response.results:
        print(result.index, round(result.relevance_score, 3), result.document.text)


async def main() -> None:
    """Its awaited call."""
    response = await arerank("cohere/rerank-v3.5", "capital", ["Berlin", "The capital is Paris."])
    print(response.results[0].index)


def readme_reranker() -> None:
    """Its `Reranker`, and its options."""
    asyncio.run(main())
    documents = ["Berlin", "The capital is Paris.", "The Rhine is a river."]
    with Reranker("cohere/rerank-v3.5", timeout=5) as reranker:
        for query in ("capital", "river"):
            response = reranker.rerank(query, documents)
            print(query, response.results[0].document.text)
    response = rerank(
        "cohere/rerank-v3.5",
        "capital",
        ["Berlin", "The capital is Paris."],
        timeout=10,
        max_retries=3,
        deadline=20,
        fallbacks=["local/bm25"],
        on_failure="passthrough",
    )
    print(response.provider, response.reranked, response.warnings)


@frozen
class Page:
    """Documents of another kind: an object with a text."""

    page_content: str


def rank_what_there_is(frame: Any) -> None:
    """Every kind of documents that is taken."""
    read(rerank("local/bm25", "query", [Page("a"), Page("b")]))
    read(rerank("local/bm25", "query", ["a", {"text": "b"}, Page("c")]))
    read(rerank("local/bm25", "query", frame["text"]))
    read(rerank("local/bm25", "query", frame.to_dict("records")))


strings: list[str] = ["a", "b"]
mappings: list[dict[str, str]] = [{"title": "a", "text": "b"}]


def read(response: RerankResponse) -> None:
    """Everything that a response holds."""
    assert_type(response.results, list[RerankResult])
    assert_type(response.id, str)
    assert_type(response.model, str)
    assert_type(response.provider, str)
    assert_type(response.meta, Meta)
    assert_type(response.meta.api_version, str | None)
    assert_type(response.meta.billed_units, BilledUnits)
    assert_type(response.meta.billed_units.search_units, float | None)
    assert_type(response.meta.billed_units.total_tokens, int | None)
    assert_type(response.meta.tokens, Tokens)
    assert_type(response.meta.tokens.input_tokens, int | None)
    assert_type(response.warnings, Sequence[str])
    assert_type(response.reranked, bool)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.to_dict(), dict[str, Any])
    for result in response.results:
        assert_type(result.index, int)
        assert_type(result.relevance_score, float)
        assert_type(result.document, Document)
        assert_type(result.document.text, str)
        assert_type(result.document.fields, Mapping[str, Any] | None)
        assert_type(result.document.original, Any)
        str.join(", ", [result["document"]["text"], result.get("relevance_score", "")])
    assert_type(response["results"], Any)
    assert_type(response.attempts, int)
    assert_type(response.seconds, float)
    assert_type(len(response), int)
    for place, result in enumerate(response, 1):
        assert_type(place, int)
        assert_type(result, RerankResult)


def call_the_function() -> None:
    """`rerank`, with litellm's positions and with options."""
    read(rerank("cohere/rerank-v3.5", "query", strings))
    read(rerank("cohere/rerank-v3.5", "query", mappings, None, 2, ["title"], False, None, 512))  # noqa: FBT003 - litellm's positions
    read(rerank(model="cohere/rerank-v3.5", query="query", documents=("a", {"text": "b"})))
    read(rerank("local/bm25", "query", (line for line in strings)))
    read(
        rerank(
            "cohere/rerank-v3.5",
            "query",
            strings,
            top_n=2,
            api_key="key",
            api_base="https://example.com",
            timeout=5.0,
            max_retries=0,
            deadline=10,
            extra_headers={"X-Trace": "1"},
            extra_body={"field": [1, 2]},
            drop_params=True,
            fallbacks=["voyage/rerank-2.5", Reranker("local/bm25")],
            on_failure="passthrough",
            http_client=httpx.Client(),
            priority=5,
        )
    )
    read(rerank("local/bm25", "query", strings, timeout=None))
    read(rerank("local/bm25", "query", strings, timeout=httpx.Timeout(5)))


def refuse() -> None:
    """Mistakes that a type checker finds."""
    rerank(1, "query", strings)  # type: ignore[arg-type]
    rerank("local/bm25", None, strings)  # type: ignore[arg-type]
    rerank("local/bm25", "query", 1)  # type: ignore[arg-type]
    rerank("local/bm25", "query", strings, top_n="2")  # type: ignore[arg-type]
    rerank("local/bm25", "query", strings, on_failure="ignore")  # type: ignore[arg-type]
    rerank("local/bm25", "query")  # type: ignore[call-arg]
    Reranker("local/bm25", api_key=1)  # type: ignore[arg-type]
    Provider("positional")  # type: ignore[call-arg]
    Provider(name="x", score_kind="percent")  # type: ignore[arg-type]


async def call_the_async_function() -> None:
    """`arerank`, the same but for `await`."""
    assert_type(await arerank("cohere/rerank-v3.5", "query", strings, top_n=2), RerankResponse)


def keep_a_reranker() -> None:
    """`Reranker`, as a context manager."""
    with Reranker("cohere/rerank-v3.5", api_key="key", client_name="project") as reranker:
        assert_type(reranker, Reranker)
        assert_type(reranker.rerank("query", mappings, 2, ["title"]), RerankResponse)
    reranker.close()


async def keep_an_async_reranker() -> None:
    """`Reranker`, as an async context manager."""
    async with Reranker("cohere/rerank-v3.5", http_client=httpx.AsyncClient()) as reranker:
        assert_type(reranker, Reranker)
        assert_type(await reranker.arerank("query", strings, priority=3), RerankResponse)
    await reranker.aclose()


def handle_errors() -> None:
    """What errors carry."""
    try:
        rerank("cohere/rerank-v3.5", "query", strings)
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except APIStatusError as error:
        assert_type(error.status_code, int | None)
        assert_type(error.response, HTTPResponse | None)
    except ResponseParseError as error:
        assert_type(error.path, str)
    except UnsupportedParamError as error:
        assert_type(error.param, str)
    except PluginError as error:
        assert_type(error.distribution, str | None)
        assert_type(error.version, str | None)
    except ProviderNotFoundError:
        raise
    except RerankError as error:
        assert_type(error.message, str)
        assert_type(error.provider, str | None)
        assert_type(error.model, str | None)


def look_around() -> None:
    """Listing and registering."""
    for listed in list_providers():
        assert_type(listed, InstalledProvider)
        assert_type(listed.facts, Provider | None)
        assert_type(listed.error, str | None)
    name = register(object())
    assert_type(name, str)
    unregister(name)


class Signature(httpx.Auth):
    """Authentication that a header cannot do."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign."""
        request.headers["X-Signature"] = self._key or ""
        yield request


def sign(key: str | None, provider: Provider, options: Mapping[str, Any]) -> httpx.Auth:
    """Make the authentication."""
    return Signature(f"{key}{provider.base_url}{options.get('region')}")


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State every fact there is."""
    return Provider(
        name="example",
        docs_url="https://example.com/docs",
        base_url="https://api.example.com",
        base_url_env=("EXAMPLE_API_BASE",),
        api_key_env=("EXAMPLE_API_KEY",),
        api_key_hosts={"EXAMPLE_API_KEY": ("*.example.com",)},
        auth=sign if "region" in options else APIKeyHeader("X-Api-Key", ""),
        params={"top_n": "top_k"},
        extra_params={"truncation": "truncation"},
        options={"region": ("EXAMPLE_REGION",)},
        takes_mappings=True,
        max_documents=1000,
        max_tokens=32_000,
        score_kind="probability",
        listwise=model.endswith("-listwise"),
        error_types={498: AuthenticationError},
        retry_statuses=frozenset({409}),
        hints={404: "look at the prefix"},
        price=Price(0.002, "search_units", "2026-11-22"),
        models=("small", "large"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Rename."""
    if params.keys() >= {"top_n", "truncation"}:
        message = "not both"
        raise UnsupportedParamError(message, param="truncation")
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build."""
    if len(request.documents) > 1000:
        message = "too many"
        raise InvalidRequestError(message)
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank"),
        body={
            "model": request.model,
            "query": request.query,
            "documents": wire.render_documents(request.documents, request.rank_fields),
            **params,
        },
        headers={"X-Region": str(request.options.get("region"))},
    )


@hookimpl
def parse_response(
    payload: Any, headers: Mapping[str, str], status_code: int
) -> RerankResponse | NextRequest:
    """Read, or ask again."""
    if status_code == 202:
        return NextRequest(HTTPRequest(headers["location"], method="GET", delay=0.5))
    results = wire.read_results(payload["data"], "data", index="position", score="score")
    return RerankResponse(
        wire.add_extra(results, payload["data"], "spans"),
        id=payload["id"],
        meta=wire.read_meta(payload),
        warnings=wire.read_strings(payload.get("warnings")),
    )


def compute_in_this_process(request: RerankRequest) -> Compute:
    """What `build_request` may return as well."""
    return Compute(lambda: [0.0 for _ in request.documents])


def write_results_by_hand() -> RerankResponse:
    """The records as a plugin makes them."""
    result = RerankResult(0, 0.5, extra={"spans": [1, 2]})
    meta = Meta(billed_units=BilledUnits(search_units=1), tokens=Tokens(input_tokens=3))
    return RerankResponse([result], meta=meta, warnings=["careful"])
