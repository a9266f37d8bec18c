"""`Reranker`: a model, ready to be called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from rerank_core._resolve.discovery import import_late
from rerank_core._resolve.options import CALL_PARAMS, DEFAULT_MAX_RESPONSE_BYTES, Options, either
from rerank_core._resolve.target import Target, resolve_fallback, resolve_target
from rerank_core._send.connections import SHARED, Connections
from rerank_core._send.effects import Route
from rerank_core.errors import ConfigurationError
from rerank_core.facts import Provider
from rerank_core.records._text import shown
from rerank_core.records.response import RerankResponse

Documents = Iterable[Any]
"""Strings, mappings, and objects with text: see `Reranker.rerank`."""


class Reranker:
    """One model of one provider, ready to rerank: resolved once, with connections of its own.

    Close it: `with`, `async with`, `close()`, `aclose()`. Threads and event loops may share it.

    Args:
        model: `provider/model`, split at the first `/`.
        custom_llm_provider: The provider's name; then `model` is taken whole.
        provider: A plugin that is not installed, a module or object; then `model` is taken whole.
        api_key: The key, else the provider's variables; empty to send none to your own base URL.
        api_base: The base URL, else the provider's variables, else its own.
        timeout: Seconds for each step of an attempt (connecting, each write or read), or an
            `httpx.Timeout`; `None` for no bound. 60 by default, 10 to connect. See `deadline`.
        max_retries: Further attempts after no reply, 408, 425, 429 or 5xx; 2 by default.
        deadline: Seconds for the whole call: attempts, waiting, split lists, fallbacks. `None` for
            no bound. Each model that was not asked yet has an equal part of what is left.
        extra_headers: Headers to send in addition; an `Authorization` replaces the key.
        extra_body: Added to the request's JSON object; it may not repeat a field of it.
        drop_params: Leave out parameters that cannot be honoured; `response.warnings` says which.
        fallbacks: Models, or other `Reranker`s, to ask in turn after a failure that may pass. A
            fallback of the same provider inherits key, base URL, headers and body; any other takes
            its own from the environment.
        on_failure: `"raise"`, or `"passthrough"`: the caller's own order with `reranked=False`.
        http_client: An `httpx.Client`, `httpx.AsyncClient` or transport to send with; it keeps its
            own authentication, hooks and proxies, and is never closed here.
        split_listwise: Split a long list even where a document's score depends on the others.
        max_concurrency: The most requests of one split list under way at once; 4 by default.
        max_documents: The most documents in one request, where your server has a limit of its own.
        max_response_bytes: The most bytes of a reply, decompressed, all pages together; a larger
            one is refused without being held. 64 MiB by default; `None` for no bound.
        headers: litellm's name for `extra_headers`.
        num_retries: litellm's name for `max_retries`.
        **extra: Parameters and options that only this provider knows.

    Raises:
        ConfigurationError: And its kinds: no such plugin, no key, an option that makes no sense.
        PluginError: The plugin is broken.
    """

    def __init__(  # noqa: PLR0913 - each is one of the user's decisions
        self,
        model: str,
        *,
        custom_llm_provider: str | None = None,
        provider: object = None,
        api_key: str | None = None,
        api_base: str | None = None,
        timeout: Any = ...,
        max_retries: int | None = None,
        deadline: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        drop_params: bool = False,
        fallbacks: Sequence[str | Reranker] | None = None,
        on_failure: Literal["raise", "passthrough"] = "raise",
        http_client: Any = None,
        split_listwise: bool = False,
        max_concurrency: int = 4,
        max_documents: int | None = None,
        max_response_bytes: int | None = DEFAULT_MAX_RESPONSE_BYTES,
        headers: Mapping[str, str] | None = None,
        num_retries: int | None = None,
        _connections: Connections | None = None,
        **extra: Any,
    ) -> None:
        """Resolve the model; see the class."""
        retries = either("max_retries", max_retries, "num_retries", num_retries)
        options = Options(
            api_key=api_key,
            api_base=api_base,
            timeout=timeout,
            max_retries=2 if retries is None else retries,
            deadline=deadline,
            extra_headers=either("extra_headers", extra_headers, "headers", headers),
            extra_body=extra_body,
            drop_params=drop_params,
            on_failure=on_failure,
            split_listwise=split_listwise,
            max_concurrency=max_concurrency,
            max_documents=max_documents,
            max_response_bytes=max_response_bytes,
            client_headers=http_client,
            extra=extra,
        )
        self._connections = _connections or Connections(http_client)
        first = resolve_target(model, options, custom_llm_provider, provider)
        self._routes = (Route(first, self._connections), *self._find_fallbacks(fallbacks, first))

    def _find_fallbacks(self, fallbacks: Any, first: Target) -> Iterator[Route]:
        if isinstance(fallbacks, str) or not isinstance(fallbacks or (), Sequence):
            message = f"fallbacks must be a list of models or Rerankers, not {shown(fallbacks)}"
            raise ConfigurationError(message)
        for fallback in fallbacks or ():
            if isinstance(fallback, Reranker):
                yield from fallback._routes  # noqa: SLF001 - of our own class
            elif isinstance(fallback, str):
                target = resolve_fallback(fallback, first)
                same = target.provider.name == first.provider.name
                yield Route(target, self._connections if same else SHARED)
            else:
                message = f"fallbacks must be models or Rerankers; {shown(fallback)} is neither"
                raise ConfigurationError(message)

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.facts.name

    @property
    def model(self) -> str:
        """The model's name without its provider."""
        return self._routes[0].target.model

    @property
    def base_url(self) -> str | None:
        """Where requests go; `None` for a model in this process."""
        return self.facts.base_url

    @property
    def facts(self) -> Provider:
        """What the plugin states about the provider and the model, with the base URL in use."""
        return self._routes[0].target.provider

    @property
    def options(self) -> Mapping[str, Any]:
        """What was given that can change a ranking, never a key: for caches, for example."""
        first, *others = [route.target for route in self._routes]
        return {**first.choices, "fallbacks": tuple(target.name for target in others)}

    def rerank(
        self,
        query: str,
        documents: Documents,
        top_n: int | None = None,
        rank_fields: Sequence[str] | None = None,
        return_documents: bool | None = True,  # noqa: FBT001, FBT002 - litellm's signature
        max_chunks_per_doc: int | None = None,
        max_tokens_per_doc: int | None = None,
        **params: Any,
    ) -> RerankResponse:
        """Order documents by relevance to a query.

        Args:
            query: What is looked for.
            documents: Strings; mappings; objects with text under `page_content`, `content` or
                `text`; other pydantic models, dataclasses, attrs classes. Any ordered iterable.
            top_n: The most results, from 1; `None` for all.
            rank_fields: The fields of mapping documents that count, in order; `None` for all.
            return_documents: Whether results carry their documents.
            max_chunks_per_doc: Where the service takes it: chunks of a long document, from 1.
            max_tokens_per_doc: Where the service takes it: tokens a document is cut to, from 1.
            **params: Parameters that only this provider knows.

        Returns:
            The ranking, by descending score.

        Raises:
            ConfigurationError: And its kinds, before anything is sent.
            TransportError: No reply, or none in time.
            APIStatusError: And its kinds: the service replied with an error.
            ResponseParseError: The reply is no ranking.
            PluginError: The plugin is broken.
        """
        drivers = import_late("rerank_core._send.drivers")
        response: RerankResponse = drivers.BlockingDriver().run(self._flow(locals()))
        return response

    async def arerank(
        self,
        query: str,
        documents: Documents,
        top_n: int | None = None,
        rank_fields: Sequence[str] | None = None,
        return_documents: bool | None = True,  # noqa: FBT001, FBT002 - litellm's signature
        max_chunks_per_doc: int | None = None,
        max_tokens_per_doc: int | None = None,
        **params: Any,
    ) -> RerankResponse:
        """Do what `rerank` does, awaited, under asyncio or trio."""
        drivers = import_late("rerank_core._send.drivers")
        response: RerankResponse = await drivers.AsyncDriver().run(self._flow(locals()))
        return response

    def _flow(self, given: Mapping[str, Any], **clock: Any) -> Any:
        flow = import_late("rerank_core._send.flow")  # it knows httpx, so not before a call
        arguments = {**{name: given[name] for name in CALL_PARAMS}, "extra": given["params"]}
        return flow.run_call(given["query"], given["documents"], arguments, self._routes, **clock)

    def close(self) -> None:
        """Close the connections of blocking calls."""
        self._connections.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and those of blocking calls."""
        if self._connections.loops:
            loops = import_late("rerank_core._send.loops")
            await (await loops.stack_of_loop(self._connections)).aclose()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        made = hasattr(self, "_routes")  # a traceback that shows locals may show it half-made
        return f"Reranker({self._routes[0].target.name!r})" if made else "Reranker()"

    def is_current(self) -> bool:
        """Whether the environment still says what it said when this was made."""
        return all([route.target.is_current() for route in self._routes])  # noqa: C419 - most are one
