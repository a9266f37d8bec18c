"""What is said about a server: by its dialect, by a preset, by the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import field, fields_dict, frozen
from attrs.validators import and_, ge, in_, instance_of, min_len, not_, optional

from rerank_compatible._presets import PRESETS
from rerank_core import ConfigurationError, Provider, wire

DIALECTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "jina": {},  # what others imitate, each in its way: the reply is looked at
        "cohere": {
            "results_path": "results",
            "score_field": "relevance_score",
            "extra_params": ("max_tokens_per_doc",),
        },
        "mixedbread": {
            "documents_field": "input",
            "top_n_field": "top_k",
            "results_path": "data",
            "score_field": "score",
        },
        "sglang": {"results_path": "", "score_field": "score"},
        "tei": {
            "documents_field": "texts",
            "top_n_field": None,
            "results_path": "",
            "score_field": "score",
            "send_model": False,
            "max_documents": 32,
            "max_request_bytes": 2_000_000,
        },
        "voyage": {
            "top_n_field": "top_k",
            "results_path": "data",
            "score_field": "relevance_score",
        },
    }
)
_PATHS = {"tei": "/rerank", "mixedbread": "/v1/reranking"}  # of a base URL without a path
_name = and_(instance_of(str), min_len(1))
_count = optional(and_(not_(instance_of(bool)), instance_of(int), ge(1)))


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else value


def _are_names(_: object, attribute: Any, value: Any) -> None:
    if not (isinstance(value, tuple) and all(isinstance(name, str) and name for name in value)):
        message = f"{attribute.name} must be names of parameters, not {value!r}"
        raise ValueError(message)


def _is_url(_: object, attribute: Any, value: str) -> None:
    try:
        Provider(name="any", base_url=value)
    except ValueError as error:
        message = f"{attribute.name} must be an absolute URL such as 'https://example.com/rerank'"
        raise ValueError(message) from error


@frozen(kw_only=True)
class Settings:
    """How to speak to a server.

    Attributes:
        api_base: Its base URL, of a preset; the caller's own is core's.
        endpoint_url: The whole URL, used as it is; it takes the place of `api_base`.
        api_key_env: The variable of its key, of a preset; sent to the preset's host only.
        dialect: What sets the names below at once.
        top_n_field: The name of `top_n`; none, or an empty one, where the server has nothing like
            it.
        documents_field: The name of the list of documents.
        document_form: `string`; `object`, with the text as `text`; `native`, where mappings travel
            as they are.
        results_path: Where the list of results stands, as a dotted name, empty for the whole
            reply; `None` to look for it.
        index_field: The name of an index; `None` to look for it.
        score_field: The name of a score; likewise.
        auth_header: The header with the key.
        auth_scheme: The word before the key; empty for the bare key.
        score_kind: What a score is, which only you know.
        listwise: Whether a score depends on the documents beside it; `None` for what the model's
            name says.
        max_documents: The most documents in one request.
        max_request_bytes: The most bytes of documents in one request.
        max_document_chars: The longest document.
        send_model: Whether the model's name is sent.
        extra_params: Further parameters that the server knows.
    """

    api_base: str | None = field(default=None, validator=optional(_name))
    endpoint_url: str | None = field(default=None, validator=optional([_name, _is_url]))
    api_key_env: str | None = field(default=None, validator=optional(_name))
    dialect: str = field(default="jina", validator=in_(tuple(DIALECTS)))
    top_n_field: str | None = field(default="top_n", validator=instance_of((str, type(None))))
    documents_field: str = field(default="documents", validator=_name)
    document_form: Literal["string", "object", "native"] = field(
        default="string", validator=in_(("string", "object", "native"))
    )
    results_path: str | None = field(default=None, validator=optional(instance_of(str)))
    index_field: str | None = field(default=None, validator=optional(_name))
    score_field: str | None = field(default=None, validator=optional(_name))
    auth_header: str = field(default="Authorization", validator=_name)
    auth_scheme: str = field(default="Bearer", validator=instance_of(str))
    score_kind: Literal["probability", "logit", "opaque"] = field(
        default="opaque", validator=in_(("probability", "logit", "opaque"))
    )
    listwise: bool | None = field(default=None, validator=optional(instance_of(bool)))
    max_documents: int | None = field(default=None, validator=_count)
    max_request_bytes: int | None = field(default=None, validator=_count)
    max_document_chars: int | None = field(default=None, validator=_count)
    send_model: bool = field(default=True, validator=instance_of(bool))
    extra_params: tuple[str, ...] = field(default=(), converter=_names, validator=_are_names)


OPTIONS = tuple(
    # Core's own are left out, and the variable of a key, which only a preset needs.
    name
    for name in fields_dict(Settings)
    if name not in {"api_base", "api_key_env", "max_documents"}
)


def read_settings(options: Mapping[str, Any]) -> Settings:
    """What dialect, preset and caller say, the later before the earlier.

    Args:
        options: Those of the connection.

    Raises:
        ConfigurationError: One of them is not what it can be.
    """
    preset = _read_preset(options.get("preset"))
    given = {name: options[name] for name in OPTIONS if name in options}
    if "endpoint_url" in given:
        preset = {name: preset[name] for name in preset if name != "api_base"}
    # None is nothing said, but where it says "the server has none".
    said = {n: v for n, v in {**preset, **given}.items() if v is not None or n == "top_n_field"}
    dialect = said.get("dialect", "jina")
    usual = DIALECTS.get(dialect, {}) if isinstance(dialect, str) else {}
    try:
        return Settings(**{**usual, **said})
    except (TypeError, ValueError) as error:
        # attrs gives its message first, then what it is about.
        raise ConfigurationError(str(error.args[0])) from error


def _read_preset(preset: Any) -> Mapping[str, Any]:
    """A named preset, or the caller's own: a mapping, or JSON of one from the environment."""
    if isinstance(preset, str) and preset.lstrip().startswith("{"):
        try:
            preset = json.loads(preset)
        except ValueError as error:
            message = f"preset is no JSON object: {error}"
            raise ConfigurationError(message) from None
    if isinstance(preset, str):
        if preset not in PRESETS:
            message = f"there is no preset {preset!r}, but {', '.join(sorted(PRESETS))}"
            raise ConfigurationError(message)
        return PRESETS[preset]
    if preset is None:
        return {}
    if not isinstance(preset, Mapping):
        message = f"preset must be a name or a mapping of settings, not {type(preset).__name__}"
        raise ConfigurationError(message)
    if unknown := sorted(map(str, preset.keys() - fields_dict(Settings).keys())):
        message = f"preset has settings that nobody knows: {', '.join(unknown)}"
        raise ConfigurationError(message)
    return preset


def join(base_url: str, dialect: str) -> str:
    """The URL to ask: a base URL, completed where it does not name an endpoint already.

    A path that ends in a segment such as `rerank`, `reranking` or `reranks` stays as it is, with
    its slash; a bare origin gets the usual path; to any other path only the endpoint is added,
    never a version. The endpoint of a chat is taken for its base.
    """
    parts = urlsplit(base_url)
    usual = _PATHS.get(dialect, "/v1/rerank")
    parts = parts._replace(path=parts.path.replace("/v1-openai", "/v1"))  # GPUStack's, of the chat
    path = wire.OTHER_TASKS.sub("", parts.path.rstrip("/"))
    if path.rpartition("/")[2].startswith("rerank"):
        return parts.geturl()
    path = f"{path}/{usual.rpartition('/')[2]}" if path else usual
    return parts._replace(path=path).geturl()
