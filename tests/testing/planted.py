"""A healthy plugin, and others that are the same but for one fault each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
from attrs import evolve

from rerank_core import (
    APIStatusError,
    BilledUnits,
    Compute,
    ConfigurationError,
    HTTPRequest,
    Meta,
    MissingAPIKeyError,
    Provider,
    RerankRequest,
    RerankResponse,
    RerankResult,
    UnsupportedParamError,
    hookimpl,
    wire,
)
from rerank_core.testing import Case, Example, Ranking

FACTS = Provider(
    name="healthy",
    docs_url="https://docs.example.com/rerank",
    base_url="https://api.example.com",
    base_url_env=("HEALTHY_API_BASE",),
    api_key_env=("HEALTHY_API_KEY",),
    params={"top_n": "top_k", "max_tokens_per_doc": "max_tokens"},
    extra_params={"truncation": "truncation"},
)


class Healthy:
    """A plugin without a fault."""

    facts = FACTS

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State the facts."""
        return self.facts

    @hookimpl
    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """Rename."""
        return wire.rename_params(params, provider.params, provider.extra_params)

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        """Build."""
        return HTTPRequest(
            url=wire.join_endpoint(provider.base_url or "", "/v1/rerank"),
            body={
                "model": request.model,
                "query": request.query,
                "documents": request.documents,
                **params,
            },
        )

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        """Read."""
        return RerankResponse(wire.read_results(payload["results"]), meta=wire.read_meta(payload))


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> Any:
    """The service's reply."""
    del documents, top_n
    rows = [{"index": index, "relevance_score": score} for index, score in ranking]
    return {"results": rows, "usage": {"total_tokens": 7}}


CASE = Case(
    plugin=Healthy(),
    model="healthy-1",
    params={"truncation": False},
    installed=False,
    error_in_200={"error": {"message": "the engine failed"}},
    encode=encode,
    example=Example(
        call={"query": "capital of France", "documents": ["Berlin", "Paris"], "top_n": 1},
        url="https://api.example.com/v1/rerank",
        json={
            "model": "healthy-1",
            "query": "capital of France",
            "documents": ["Berlin", "Paris"],
            "top_k": 1,
        },
        headers={"authorization": "Bearer canary-key-5f3a9c71d2"},
        reply=encode([(1, 0.75)], [], 1),
        ranking=[(1, 0.75)],
    ),
)


def _stating(**facts: Any) -> Case:
    """The case with other facts."""
    plugin = Healthy()
    plugin.facts = evolve(FACTS, **facts)
    return evolve(CASE, plugin=plugin)


def _building(change: Callable[[RerankRequest, dict[str, Any]], dict[str, Any]]) -> Case:
    """The case with another body."""

    class Faulty(Healthy):
        @hookimpl
        def build_request(
            self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
        ) -> HTTPRequest:
            good = Healthy.build_request(self, provider, request, params)
            return evolve(good, body=change(request, dict(good.body)))

    return evolve(CASE, plugin=Faulty())


def _reading(read: Callable[[Any, RerankRequest], list[RerankResult]]) -> Case:
    """The case with another reading of the reply."""

    class Faulty(Healthy):
        @hookimpl
        def parse_response(  # type: ignore[override]  # names what it uses
            self, payload: Any, request: RerankRequest
        ) -> RerankResponse:
            return RerankResponse(read(payload, request))

    return evolve(CASE, plugin=Faulty())


