"""Where a call's instructions go that are not spent on sending: what a profile shows, counted.

`python tests/benchmarks/measure.py --only parts` counts and prints them. Each part is run few and
many times in two children of one process that valgrind watches, so that all else drops out of the
difference.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from benchmarks.clients import look_at_nothing
from benchmarks.payloads import KEY, MODEL, QUERY, documents, expected_index, expected_score
from benchmarks.workers import RUN, environ

COUNTS = {10: (20, 120), 1000: (5, 25)}  # of documents, and how often with few and with many
BASE = "http://127.0.0.1:9"
Part = Callable[[], object]
BARE = "the whole call, if no document, index or score were looked at"


def make_parts(count: int) -> Mapping[str, Part]:
    """Each part of a call of so many documents, ready to be run alone; the first is the whole."""
    core, orjson = import_module("rerank_core"), import_module("orjson")
    client, exchange, flow, wire = (
        import_module(f"rerank_core.{name}") for name in ("_client", "_exchange", "_flow", "wire")
    )
    sent = documents(count)
    rows = [
        {"index": expected_index(count, at), "relevance_score": expected_score(count, at)}
        for at in range(count)
    ]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    content = orjson.dumps({"id": "1", "results": rows, "meta": meta})
    reply = core.HTTPResponse(200, {"content-type": "application/json"}, content)
    driver = import_module("rerank_core._send.drivers").BlockingDriver
    driver._send = lambda *_: reply  # noqa: SLF001 - the one place where bytes go out

    model = f"cohere/{MODEL}"
    reranker = core.Reranker(model, api_key=KEY, api_base=BASE)
    arguments: dict[str, Any] = {
        **dict.fromkeys(("rank_fields", "max_chunks_per_doc", "max_tokens_per_doc")),
        "top_n": count,
        "return_documents": True,
        "extra": {},
    }
    (target,) = reranker._targets  # noqa: SLF001 - the parts are no public functions
    plan = reranker._plan(QUERY, sent, **arguments)  # noqa: SLF001 - likewise
    prepared = exchange.prepare(plan.call, target)
    (part,) = prepared.parts
    payload = wire.decode_json(content)
    page = exchange.read_payload(part, target, payload, reply)
    concluded = exchange.conclude(part, [page])
    usual = dict.fromkeys(("custom_llm_provider", "max_retries", "deadline", "extra_headers"))

    def whole() -> object:
        return core.rerank(model, QUERY, sent, top_n=count, api_key=KEY, api_base=BASE)

    return {
        "the whole call": whole,
        "find the `Reranker` that was made before": lambda: client._find_reranker(  # noqa: SLF001
            model, http_client=None, api_key=KEY, api_base=BASE, **usual
        ),
        "check the arguments": lambda: reranker._plan(QUERY, sent, **arguments),  # noqa: SLF001
        "choose the parameters, run `map_params` and `build_request`": lambda: exchange.prepare(
            plan.call, target
        ),
        "encode": lambda: flow.encode_json(part.work.body),
        "decode": lambda: wire.decode_json(content),
        "run `parse_response`, and check what it returns": lambda: exchange.read_payload(
            part, target, payload, reply
        ),
        "check every index and score": lambda: exchange.conclude(part, [page]),
        "sort, cut, and make the response": lambda: exchange.finish(prepared, [concluded]),
        "nothing": lambda: None,
        BARE: whole,
    }


def main(count: str) -> None:
    """Run every part in children of this process, and say which child ran what."""
    for name, part in make_parts(int(count)).items():
        if name == BARE:
            look_at_nothing()
        part()
        for times in COUNTS[int(count)]:
            child = os.fork()
            if not child:
                for _ in range(times):
                    part()
                print(f"PART {os.getpid()} {times} {name}", flush=True)
                os._exit(0)
            os.waitpid(child, 0)


def count_parts(python: str, count: int) -> dict[str, int]:
    """Instructions of each part, without the kernel's; what is left of the whole comes last.

    Args:
        python: The interpreter that has the packages.
        count: Of documents.
    """
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    run = [python, "-P", "-c", RUN.format("parts"), str(count)]
    ended = subprocess.run(  # noqa: S603 - our own
        [*tool, *run], capture_output=True, check=True, env=environ(), text=True, timeout=1500
    )
    counts = {
        child: int(refs.replace(",", ""))
        for child, refs in re.findall(r"==(\d+)== I\s+refs:\s+([\d,]+)", ended.stderr)
    }
    runs: dict[str, dict[str, int]] = {}
    for child, times, name in re.findall(r"^PART (\d+) (\d+) (.+)$", ended.stdout, re.MULTILINE):
        runs.setdefault(name, {})[times] = counts[child]
    few, more = COUNTS[count]
    each = {name: (run[f"{more}"] - run[f"{few}"]) // (more - few) for name, run in runs.items()}
    nothing = each.pop("nothing")
    each = {name: found - nothing for name, found in each.items()}
    whole, bare = each["the whole call"], each.pop(BARE)
    return each | {"the rest: driver and flow": 2 * whole - sum(each.values()), BARE: bare}


def in_order(found: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The whole, then the parts by what they cost, and last the whole with less to do."""
    (first, *others, last) = found.items()
    yield first
    yield from sorted(others, key=lambda part: -part[1])
    yield last
