"""docs/servers.md, the presets of rerank-compatible and the servers themselves agree."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from rerank_compatible import PRESETS
from service import Service

from .plugins import BY_NAME, KEY, ROOT

COMPATIBLE = BY_NAME["compatible"]
_SECTION = re.compile(
    r"^## Servers and services for `compatible`\n(.*?)^## ", re.DOTALL | re.MULTILINE
)
_SETTING = re.compile(r"`(\w+)=([^`]+)`")


def _rows() -> dict[str, list[str]]:
    """The table's cells, by the server's name: preset, address, settings, remark."""
    text = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
    section = _SECTION.search(text)
    assert section
    lines = [line for line in section[1].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return {name: rest for name, *rest in cells if name != "server"}


ROWS = _rows()
WITH_PRESET = {
    preset.strip("`"): (address, settings, remark)
    for preset, address, settings, remark in ROWS.values()
    if preset
}
# The servers and services of the survey of November 2026: where a request goes, by which dialect.
# An address of one's own stands for a service that has none of everybody's.
SURVEY: list[tuple[dict[str, Any], str]] = [
    ({"preset": "llamacpp"}, "http://localhost:8080/v1/rerank"),
    ({"preset": "localai"}, "http://localhost:8080/v1/rerank"),
    ({"preset": "lemonade"}, "http://localhost:13305/v1/rerank"),
    ({"preset": "gpustack"}, "http://localhost/v1/rerank"),
    ({"preset": "sglang"}, "http://localhost:30000/v1/rerank"),
    ({"preset": "vllm"}, "http://localhost:8000/v1/rerank"),
    ({"preset": "infinity"}, "http://localhost:7997/rerank"),
    ({"preset": "tei"}, "http://localhost:8080/rerank"),
    (
        {
            "preset": "baseten",
            "api_base": "https://model-abc.api.baseten.co/environments/production/sync",
        },
        "https://model-abc.api.baseten.co/environments/production/sync/rerank",
    ),
    ({"preset": "xinference"}, "http://localhost:9997/v1/rerank"),
    ({"preset": "zhipu"}, "https://open.bigmodel.cn/api/paas/v4/rerank"),
    ({"preset": "qianfan"}, "https://qianfan.baidubce.com/v2/rerank"),
    ({"preset": "gitee_ai"}, "https://api.moark.com/v1/rerank"),
    ({"preset": "huawei_maas"}, "https://api.modelarts-maas.com/v1/rerank"),
    ({"preset": "novita"}, "https://api.novita.ai/openai/v1/rerank"),
    ({"preset": "ppio"}, "https://api.ppio.com/openai/v1/rerank"),
    ({"preset": "jiekou"}, "https://api.jiekou.ai/openai/v1/rerank"),
    ({"preset": "aihubmix"}, "https://aihubmix.com/v1/rerank"),
    ({"preset": "ai302"}, "https://api.302.ai/jina/v1/rerank"),
    ({"preset": "prime_intellect"}, "https://api.pinference.ai/api/v1/rerank"),
    (
        {"api_base": "https://mws.test/cohere/v2", "dialect": "cohere"},
        "https://mws.test/cohere/v2/rerank",
    ),
    (
        {"endpoint_url": "https://e.westus.inference.ml.azure.com/score", "dialect": "tei"},
        "https://e.westus.inference.ml.azure.com/score",
    ),
]


@pytest.mark.parametrize(("options", "url"), SURVEY, ids=lambda value: str(value)[:40])
def test_a_server_is_asked_where_it_listens(options: dict[str, Any], url: str) -> None:
    """And what it answers is read, in its dialect."""
    dialect = {**PRESETS.get(options.get("preset", ""), {}), **options}.get("dialect")
    rows = [{"index": at, "score": 0.5 - at / 8} for at in range(3)]
    if dialect == "cohere":
        rows = [{"index": row["index"], "relevance_score": row["score"]} for row in rows]
    service = Service(rows if dialect in {"tei", "sglang"} else {"results": rows})

    response = COMPATIBLE.ask(service, **{"api_base": None, **options})

    assert service.url == url
    assert [result.index for result in response.results] == [0, 1, 2]
    assert ("texts" in service.body) is (dialect == "tei")
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_every_preset_stands_in_the_survey_and_in_the_documentation() -> None:
    """And none beside them."""
    assert {options["preset"] for options, _ in SURVEY if "preset" in options} == {*PRESETS}
    assert {*WITH_PRESET} == {*PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_the_documentation_says(preset: str) -> None:
    """Its address, its settings, and the variable of its key."""
    address, settings, remark = WITH_PRESET[preset]
    said: dict[str, Any] = {
        name: ast.literal_eval(text) for name, text in _SETTING.findall(settings)
    }
    stated = dict(PRESETS[preset])
    variable = stated.pop("api_key_env", None)

    if "api_base" in stated:
        said["api_base"] = address.strip("`")
    assert {name: list(v) if isinstance(v, tuple) else v for name, v in stated.items()} == said
    assert variable is None or f"`{variable}`" in remark
    assert (variable is None) is ("_API_KEY`" not in remark)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row[0]])
def test_settings_without_a_preset_are_options_of_the_plugin(name: str) -> None:
    """Nobody copies one that is refused."""
    options = {option for option, _ in re.findall(r"`(\w+)=([^`]*)`", " ".join(ROWS[name]))}

    assert options <= {*COMPATIBLE.facts.options, "api_base", "api_key"}, name
