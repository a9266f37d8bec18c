"""How replies are spoilt: steps that change one place of a JSON value, or of its bytes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from rerank_core.testing import CANARY

Path: TypeAlias = tuple[str | int, ...]

OPERATIONS = ("replace", "remove", "duplicate", "rename", "swap", "reverse", "insert", "nest")
DAMAGES = ("cut", "remove", "repeat", "flip", "insert")
# Words that stand in replies; a value under another's name is how services change their mind.
NAMES = (
    *("results", "data", "rankings", "records", "scores", "output", "predictions", "nextToken"),
    *("index", "id", "relevance_score", "relevanceScore", "score", "logit", "document", "extra"),
    *("meta", "usage", "billed_units", "search_units", "total_tokens", "tokens", "input_tokens"),
    *("error", "errors", "message", "detail", "code", "type", "status", "msg", "loc", "field"),
    *("warnings", "system", "model", "request_id", "inference_status", "cost", "api_version", ""),
)
# Text that JSON writers of this language would not write; stands in a value as `@raw<n>@`.
_RAW = (
    *(b"[" * count + b"]" * count for count in (400, 700, 800, 850, 900, 940, 970, 1000)),
    b'{"error":' * 400 + b"1" + b"}" * 400,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b"9" * 400,
    b"-" + b"9" * 5000,
    b"1e999",
    b"-1e999",
    b"1.7976931348623157e308",
    b"NaN",
    b'"\\ud800"',
    b'"\\udfff\\ud800x"',
    b'"\xff"',
)
_RAW_MARK = re.compile(rb'"@raw(\d+)@"')
# A secret stands after what may look like an escape, and where a text may be cut, so that a half
# of it may be left.
SECRETS = (
    *(CANARY, f"%{CANARY}", f"\\u{CANARY}", f"&#x{CANARY}"),
    *(f"{'x' * count} {CANARY} y" for count in (20, 60, 470, 480, 490, 19_985)),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 3, -1, 0.0, -0.0, 0.5, 1.0, 1.5, 0.1 + 0.2, 5e-324, -1e308),
    *(2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30, 10**308),
    *("", " ", "0", "1", "0.5", "NaN", "Infinity", "-1", "null", "true", "\u0000", "\u00b2"),
    *("٣", "\u202e\u2028", "é" * 300, "x" * 700, "x" * 30_000, "http://[", "<html>", "429"),
    *([], {}, [[]], [0], [1, 0, 2], ["a"], [None], {"": None}, {"index": 0}, {"error": "no"}),
    *(
        {"message": ["no", {"detail": "no"}]},
        {"type": [], "code": {}, "status": 7},
        [{"a": 1}] * 50,
    ),
    *({"text": "of another"}, {"loc": [1, [2]], "msg": "no"}, {"field": "f", "message": "no"}),
    *SECRETS,
    *(f"@raw{at}@" for at in range(len(_RAW))),
)

HEADERS = (
    *("retry-after", "retry-after-ms", "date", "x-should-retry", "x-ratelimit-reset", "x-reset"),
    *("content-type", "content-encoding", "location", "x-request-id", "x-amzn-requestid"),
    *("x-amzn-errortype", "x-amzn-bedrock-input-token-count", "nvcf-reqid", "x-compute-tokens"),
    *("x-litellm-response-cost", "x-global-transaction-id"),
)
HEADER_VALUES = (
    *("", "0", "1", "-1", "7.5", "nan", "inf", "1e999", "9" * 400, "9" * 5000, "\u00b2", "true"),
    *("false", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 -2359", "soon", "gzip"),
    *("br", "application/json; charset=utf-16", "text/html; charset=no-such", "abc-1", "x" * 9000),
    *("https://elsewhere.test/v2", "http://[", "//[::1", "http://a:99999999/", "\x00", "\xff\xfe"),
    *(f"https://user:{CANARY}@host/{CANARY}?key={CANARY}", f"/{'y' * 5000}", CANARY, "#:", "a#b:c"),
)


@frozen
class Step:
    """One change of a JSON value.

    Attributes:
        operation: One of `OPERATIONS`.
        at: Which place of the value, counted over all of them and round again.
        value: What is put there.
        name: What a field is called from now on.
    """

    operation: str
    at: int
    value: Any = None
    name: str = ""


@frozen
class Damage:
    """One change of bytes: one of `DAMAGES`, where it begins and ends, and what is put there."""

    operation: str
    at: int
    count: int = 1
    content: bytes = b""


def spoil(value: Any, steps: Sequence[Step]) -> Any:
    """The value after all steps; itself it stays as it is."""
    root = [copy.deepcopy(value)]
    for step in steps:
        _apply(root, step)
    return root[0] if root else None


def damage(content: bytes, damages: Sequence[Damage]) -> bytes:
    """The bytes after all changes."""
    for each in damages:
        content = _damaged(content, each)
    return content


def write(value: Any) -> bytes:
    """JSON, with what no writer would write wherever `@raw<n>@` stands for it."""
    text = json.dumps(value).encode()
    return _RAW_MARK.sub(lambda found: _RAW[int(found[1]) % len(_RAW)], text)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path to every value inside a value."""
    items: Any = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def _apply(root: list[Any], step: Step) -> None:
    paths = list(places(root))
    if not paths:
        return
    path = paths[step.at % len(paths)]
    parent: Any = root
    for key in path[:-1]:
        parent = parent[key]
    _change(parent, path[-1], step)


def _change(parent: Any, key: Any, step: Step) -> None:
    value = copy.deepcopy(step.value)
    match step.operation:
        case "replace":
            parent[key] = value
        case "remove":
            del parent[key]
        case "duplicate" if isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        case "duplicate" | "rename" if isinstance(parent, dict):
            inner = parent[key] if step.operation == "duplicate" else parent.pop(key)
            parent[step.name] = copy.deepcopy(inner)
        case "swap":
            other = (list(parent) if isinstance(parent, dict) else range(len(parent)))[-1]
            parent[key], parent[other] = parent[other], parent[key]
        case "reverse" if isinstance(parent[key], list):
            parent[key].reverse()
        case "insert" if isinstance(parent[key], list):
            parent[key].append(value)
        case "insert" if isinstance(parent[key], dict):
            parent[key][step.name] = value
        case "nest":
            parent[key] = {step.name: parent[key]} if step.name else [parent[key]]
        case _:
            parent[key] = value


def _damaged(content: bytes, each: Damage) -> bytes:
    at = each.at % (len(content) + 1)
    end = min(at + each.count, len(content))
    match each.operation:
        case "cut":
            return content[:at]
        case "remove":
            return content[:at] + content[end:]
        case "repeat":
            return content[:end] + content[at:]
        case "flip":
            return content[:at] + bytes(byte ^ 0x21 for byte in content[at:end]) + content[end:]
        case _:
            return content[:at] + each.content + content[at:]
