"""Exports and checkpoints score as sentence-transformers does, for every architecture."""

from __future__ import annotations

from typing import Any

import pytest

from rerank_core import rerank

KINDS = ("bert", "xlm-roberta", "deberta-v2", "modernbert", "qwen3")
CROSS = [
    f"{kind}-{labels}{prompt}" for kind in KINDS for labels in (1, 2) for prompt in ("", "-prompt")
]
CHAT = [f"qwen3-{labels}{prompt}-chat" for labels in (1, 2) for prompt in ("", "-prompt")]
BI = [f"{kind}-bi{prompt}" for kind in KINDS for prompt in ("", "-prompt")]


@pytest.mark.parametrize("name", [*CROSS, *CHAT, *BI])
def test_an_export_scores_as_the_library_does(cases: dict[str, Any], name: str) -> None:
    """Logits to 1e-4, cosines too; a document that is longer than the model takes among them."""
    case = cases[name]
    kind = "bi-encoder" if name in BI else "cross-encoder"

    response = rerank(
        "local/onnx", case["query"], case["documents"], model_path=case["folder"], kind=kind
    )
    found = {result.index: result.relevance_score for result in response.results}

    assert [found[at] for at in sorted(found)] == pytest.approx(case["logits"], rel=0, abs=1e-4)
    assert max(case["logits"]) - min(case["logits"]) > 0.05
    assert [said for said in response.warnings if said.startswith("1 of 6 documents were cut")]


@pytest.mark.parametrize("name", [*CROSS, *CHAT, *BI])
def test_a_checkpoint_scores_as_the_library_does(cases: dict[str, Any], name: str) -> None:
    """In torch, to 1e-5; its kind is found."""
    case = cases[name]

    assert case["in_torch"] == pytest.approx(case["predicted"], rel=0, abs=1e-5)
    assert case["in_torch_plain"] == pytest.approx(case["logits"], rel=0, abs=1e-5)
    assert case["kind"] == ("bi-encoder" if name in BI else "cross-encoder")


@pytest.mark.parametrize("name", CHAT)
def test_a_template_and_a_prompt_change_the_scores(cases: dict[str, Any], name: str) -> None:
    """So that equal scores say something."""
    assert cases[name]["logits"] != pytest.approx(cases[name.removesuffix("-chat")]["logits"])