def _mapping(change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Case:
    """The case with another mapping of parameters."""

    class Faulty(Healthy):
        @hookimpl
        def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
            del provider
            return change(params)

    return evolve(CASE, plugin=Faulty())


class _Moody(Healthy):
    """States other facts each time."""

    count = 0

    @hookimpl
    def resolve_provider(self) -> Provider:
        self.count += 1
        return evolve(FACTS, max_documents=self.count + 1000)


class _Nameless(Healthy):
    """Has another name where no model is asked for."""

    @hookimpl
    def resolve_provider(self, model: str) -> Provider:  # type: ignore[override]  # names what it uses
        return evolve(FACTS, name="healthy" if model else "nobody")


class _Defaulting(Healthy):
    """Gives an argument of a hook a default."""

    @hookimpl
    def map_params(
        self, provider: Provider, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return wire.rename_params(params or {}, provider.params, provider.extra_params)


class _Environmental(Healthy):
    """Reads the environment in a hook."""

    @hookimpl
    def resolve_provider(self) -> Provider:
        os.environ.get("HEALTHY_REGION")
        return FACTS


class _BuildingFromTheEnvironment(Healthy):
    """Reads the environment where the request is built."""

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        os.getenv("HEALTHY_REGION")
        return Healthy.build_request(self, provider, request, params)


class _Counting(Healthy):
    """Numbers its requests."""

    count = 0

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        self.count += 1
        good = Healthy.build_request(self, provider, request, params)
        return evolve(good, headers={"x-number": str(self.count)})


class _TakingAll(Healthy):
    """Lists whatever it is given as a parameter of its own."""

    @hookimpl
    def resolve_provider(  # type: ignore[override]  # names what it uses
        self, options: Mapping[str, Any]
    ) -> Provider:
        return evolve(FACTS, extra_params={**FACTS.extra_params, **{n: n for n in options}})


class _Blocking(httpx.Auth):
    """Swallows the cancellation of whoever waits for it."""

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        """Go on, whatever happens."""
        try:
            yield request
        except BaseException:  # noqa: BLE001 - the fault
            yield request


class _Waiting(httpx.Auth):
    """Waits for what never comes."""

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        """Wait."""
        await asyncio.Event().wait()
        yield request


class _OtherWay(httpx.Auth):
    """Sends another header under async."""

    def sync_auth_flow(self, request: httpx.Request) -> Any:
        """As it should be."""
        request.headers["authorization"] = "Bearer x"
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        """Ask something else."""
        response = yield request
        response.status_code = 404 if response.is_error else response.status_code


class _LosingReplies(httpx.Auth):
    """Makes a reply of its own out of the service's."""

    def auth_flow(self, request: httpx.Request) -> Any:
        """Drop the headers."""
        response = yield request
        response.headers = httpx.Headers({"content-type": "application/json"})


class _Forgiving(httpx.Auth):
    """Takes 403 for a good status."""

    def auth_flow(self, request: httpx.Request) -> Any:
        """Mend what is not broken."""
        response = yield request
        if response.status_code == 403:
            response.status_code = 404


class _Telling(Healthy):
    """Remembers the key, and tells it."""

    key: str | None = None

    @hookimpl
    def resolve_provider(self) -> Provider:
        return evolve(FACTS, auth=self._remember)

    def _remember(self, key: str | None, *_: object) -> httpx.Auth:
        self.key = key
        return httpx.Auth()

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        response = Healthy.parse_response(self, payload)
        return evolve(response, id=f"asked with {self.key}")


class _InProcess(Healthy):
    """Scores by length in this process, a factor apart from what it should be."""

    def __init__(self, factor: float = 1.0, **facts: Any) -> None:
        self.facts = Provider(name="local", docs_url=FACTS.docs_url, **facts)
        self._factor = factor

    @hookimpl
    def build_request(self, request: RerankRequest) -> Compute:  # type: ignore[override]  # names what it uses
        lengths = [self._factor * len(document) for document in request.documents]
        return Compute(lambda: encode([*enumerate(lengths)], [], None))


def _in_process(factor: float = 1.0, **facts: Any) -> Case:
    example = Example(
        call={"query": "cat", "documents": ["a", "bcd"]},
        reply=encode([(0, 1.0), (1, 3.0)], [], None),
        ranking=[(1, 3.0), (0, 1.0)],
    )
    plugin = _InProcess(factor, **{"auth": None, "api_key_required": False, **facts})
    return evolve(CASE, plugin=plugin, params={}, error_in_200=None, example=example)


IN_PROCESS = _in_process()


def _key_in_the_url(key: str | None, provider: Provider, options: Mapping[str, Any]) -> Any:
    """Send the key in the query string."""
    del provider, options

    class InURL(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            request.url = request.url.copy_merge_params({"key": key})
            yield request

    return InURL()


def _refuse_truncation(params: Mapping[str, Any]) -> dict[str, Any]:
    if "truncation" in params:
        message = "not here"
        raise UnsupportedParamError(message, param="truncation")
    return wire.rename_params(params, FACTS.params)


REFUSED_HERE = evolve(_mapping(_refuse_truncation), options={"api_base": "https://other.test"})


def _read_well(payload: Any, _: RerankRequest) -> list[RerankResult]:
    return [*wire.read_results(payload["results"])]


_COUNTED = evolve(CASE.example, meta=wire.read_meta(CASE.example.reply))


def _from_one(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> Any:
    """The reply of a service that counts from 1."""
    return encode([(index + 1, score) for index, score in ranking], documents, top_n)


def _read_from_one(payload: Any, _: RerankRequest) -> list[RerankResult]:
    rows = payload["results"]
    return [RerankResult(row["index"] - 1, row["relevance_score"]) for row in rows]


FROM_ONE = evolve(
    _reading(_read_from_one),
    encode=_from_one,
    example=evolve(CASE.example, reply=_from_one([(1, 0.75)], [], 1)),
)


def _forgetful_auth(_: str | None, __: Provider, options: Mapping[str, Any]) -> httpx.Auth:
    return httpx.BasicAuth("user", options["healthy_secret"])


class _ForgetfulLater(httpx.Auth):
    """Looks for its secret when it signs."""

    def auth_flow(self, request: httpx.Request) -> Any:
        """Fail where a variable is not set."""
        request.headers["authorization"] = os.environ["HEALTHY_SECRET_OF_NOBODY"]
        yield request


def _asking_for_a_secret(_: str | None, __: Provider, options: Mapping[str, Any]) -> httpx.Auth:
    if "healthy_secret" not in options:
        message = "no secret: give healthy_secret="
        raise MissingAPIKeyError(message)
    return httpx.BasicAuth("user", options["healthy_secret"])


SAYS_WHAT_IS_MISSING = _stating(auth=_asking_for_a_secret, api_key_required=False)


class _Final(Healthy):
    """Takes a busy service for a mistake in the call."""

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        if payload.get("ok") is False:
            raise APIStatusError(payload["reason"])
        return Healthy.parse_response(self, payload)


class _CountingInTheURL(Healthy):
    """Asks for ten results, in the URL."""

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        good = Healthy.build_request(self, provider, request, params)
        return evolve(good, url=f"{good.url}?pageSize=10")


class _AskingOneHost(Healthy):
    """Asks the usual place, whatever the user says."""

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        good = Healthy.build_request(self, provider, request, params)
        return evolve(good, url="https://api.example.com/v1/rerank")


class _KnowingNoOther(Healthy):
    """Breaks where the base URL is not the usual one."""

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        region = {FACTS.base_url: "eu"}[provider.base_url]
        good = Healthy.build_request(self, provider, request, params)
        return evolve(good, headers={"x-region": region})


class _KnowingHosts(Healthy):
    """Says of a base URL that it cannot be the service's."""

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        if provider.base_url != FACTS.base_url:
            message = "only api.example.com has the endpoint"
            raise ConfigurationError(message)
        return Healthy.build_request(self, provider, request, params)


KNOWS_ITS_HOSTS = evolve(CASE, plugin=_KnowingHosts())


class _KnowingModels(Healthy):
    """Knows one model, and says so."""

    @hookimpl
    def resolve_provider(self, model: str) -> Provider:  # type: ignore[override]  # names what it uses
        if model not in {"", CASE.model}:
            message = f"there is no model {model!r}"
            raise ConfigurationError(message)
        return FACTS


KNOWS_ITS_MODELS = evolve(CASE, plugin=_KnowingModels())


class _OfOneModel(Healthy):
    """The service has one model, which no request names."""

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        good = Healthy.build_request(self, provider, request, params)
        body = {name: value for name, value in good.body.items() if name != "model"}
        return evolve(good, body=body)


CALLED_AS_ITS_PATH = evolve(CASE, plugin=_OfOneModel(), model="rerank")


class _TakingTheReplyApart(Healthy):
    """Takes the results out of the reply."""

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        return RerankResponse(wire.read_results(payload.pop("results")))


class _CountingOnUsage(Healthy):
    """Takes usage, and the number in it, for granted."""

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        tokens = int(payload["usage"]["total_tokens"])
        response = Healthy.parse_response(self, payload)
        return evolve(response, meta=Meta(billed_units=BilledUnits(total_tokens=tokens)))


class _WithoutAToken(Healthy):
    """Gives the token service's word for a token."""

    @hookimpl
    def resolve_provider(self) -> Provider:
        return evolve(FACTS, auth=self._sign_in)

    def _sign_in(self, *_: object) -> Any:
        from rerank_core.tokens import TokenAuth  # noqa: PLC0415 - as plugins do

        def exchange() -> Any:
            return (yield lambda: "a-token")

        return TokenAuth(exchange)


WITHOUT_A_TOKEN = evolve(CASE, plugin=_WithoutAToken())


def _without_empty(params: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is false, as if it were not given."""
    given = {name: value for name, value in params.items() if value}
    return wire.rename_params(given, FACTS.params, FACTS.extra_params)


def _with_auth(auth: type[httpx.Auth]) -> Case:
    return _stating(auth=lambda *_: auth())


WAITS_FOR_EVER = _with_auth(_Waiting)


FAULTS: Mapping[str, Mapping[str, Case]] = {
    "check_facts_are_well_formed": {
        "a name with a capital": _stating(name="Healthy"),
        "no documentation": _stating(docs_url=""),
        "a variable that is none": _stating(api_key_env=("healthy key",)),
        "a needed key without a variable": _stating(api_key_env=()),
        "a parameter that no call has": _stating(params={"top_k": "top_k"}),
        "a parameter in two tables": _stating(options={"truncation": ()}),
    },
    "check_facts_are_the_same_each_time": {
        "facts that change": evolve(CASE, plugin=_Moody()),
        "another name without a model": evolve(CASE, plugin=_Nameless()),
    },
    "check_place_is_stated": {
        "a base URL that nothing can change": _stating(base_url_env=()),
        "no base URL": _stating(base_url=None),
        "a key that nothing needs": _in_process(api_key_env=("LOCAL_API_KEY",)),
        "a key required in this process": _in_process(api_key_required=True),
        "a header in this process": _in_process(auth=FACTS.auth),
    },
    "check_base_url_is_used": {
        "one host for all": evolve(CASE, plugin=_AskingOneHost()),
        "an error that blames the plugin": evolve(CASE, plugin=_KnowingNoOther()),
    },
    "check_model_is_the_one_asked_for": {
        "one model for all": _building(lambda _, body: body | {"model": "healthy-1"}),
    },
    "check_example_is_computed": {
        "other scores": _in_process(1.1),
        "the other way round": _in_process(-1.0),
    },
    "check_hooks_fit": {"an argument with a default": evolve(CASE, plugin=_Defaulting())},
    "check_example_request": {
        "a renamed field": _building(
            lambda _, body: {"q" if name == "query" else name: body[name] for name in body}
        )
    },
    "check_hooks_are_pure": {
        "a hook that reads the environment": evolve(CASE, plugin=_Environmental()),
        "a request built from the environment": evolve(CASE, plugin=_BuildingFromTheEnvironment()),
        "a request that changes": evolve(CASE, plugin=_Counting()),
    },
    "check_query_and_documents_are_carried": {
        "a query in capitals": _building(lambda _, body: body | {"query": body["query"].upper()}),
        "a query in small letters": _building(
            lambda _, body: body | {"query": body["query"].lower()}
        ),
        "a query without the blanks around": _building(
            lambda _, body: body | {"query": body["query"].strip()}
        ),
        "a long query cut": _building(lambda _, body: body | {"query": body["query"][:2000]}),
        "documents backwards": _building(
            lambda request, body: body | {"documents": [*request.documents][::-1]}
        ),
        "documents stripped": _building(
            lambda request, body: body | {"documents": [str(d)[:20] for d in request.documents]}
        ),
        "the first hundred": _building(
            lambda request, body: body | {"documents": request.documents[:100]}
        ),
        "none twice": _building(
            lambda request, body: body | {"documents": [*dict.fromkeys(request.documents)]}
        ),
        "without the blanks around": _building(
            lambda request, body: body | {"documents": [str(d).strip() for d in request.documents]}
        ),
        "long ones cut": _building(
            lambda request, body: body | {"documents": [str(d)[:2000] for d in request.documents]}
        ),
    },
    "check_mappings_are_carried": {
        "a field lost": _building(
            lambda request, body: (
                body | {"documents": [str(d).split("\n")[0] for d in request.documents]}
            )
        ),
        "rank_fields without effect": evolve(
            _building(
                lambda request, body: (
                    body | {"documents": [wire.render_document(d) for d in request.documents]}
                )
            ),
            plugin=type(
                "Ignoring",
                (Healthy,),
                {
                    "facts": evolve(FACTS, takes_mappings=True),
                    "build_request": hookimpl(
                        lambda self, provider, request, params: evolve(
                            Healthy.build_request(self, provider, request, params),
                            body={"documents": wire.render_documents(request.documents)},
                        )
                    ),
                },
            )(),
        ),
    },
    "check_no_key_in_the_request": {
        "a key in the URL": _stating(auth=_key_in_the_url),
    },
    "check_supported_params_reach_the_wire": {
        "a parameter that is dropped": _mapping(
            lambda params: {"top_k": params["top_n"]} if "top_n" in params else {}
        ),
        "a parameter under another name": _mapping(dict),
        "no example value": evolve(CASE, params={}),
        "a parameter that is listed and refused": _mapping(_refuse_truncation),
    },
    "check_false_and_zero_are_sent": {
        "false taken for not given": _mapping(_without_empty),
        "zero taken for not given": evolve(_mapping(_without_empty), params={"truncation": 3}),
    },
    "check_other_params_are_refused": {
        "any keyword taken for a parameter": evolve(CASE, plugin=_TakingAll()),
    },
    "check_nothing_else_is_sent": {
        "a null": _building(lambda _, body: {"user": None, **body}),
        "documents asked back": _building(lambda _, body: body | {"return_documents": True}),
        "a restated default": _building(lambda _, body: {"truncation": True, **body}),
    },
    "check_example_reply": {
        "scores read from elsewhere": _reading(
            lambda payload, _: [RerankResult(r["index"], 0.5) for r in payload["results"]]
        ),
        "usage lost": evolve(CASE, plugin=_reading(_read_well).plugin, example=_COUNTED),
        "a reply that is changed": evolve(CASE, plugin=_TakingTheReplyApart()),
        "the identifier lost": evolve(CASE, example=evolve(CASE.example, id="an-id")),
    },
    "check_any_ranking_survives": {
        "positions instead of indices": _reading(
            lambda payload, _: [
                RerankResult(at, row["relevance_score"])
                for at, row in enumerate(payload["results"])
            ]
        ),
        "scores cut at zero": _reading(
            lambda payload, _: [
                RerankResult(row["index"], max(0.0, row["relevance_score"]))
                for row in payload["results"]
            ]
        ),
    },
    "check_malformed_replies_are_errors": {
        "scores converted": _reading(
            lambda payload, _: [
                RerankResult(int(row["index"]), float(row["relevance_score"] or 0))
                for row in payload["results"]
            ]
        ),
        "bad rows skipped": _reading(
            lambda payload, request: [
                *wire.read_results([r for r in payload["results"] if r["index"] == 0]),
                *(RerankResult(at, 0.0) for at in range(1, len(request.documents))),
            ]
        ),
    },
    "check_damaged_replies_do_no_harm": {
        "a missing score taken for zero": _reading(
            lambda payload, _: [
                RerankResult(row["index"], row.get("relevance_score", 0.0))
                for row in payload["results"]
            ]
        ),
    },
    "check_usage_costs_no_ranking": {
        "usage taken for granted": evolve(CASE, plugin=_CountingOnUsage()),
    },
    "check_statuses_are_errors": {
        "a status changed": _with_auth(_Forgiving),
        "a message that core cannot find": evolve(
            CASE, encode_error=lambda message: {"fault": {"words": message[::-1]}}
        ),
    },
    "check_retry_after_is_read": {"headers lost": _with_auth(_LosingReplies)},
    "check_async_agrees": {"another way under async": _with_auth(_OtherWay)},
    "check_cancelling_works": {"a swallowed cancellation": _with_auth(_Blocking)},
    "check_keys_never_show": {"a key in an error": evolve(CASE, plugin=_Telling())},
    "check_no_count_is_made_up": {
        "ten results": _building(lambda _, body: {"k": 10, **body}),
        "a thousand results under the name of top_n": _building(
            lambda _, body: {"top_k": 1000, **body}
        ),
        "a count in another object": _building(
            lambda _, body: {"parameters": {"max_results": 100}, **body}
        ),
        "a count in the URL": evolve(CASE, plugin=_CountingInTheURL()),
    },
    "check_example_without_options": {
        "a field that the service demands": evolve(CASE, required=["top_k"]),
    },
    "check_missing_secret_is_said": {
        "a secret taken for granted": _stating(auth=_forgetful_auth),
        "a secret missed when it signs": _with_auth(_ForgetfulLater),
        "a key taken for granted": _stating(
            auth=lambda key, *_: httpx.BasicAuth("user", key.strip()), api_key_required=False
        ),
    },
    "check_busy_is_tried_again": {
        "a final error": evolve(
            CASE, plugin=_Final(), error_in_200={"ok": False, "reason": "all engines are busy"}
        ),
    },
    "check_indices_count_from_zero": {
        "an index from 1 taken as it is": evolve(CASE, encode=_from_one),
        "an index from 0 made less": _reading(_read_from_one),
    },
}
