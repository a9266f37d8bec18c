"""Where fuzzing starts: for each plugin its cases, and the replies that its service sends."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from rerank_core.testing import CANARY, Case

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "fixtures" / "captures"
PLUGINS = tuple(
    sorted(
        path.parent.name.removeprefix("rerank-")
        for path in (ROOT / "plugins").glob("rerank-*/pyproject.toml")
        if "rerank_core.providers" in path.read_text(encoding="utf-8")
    )
)
# Captures are called by the name that litellm has for a provider.
_CAPTURED_AS = {"vllm": "hosted_vllm"}


@frozen
class Seed:
    """One reply."""

    status: int
    headers: Mapping[str, str]
    json: Any


@functools.cache
def cases_of(plugin: str) -> Mapping[str, Case]:
    """The cases that the plugin's own tests state, by their names."""
    module = "test_" + plugin.replace("-", "_")
    path = ROOT / "plugins" / f"rerank-{plugin}" / "tests" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"fuzz_{module}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return {name: value for name, value in vars(loaded).items() if isinstance(value, Case)}


def seeds_of(plugin: str, case: Case, documents: Sequence[str]) -> list[Seed]:
    """Replies that the service sends: documented ones, made ones, and those of real servers."""
    ranked = [(at, 0.75 - at / 8) for at in range(len(documents))]
    bodies = [
        case.encode(ranked, documents, None),
        case.encode(ranked[::-1], documents, None),
        case.encode([(at, 0.5) for at, _ in ranked], documents, None),
        case.encode(ranked[:2], documents, 2),
        case.example.reply,
    ]
    seeds = [Seed(200, {}, body) for body in bodies]
    echo = case.encode_error(f"the key {CANARY} is wrong")
    seeds += [Seed(status, {}, echo) for status in (400, 401, 429, 503)]
    if case.error_in_200 is not None:
        seeds.append(Seed(200, {}, case.error_in_200))
    return seeds + _captured(plugin)


def _captured(plugin: str) -> list[Seed]:
    seeds = []
    name = _CAPTURED_AS.get(plugin, plugin.replace("-", "_"))
    for path in sorted(CAPTURES.glob(f"{name}-*.json")):
        reply = json.loads(path.read_bytes()).get("response")
        if reply is not None:
            seeds.append(Seed(reply["status"], reply.get("headers", {}), reply["json"]))
    return seeds
