"""The key that must show up nowhere, and how it is looked for."""

from __future__ import annotations

import base64
import copy
import functools
import json
import pickle
import re
import traceback
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

import httpx  # noqa: TC002 - as everywhere in the tests

from rerank_core import HTTPResponse, RerankError, RerankResponse

CANARY = 'CaNaRy/9f3+aB=7"q&Zx<41>Lm'
"""What a header may hold, and what differs in every encoding."""
TOKEN = "ToKeN/8e2+cD=6&Wv<52>KnQz"  # noqa: S105 - no secret of anyone's
"""What a token service gives for the canary."""


def _escapes(escaped: str, digits: str) -> dict[int, str]:
    return {ord(each): f"\\u{ord(each):{digits}}" for each in escaped}


def encodings(secret: str) -> Iterator[str]:
    """How services quote what they were sent."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    yield json.dumps(secret)[1:-1].translate(_escapes("<>&", "04x"))  # Go
    yield json.dumps(secret)[1:-1].translate(_escapes("<>&='", "04x"))  # Gson
    yield secret.translate(_escapes("\"<>&'+`", "04X"))  # .NET
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield re.sub("%..", lambda found: found[0].lower(), quote(secret, safe=""))  # .NET
    for around in (secret, f"u:{secret}", f"us:{secret}\n", f"use:{secret}, more"):
        yield base64.b64encode(around.encode()).decode()
        yield base64.urlsafe_b64encode(around.encode()).decode()


@functools.cache
def _needles(secret: str) -> frozenset[str]:
    """Its encodings, and eight characters from every fourth on, as is and in base64."""
    texts = [secret]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode()
        texts.append(encoded[4:-4])  # what its neighbours have no part in
    pieces = (text[at : at + 8] for text in texts for at in range(0, len(text) - 7, 4))
    return frozenset(map(str.lower, (*encodings(secret), *pieces)))


def found_in(texts: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Where the texts show a secret, or eleven characters of one."""
    text = "\n".join({*texts}).lower()
    places = [(needle, text.find(needle)) for secret in secrets for needle in _needles(secret)]
    return [text[max(at - 60, 0) : at + len(needle) + 60] for needle, at in places if at >= 0]


def sent_secrets(request: httpx.Request) -> list[str]:
    """What authentication put on a request: the last word of the header, a signature too."""
    header = request.headers.get("authorization", "").split()
    return [header[-1].rpartition("=")[2] or header[-1]] if header else []


def texts_of_error(error: BaseException) -> Iterator[str]:
    """Everything that is written of an error, wherever it is written."""
    yield from traceback.format_exception(error)
    yield from _texts_of_chain(error, set())
    if isinstance(error, RerankError):
        yield repr(vars(error))
        yield from texts_of_reply(error.response)
        for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
            yield f"{again} {again!r} {again.args}"
            yield from texts_of_reply(again.response)
        yield pickle.dumps(error).decode("latin-1")


def _texts_of_chain(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield f"{error}"
    yield repr(error)
    yield from map(str, error.args)
    yield from map(repr, error.args)
    yield from getattr(error, "__notes__", ())
    yield from _texts_of_chain(error.__cause__, seen)
    yield from _texts_of_chain(error.__context__, seen)


def texts_of_reply(reply: HTTPResponse | None) -> Iterator[str]:
    """The reply that an error carries: repr, headers and body."""
    if reply is not None:
        yield repr(reply)
        yield repr(dict(reply.headers))
        yield reply.text
        yield pickle.dumps(reply).decode("latin-1")


def texts_of_response(response: RerankResponse) -> Iterator[str]:
    """What is written of a ranking; `payload` and `headers` are the service's own words."""
    yield repr(response)
    yield str(response)
    yield repr(response.to_dict())
    yield from response.warnings
