"""The hooks of one plugin, typed: what it raises or returns is translated once, here."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from rerank_core import (
    APIStatusError,
    HTTPRequest,
    InvalidRequestError,
    NextRequest,
    PluginError,
    PluginSource,
    Provider,
    RerankError,
    RerankRequest,
    RerankResponse,
    ResponseParseError,
    hookimpl,
)
from rerank_core._resolve.hooks import HOOKS, ProviderHooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = PluginSource("mine", "rerank-mine", "1.2.3")
FACTS = Provider(name="mine")
REQUEST = RerankRequest("model", "query", ["document"])
SENT = HTTPRequest("https://example.com/rerank")
RANKING = RerankResponse([])
HEADERS = {"x-id": "1"}


@hookimpl
def resolve_provider() -> Provider:
    """State the facts."""
    return FACTS


@hookimpl
def map_params() -> dict[str, Any]:
    """Take no parameters."""
    return {}


@hookimpl
def build_request() -> HTTPRequest:
    """Build a request."""
    return SENT


@hookimpl
def parse_response() -> RerankResponse:
    """Read a reply."""
    return RANKING


def make_hooks(**replaced: Any) -> ProviderHooks:
    """The hooks above, some replaced; `None` leaves one out."""
    hooks = {
        "resolve_provider": resolve_provider,
        "map_params": map_params,
        "build_request": build_request,
        "parse_response": parse_response,
        **replaced,
    }
    plugin = SimpleNamespace(**{name: hook for name, hook in hooks.items() if hook is not None})
    return ProviderHooks(plugin, SOURCE.name, lambda: SOURCE)


def call(hooks: ProviderHooks, name: str) -> Any:
    """Call one hook with every argument it may have."""
    calls: dict[str, Callable[[], Any]] = {
        "resolve_provider": lambda: hooks.resolve_provider("model", {"api_base": "base"}),
        "map_params": lambda: hooks.map_params(FACTS, {"top_n": 1}),
        "build_request": lambda: hooks.build_request(FACTS, REQUEST, {"top_n": 1}),
        "parse_response": lambda: hooks.parse_response(FACTS, REQUEST, {"a": 1}, HEADERS, 200),
    }
    return calls[name]()


def raising(error: BaseException) -> Any:
    """A hook that raises."""

    @hookimpl
    def hook() -> None:
        raise error

    return hook


def returning(value: object) -> Any:
    """A hook that returns a value."""

    @hookimpl
    def hook() -> object:
        return value

    return hook


@pytest.mark.parametrize(
    "error",
    [
        KeyError("results"),
        KeyError(0),
        KeyError(),
        IndexError("list index out of range"),
        TypeError("'NoneType' object is not subscriptable"),
        ValueError("could not convert string to float"),
        AttributeError("'list' object has no attribute 'get'", name="get", obj=[]),
    ],
    ids=repr,
)
def test_an_unexpected_payload_is_the_reply_s_fault(error: Exception) -> None:
    """What indexing and converting a payload raises becomes a `ResponseParseError`."""
    hooks = make_hooks(parse_response=raising(error))

    with pytest.raises(ResponseParseError) as caught:
        call(hooks, "parse_response")

    assert caught.value.__cause__ is error
    assert type(error).__name__ in caught.value.message or "no 'results'" in caught.value.message


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"api_key_env": "MINE_API_KEY"}, "'api_key_env' must be <class 'tuple'>"),
        ({"score_kind": "good"}, "ValueError: 'score_kind' must be in"),
    ],
)
def test_a_wrong_fact_is_told_in_a_sentence(facts: dict[str, Any], said: str) -> None:
    """The field, what it must be and what it is: without all that attrs knows of it."""
    hooks = make_hooks(resolve_provider=hookimpl(lambda: Provider(name="mine", **facts)))

    with pytest.raises(PluginError, match=said) as caught:
        call(hooks, "resolve_provider")

    assert "Attribute(" not in caught.value.message


@pytest.mark.parametrize("name", HOOKS)
def test_any_other_exception_is_the_plugin_s_fault(name: str) -> None:
    """It becomes a `PluginError` that names hook, distribution and version, with its cause."""
    error = RuntimeError("no such luck")
    hooks = make_hooks(**{name: raising(error)})

    with pytest.raises(PluginError) as caught:
        call(hooks, name)

    assert caught.value.__cause__ is error
    assert f"{name} raised RuntimeError: no such luck" in caught.value.message
    assert "rerank-mine 1.2.3" in caught.value.message
    assert (caught.value.distribution, caught.value.version) == ("rerank-mine", "1.2.3")
    assert caught.value.provider == "mine"


@pytest.mark.parametrize("name", HOOKS)
def test_a_plugin_cannot_end_the_process(name: str) -> None:
    """`sys.exit` in a hook is a fault like any other, as it is on import."""
    hooks = make_hooks(**{name: raising(SystemExit("goodbye"))})

    with pytest.raises(PluginError, match=f"{name} raised SystemExit: goodbye"):
        call(hooks, name)


@pytest.mark.parametrize("name", ["resolve_provider", "map_params", "build_request"])
def test_a_key_error_before_sending_is_the_plugin_s_fault(name: str) -> None:
    """No reply can be to blame before there is one."""
    hooks = make_hooks(**{name: raising(KeyError("top_n"))})

    with pytest.raises(PluginError) as caught:
        call(hooks, name)

    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("too many"),
        ResponseParseError("no list", path="results"),
        APIStatusError("quota"),
        RerankError("of a kind of its own"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_project_s_own_errors_pass_through(name: str, error: RerankError) -> None:
    """A hook that says exactly what is wrong is not rephrased."""
    hooks = make_hooks(**{name: raising(error)})

    with pytest.raises(RerankError) as caught:
        call(hooks, name)

    assert caught.value is error


@pytest.mark.parametrize("name", HOOKS)
def test_an_interrupt_passes_through(name: str) -> None:
    """Ctrl-C ends the program, wherever it strikes."""
    hooks = make_hooks(**{name: raising(KeyboardInterrupt())})

    with pytest.raises(KeyboardInterrupt):
        call(hooks, name)


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize(
    "value", [None, "text", 1, [("a", 1)], object()], ids=lambda value: type(value).__name__
)
def test_a_wrong_return_type_is_the_plugin_s_fault(name: str, value: object) -> None:
    """The error names the hook and the type; `None` too, where a `return` was forgotten."""
    hooks = make_hooks(**{name: returning(value)})

    with pytest.raises(PluginError, match=f"{name} returned {type(value).__name__}"):
        call(hooks, name)


def test_parse_response_may_ask_for_a_further_request() -> None:
    """`NextRequest` is an answer like any other."""
    asks_again = NextRequest(SENT)

    answer = call(make_hooks(parse_response=returning(asks_again)), "parse_response")

    assert answer is asks_again


@pytest.mark.parametrize("name", HOOKS)
def test_an_implementation_may_take_no_argument(name: str) -> None:
    """An implementation names only what it uses, which may be nothing."""
    expected = dict(zip(HOOKS, (FACTS, {}, SENT, RANKING), strict=True))

    assert call(make_hooks(), name) == expected[name]


def test_an_implementation_may_take_some_arguments_in_any_order() -> None:
    """Arguments go by name."""
    seen: dict[str, tuple[object, ...]] = {}

    @hookimpl
    def resolve_provider(options: object) -> Provider:
        seen["resolve_provider"] = (options,)
        return FACTS

    @hookimpl
    def map_params(params: object, provider: object) -> dict[str, Any]:
        seen["map_params"] = (params, provider)
        return {}

    @hookimpl
    def build_request(params: object, request: object) -> HTTPRequest:
        seen["build_request"] = (params, request)
        return SENT

    @hookimpl
    def parse_response(status_code: object, headers: object, payload: object) -> RerankResponse:
        seen["parse_response"] = (status_code, headers, payload)
        return RANKING

    hooks = make_hooks(
        resolve_provider=resolve_provider,
        map_params=map_params,
        build_request=build_request,
        parse_response=parse_response,
    )
    for name in HOOKS:
        call(hooks, name)

    assert seen == {
        "resolve_provider": ({"api_base": "base"},),
        "map_params": ({"top_n": 1}, FACTS),
        "build_request": ({"top_n": 1}, REQUEST),
        "parse_response": (200, HEADERS, {"a": 1}),
    }


def test_an_implementation_may_take_every_argument() -> None:
    """The widest signatures that the specifications allow."""

    @hookimpl
    def resolve_provider(model: str, options: object) -> Provider:
        return Provider(name=f"{model} {options}")

    @hookimpl
    def parse_response(
        provider: Provider,
        request: RerankRequest,
        payload: object,
        headers: object,
        status_code: int,
    ) -> RerankResponse:
        return RerankResponse(
            [], id=f"{provider.name} {request.model} {payload} {headers} {status_code}"
        )

    hooks = make_hooks(resolve_provider=resolve_provider, parse_response=parse_response)

    assert call(hooks, "resolve_provider").name == "model {'api_base': 'base'}"
    assert call(hooks, "parse_response").id == "mine model {'a': 1} {'x-id': '1'} 200"


@pytest.mark.parametrize("name", HOOKS)
def test_a_missing_hook_is_named(name: str) -> None:
    """All four are needed, and the error says which is not there."""
    with pytest.raises(PluginError, match=f"{name}: no @hookimpl function of that name"):
        make_hooks(**{name: None})


@pytest.mark.parametrize(
    "mark", [hookimpl(wrapper=True), hookimpl(hookwrapper=True)], ids=["wrapper", "hookwrapper"]
)
def test_a_wrapper_alone_is_no_hook(mark: Any) -> None:
    """It has nothing to wrap."""

    def parse_response() -> Iterator[None]:
        yield

    with pytest.raises(PluginError, match="parse_response: no @hookimpl function of that name"):
        make_hooks(parse_response=mark(parse_response))


def test_every_missing_hook_is_named_at_once() -> None:
    """Whoever writes a plugin mends them in one go."""
    with pytest.raises(PluginError, match=r"map_params, parse_response: no @hookimpl"):
        make_hooks(map_params=None, parse_response=None)


def test_a_function_without_the_marker_is_no_hook() -> None:
    """Names alone work no magic."""

    def map_params() -> dict[str, Any]:
        return {}

    with pytest.raises(PluginError, match=r"map_params: no @hookimpl"):
        make_hooks(map_params=map_params)


@pytest.mark.parametrize("name", [*HOOKS, "observe"])
def test_a_hook_that_is_async_is_named(name: str) -> None:
    """Nobody awaits it, so that it would do nothing."""

    async def implementation() -> None:
        raise NotImplementedError

    with pytest.raises(PluginError, match=f"{name} is async, and nobody awaits it"):
        make_hooks(**{name: hookimpl(implementation)})


def test_an_argument_that_no_hook_has_is_named() -> None:
    """A misspelt argument is found when the plugin is loaded, not when it is called."""

    @hookimpl
    def build_request(reqeust: object) -> HTTPRequest:
        raise AssertionError(reqeust)

    with pytest.raises(PluginError, match="reqeust") as caught:
        make_hooks(build_request=build_request)

    assert "rerank-mine 1.2.3" in caught.value.message
    assert caught.value.__cause__ is not None


def test_a_source_reads_as_package_and_version() -> None:
    """Or as the provider's name, for a plugin that was handed over."""
    assert str(SOURCE) == "the plugin rerank-mine 1.2.3"
    assert str(PluginSource("mine")) == "the plugin for 'mine'"


def test_a_plugin_that_hangs_holds_up_no_other() -> None:
    """While one states its facts, another can, and where it came from is known."""
    entered, released = threading.Event(), threading.Event()

    @hookimpl
    def hang() -> Provider:
        entered.set()
        released.wait(20)
        return FACTS

    slow, other = make_hooks(resolve_provider=hang), make_hooks()
    thread = threading.Thread(target=lambda: slow.facts)
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.extend((other.facts, other.source)))

    thread.start()
    entered.wait(20)
    asking.start()
    asking.join(10)
    in_time = [*found]
    released.set()
    for each in (thread, asking):
        each.join()

    assert in_time == [FACTS, SOURCE]
