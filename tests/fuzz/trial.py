"""One plugin under the fuzzer: what its inputs mean, how they change, and what they come to."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fuzz.mutations import (
    HEADER_VALUES,
    HEADERS,
    NAMES,
    OPERATIONS,
    VALUES,
    Step,
    spoil,
    write,
)
from fuzz.promises import TEXTS, BrokenPromiseError, HostileReply, Target
from fuzz.seeds import cases_of, seeds_of

# An input: case, status in two bytes whose highest bit is `top_n`, number of headers, for each two
# bytes, and the body.
_HEAD = 4
_MOST_HEADERS = 4
_TOP_N = 0x8000
_SHOWN = 2000
# Shares of the changes; the rest are libFuzzer's own, of bytes.
_OF_HEADS, _OF_VALUES = 0.15, 0.6
_STATUSES = (range(200, 201), range(200, 207), range(100, 600), range(100, 1000))


class Trial:
    """A plugin's cases, asked for as long as there is time; prints each kind of finding once.

    Args:
        plugin: The end of its folder's name.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._cases = cases_of(plugin)
        self._targets = [Target(case) for case in self._cases.values()]
        self._found: set[str] = set()

    def write_seeds(self, folder: Path) -> None:
        """Write the inputs to begin with."""
        for at, case in enumerate(self._cases.values()):
            for number, seed in enumerate(seeds_of(self._plugin, case, TEXTS)):
                data = _pack(at, seed.status, []) + write(seed.json)
                (folder / f"{at}-{number}").write_bytes(data)

    def try_one(self, data: bytes) -> None:
        """Judge what one input comes to."""
        head, content = _unpack(data)
        word = head[1] * 256 + head[2]
        status = word % _TOP_N
        hostile = HostileReply(
            content,
            status if 100 <= status <= 999 else 200,
            {
                HEADERS[name % len(HEADERS)]: HEADER_VALUES[value % len(HEADER_VALUES)]
                for name, value in zip(head[_HEAD::2], head[_HEAD + 1 :: 2], strict=True)
            },
            2 if word >= _TOP_N else None,
        )
        at = head[0] % len(self._targets)
        try:
            self._targets[at].judge(hostile)
        except BrokenPromiseError as error:
            self._report(list(self._cases)[at], str(error), hostile)

    def change(self, data: bytes, most: int, seed: int, mutate: Callable[..., bytes]) -> bytes:
        """Another input out of one, at most so long; `mutate` is libFuzzer's own change."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        head, content = _unpack(data)
        share = chance.random()
        if share < _OF_HEADS:
            head = _change_head(chance, head)
        elif share < _OF_HEADS + _OF_VALUES:
            with contextlib.suppress(ValueError, RecursionError):
                content = write(spoil(json.loads(content), _draw_steps(chance)))
        else:
            content = mutate(content, max(most - len(head), 1))
        return (head + content)[:most]

    def _report(self, case: str, fault: str, hostile: HostileReply) -> None:
        kind = re.sub(r"\d+", "0", fault)[:60]
        if kind not in self._found:
            self._found.add(kind)
            rest = (self._plugin, case, hostile.status, dict(hostile.headers), hostile.top_n)
            shown = hostile.content[:_SHOWN]
            sys.stdout.write(f"FINDING {fault}\n    {rest}\n    {shown!r}\n")
            sys.stdout.flush()


def _pack(case: int, status: int, headers: Sequence[tuple[int, int]]) -> bytes:
    pairs = [at for pair in headers for at in pair]
    return bytes([case, status // 256, status % 256, len(headers), *pairs])


def _unpack(data: bytes) -> tuple[bytes, bytes]:
    """What stands before the body, and the body."""
    count = data[_HEAD - 1] % _MOST_HEADERS if len(data) >= _HEAD else 0
    end = _HEAD + 2 * count
    return data[:end].ljust(end, b"\0"), data[end:]


def _change_head(chance: random.Random, head: bytes) -> bytes:
    status = chance.choice(chance.choice(_STATUSES)) + chance.choice([0, _TOP_N])
    count = chance.randrange(_MOST_HEADERS)
    headers = [(chance.randrange(256), chance.randrange(256)) for _ in range(count)]
    return _pack(chance.choice([head[0], chance.randrange(256)]), status, headers)


def _draw_steps(chance: random.Random) -> list[Step]:
    return [
        Step(
            chance.choice(OPERATIONS),
            chance.randrange(1000),
            chance.choice(VALUES),
            chance.choice(NAMES),
        )
        for _ in range(chance.randint(1, 3))
    ]
