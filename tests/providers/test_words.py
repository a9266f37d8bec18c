"""Type and hint of an error follow the service's words; what only the status supports says "if"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rerank_core import APIStatusError, BadRequestError, NotFoundError, PermissionDeniedError
from service import Service, facts

from .plugins import ALL, BY_NAME, Plugin, every_plugin


def _caught(plugin: Plugin, status: int, body: Any, headers: Any = None) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        plugin.ask(Service(body, status, headers))
    return caught.value


@pytest.mark.filterwarnings("ignore:.*was switched off:FutureWarning")
@every_plugin
def test_a_hint_that_only_the_status_supports_begins_with_if(plugin: Plugin) -> None:
    """Whichever model is asked for."""
    hints = dict(plugin.facts.hints)
    for model in plugin.facts.models:
        options = {"api_base": "https://gateway.test/v1"} if plugin.facts.base_url_required else {}
        hints |= facts(f"{plugin.name}/{model}", **options).hints

    firm = [text for key, text in hints.items() if isinstance(key, int) and text[:3] != "if "]

    assert firm == []


@every_plugin
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_bare_status_is_of_its_usual_kind(plugin: Plugin, status: int) -> None:
    """Whatever most often was behind it."""
    usual = NotFoundError if status == 404 else BadRequestError

    assert type(_caught(plugin, status, plugin.case.encode_error("odd"))) is usual


_VALIDATION = {"x-amzn-errortype": "ValidationException"}
_TOO_MANY = "documents: List should have at most 1000 items after validation, not 1001"
# The provider; status, body and headers; the kind; what the message has, and what it has not.
_SAID: list[tuple[str, int, Any, Mapping[str, str] | None, type[APIStatusError], str, str]] = [
    ("scaleway", 422, {"message": _TOO_MANY}, None, BadRequestError, "max_documents=", ""),
    ("voyage", 403, {"detail": "Not allowed."}, None, PermissionDeniedError, "(if it is", ""),
    (
        "together",
        403,
        {"error": {"message": "No access."}},
        None,
        PermissionDeniedError,
        "(if it is about tokens",
        "",
    ),
    ("nvidia_nim", 400, {"error": "unknown field"}, None, BadRequestError, "(if a pair", ""),
    (
        "litellm_proxy",
        422,
        {"error": {"message": _TOO_MANY}},
        None,
        BadRequestError,
        "max_documents=",
        "",
    ),
    (
        "litellm_proxy",
        400,
        {"error": {"message": "missing required top_n number field"}},
        None,
        BadRequestError,
        "top_n=",
        "",
    ),
    (
        "bedrock",
        400,
        {"message": "odd"},
        _VALIDATION,
        BadRequestError,
        "(if it is about the model",
        "",
    ),
]
# What only the words tell: the hint is firm, and stands in the place of the status's.
_PHRASES: list[tuple[str, int, Any, Mapping[str, str] | None, type[APIStatusError], str, str]] = [
    (
        "scaleway",
        422,
        {"message": "The model `m` does not exist."},
        None,
        NotFoundError,
        "GET /v1/models",
        "max_documents",
    ),
    (
        "bedrock",
        400,
        {"message": "Malformed input request: #: required key [api_version] not found"},
        _VALIDATION,
        BadRequestError,
        "extra_body={'api_version': 2}",
        "us-west-2",
    ),
    (
        "bedrock",
        403,
        {"message": "You don't have access to the model with the specified model ID."},
        {"x-amzn-errortype": "AccessDeniedException"},
        PermissionDeniedError,
        "ask for access",
        "us-west-2",
    ),
    (
        "nvidia_nim",
        400,
        {"error": "Input length 16384 exceeds maximum allowed token size 8192"},
        None,
        BadRequestError,
        "(truncate='END'",
        "",
    ),
    (
        "vllm",
        400,
        {
            "object": "error",
            "message": "The model does not support Rerank (Score) API",
            "type": "BadRequestError",
            "code": 400,
        },
        None,
        BadRequestError,
        "no reranker",
        "truncate_prompt_tokens",
    ),
    (
        "huggingface",
        422,
        "Failed to deserialize the JSON body into the target type: missing field `texts`",
        None,
        BadRequestError,
        "another body",
        "max_documents",
    ),
    (
        "huggingface",
        422,
        {"error": "batch size 40 > maximum allowed batch size 32", "error_type": "Validation"},
        None,
        BadRequestError,
        "(give max_documents=",
        "truncate",
    ),
    (
        "huggingface",
        422,
        {
            "error": "`inputs` must have less than 512 tokens. Given: 700",
            "error_type": "Validation",
        },
        None,
        BadRequestError,
        "(truncate=True",
        "max_documents",
    ),
]


@pytest.mark.parametrize(
    ("name", "status", "body", "headers", "kind", "words", "others"), [*_SAID, *_PHRASES]
)
def test_type_and_hint_follow_the_service_s_words(
    name: str,
    status: int,
    body: Any,
    headers: Mapping[str, str] | None,
    kind: type[APIStatusError],
    words: str,
    others: str,
) -> None:
    """And nobody is sent after a fault that the service does not speak of."""
    error = _caught(BY_NAME[name], status, body, headers)

    assert type(error) is kind
    assert words in str(error)
    assert not others or others not in str(error)


@pytest.mark.parametrize("name", ["compatible", "llamacpp", "vllm"])
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, {"error": "Unexpected endpoint or method. (POST /v1/rerank)"}, "LM Studio does not"),
        (404, "404 page not found", "if it is Ollama"),
    ],
    ids=["LM Studio", "Ollama"],
)
def test_a_server_that_does_not_rerank_is_named(
    name: str, status: int, body: Any, words: str
) -> None:
    """With whichever plugin for servers of one's own it is asked."""
    assert words in str(_caught(BY_NAME[name], status, body))


def test_documents_that_a_proxy_quotes_do_not_hide_what_to_do() -> None:
    """LiteLLM's 422 for too many has all of them in its message, which is cut."""
    quoted = [{"loc": ["body", "documents"], "msg": _TOO_MANY, "input": ["a long text"] * 2500}]
    message = f"litellm.BadRequestError: InfinityException - {quoted}"

    error = _caught(BY_NAME["litellm_proxy"], 422, {"error": {"message": message, "code": "422"}})

    assert len(str(error)) < 1000
    assert _TOO_MANY in str(error)
    assert "max_documents=" in str(error)


def test_a_path_that_azure_does_not_have_is_answered_with_the_one_that_was_tried() -> None:
    """Without a password that stands in the address."""
    plugin = BY_NAME["azure_ai"]
    with pytest.raises(NotFoundError) as caught:
        plugin.ask(
            Service({"message": "no"}, 404), api_base="https://me:secret@gateway.test/cohere/v2"
        )

    assert "gateway.test/cohere/v2" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_phrases_are_written_as_they_are_looked_for() -> None:
    """A key of more than one word is looked for in the message, in lower case."""
    keys = {key for plugin in ALL for key in (*plugin.facts.hints, *plugin.facts.error_types)}

    assert [key for key in keys if isinstance(key, str) and " " in key and key != key.lower()] == []
