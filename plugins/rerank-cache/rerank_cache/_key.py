"""What a score is kept under: everything that it may depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import orjson
from attrs import frozen

from rerank_core import __version__

_SCHEMA = 2
_PREFIX_BYTES = 8
_HASH_BYTES = 16


def model_prefix(model: str, secret: bytes = b"") -> bytes:
    """What the keys of a model, written `provider/model`, begin with."""
    return _hash([model], _PREFIX_BYTES, secret)


@frozen
class Keys:
    """The keys of one model's scores.

    Attributes:
        model: `provider/model`.
        parts: What else holds for all of them: base URL, options, versions, the caller's salt.
        secret: Makes the hashes worthless to whoever can guess texts and has the file alone.
    """

    model: str
    parts: Sequence[Any]
    secret: bytes

    def of_pairs(
        self, query: str, params: Mapping[str, Any], documents: Sequence[Any]
    ) -> list[bytes]:
        """A key for each document with the query, as long as nothing else counts."""
        start, seed = self._start(["pair", query, params])
        return [start + _hash([seed, document], _HASH_BYTES, self.secret) for document in documents]

    def of_list(self, query: str, params: Mapping[str, Any], documents: Sequence[Any]) -> bytes:
        """One key for all documents in their order."""
        start, seed = self._start(["list", query, params])
        return start + _hash([seed, list(documents)], _HASH_BYTES, self.secret)

    def _start(self, parts: Sequence[Any]) -> tuple[bytes, str]:
        whole = [_SCHEMA, __version__, *self.parts, *parts]
        return model_prefix(self.model, self.secret), _hash(whole, 32, self.secret).hex()


def _hash(parts: Sequence[Any], size: int, secret: bytes) -> bytes:
    """Of JSON, which tells where each part ends and of which kind it is; bytes as they are."""
    return hashlib.blake2b(_dump(parts), digest_size=size, key=secret).digest()


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def _plain(value: Any) -> Any:
    """Mappings and sequences of other kinds; anything else cannot be a key."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return [*value]
    for kind in (str, int):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(type(value).__name__)


@cache
def plugin_version(provider: str) -> str:
    """The version of the distribution that a provider's plugin comes from, where it has one."""
    found = entry_points(group="rerank_core.providers", name=provider)
    return " ".join(f"{each.dist.name} {each.dist.version}" for each in found if each.dist)
