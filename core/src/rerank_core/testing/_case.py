"""What a plugin states about itself for the checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx  # noqa: TC002 - attrs shows it in the signature
from attrs import field, frozen
from attrs.validators import instance_of

from rerank_core.records import JSON, Meta

Ranking = Sequence[tuple[int, float]]
"""Positions in the list of documents with their scores, in the order of the service's reply."""

CANARY = "canary-key-5f3a9c71d2"
"""The key that checks hand over; it may show up nowhere but in the authentication."""


@frozen(kw_only=True)
class Example:
    """The example in the service's documentation.

    Attributes:
        call: The arguments of `Reranker.rerank`: query, documents, parameters.
        url: Where the request goes, whole.
        json: The JSON body it has; `None` for a provider that runs in this process.
        headers: Headers that it must have beside the authentication.
        method: The HTTP method.
        reply: The JSON that the service answers.
        ranking: The ranking in that reply: position and score, best first.
        id: The identifier of the call in the reply; not compared where it is `None`.
        meta: What the reply says of usage and version; not compared where it is `None`.
    """

    call: Mapping[str, Any]
    reply: JSON
    ranking: Ranking
    url: str = ""
    json: JSON = None
    headers: Mapping[str, str] = field(factory=dict)
    method: str = "POST"
    id: str | None = None
    meta: Meta | None = None


def _default_error(message: str) -> JSON:
    return {"error": {"message": message}}


@frozen(kw_only=True, eq=False)  # each is itself alone, so that what is found out of it is kept
class Case:
    """One plugin with what the checks need to know of its service.

    Attributes:
        plugin: The module, or an object with the four hooks.
        model: A model's name, without the provider.
        example: The documented example.
        encode: The reply that the service would send for a ranking: given the ranking, the texts
            of the documents it was sent, and `top_n` or `None`, it returns the decoded JSON. A
            ranking may be wrong on purpose: encode it as it is.
        encode_error: The body of an error reply with a message.
        options: Options of the connection that a call cannot do without.
        params: An example value for each of the provider's own parameters.
        required: Fields that the service demands in every request's body, by its own names.
        positional: Whether the reply has no indices, only scores in the order of the documents.
        error_in_200: A body with which the service reports an error under a good status.
        answer_auth: Answers the requests that authentication makes; `None` for all others.
        installed: Whether the plugin is installed, so that names can be compared.
    """

    plugin: object
    model: str = field(validator=instance_of(str))
    example: Example = field(validator=instance_of(Example))
    encode: Callable[[Ranking, Sequence[str], int | None], JSON]
    encode_error: Callable[[str], JSON] = _default_error
    options: Mapping[str, Any] = field(factory=dict)
    params: Mapping[str, Any] = field(factory=dict)
    required: Sequence[str] = ()
    positional: bool = False
    error_in_200: JSON = None
    answer_auth: Callable[[httpx.Request], httpx.Response | None] = field(default=lambda _: None)
    installed: bool = True
