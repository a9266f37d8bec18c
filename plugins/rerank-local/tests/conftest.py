"""Exports of a kilobyte or two, whose scores can be computed by hand; words are tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "king", "fox", "red", "query", ":")
# Sums of these are exact, and tell which words they are made of.
WEIGHTS = {word: 2.0**at / 64 for at, word in enumerate(WORDS)}
# A word of the second text of a pair counts three times.
SECOND_TEXT = 3

WriteExport = Callable[..., Path]


def make_tokenizer() -> Tokenizer:
    """One word, one token; with padding and truncation that must be reset."""
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(max_length=4)
    return tokenizer


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


def _constant(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value), name)


def make_model(
    weights: Any, output: str, *, inputs: tuple[str, ...] = (), columns: Any = None
) -> onnx.ModelProto:
    """A model that looks words up: all of them, or their sum over the words of a text.

    Args:
        weights: A row for each word.
        output: Its name; `last_hidden_state` gives every word, any other the sum.
        inputs: Beside `input_ids`: those that count.
        columns: What the output's shape says of its last axis.
    """
    nodes = [_node("Gather", ["weights", "input_ids"], "words")]
    last = "words"
    if "attention_mask" in inputs:
        nodes += [
            _node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT),
            _node("Unsqueeze", ["mask", "last"], "mask3"),
            _node("Mul", [last, "mask3"], "masked"),
        ]
        last = "masked"
    if "token_type_ids" in inputs:
        nodes += [
            _node("Cast", ["token_type_ids"], "types", to=TensorProto.FLOAT),
            _node("Mul", ["types", "extra"], "more"),
            _node("Add", ["more", "one"], "share"),
            _node("Unsqueeze", ["share", "last"], "share3"),
            _node("Mul", [last, "share3"], "shared"),
        ]
        last = "shared"
    shape: list[Any] = ["n", "s", columns or len(weights[0])]
    if output == "last_hidden_state":
        nodes.append(_node("Identity", [last], output))
    else:
        nodes.append(_node("ReduceSum", [last, "second"], output, keepdims=0))
        del shape[1]
    graph = helper.make_graph(
        nodes,
        "words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "s"])
            for name in ("input_ids", *inputs)
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [
            _constant("weights", np.array(weights, np.float32)),
            _constant("last", np.array([2], np.int64)),
            _constant("second", np.array([1], np.int64)),
            _constant("extra", np.float32(SECOND_TEXT - 1)),
            _constant("one", np.float32(1)),
        ],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.fixture
def write_export(tmp_path: Path) -> WriteExport:
    """Writes a folder as sentence-transformers or Optimum would export it."""

    def write(
        weights: Any,
        output: str = "logits",
        *,
        name: str = "model.onnx",
        files: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Path:
        folder = tmp_path / "export"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(make_model(weights, output, **options), folder / name)
        make_tokenizer().save(str(folder / "tokenizer.json"))
        for file, content in {"config.json": {"pad_token_id": 0}, **(files or {})}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(json.dumps(content), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def weights() -> Mapping[str, float]:
    """What each word of the vocabulary weighs; the others are `[UNK]`."""
    return WEIGHTS


@pytest.fixture
def cross_encoder(write_export: WriteExport) -> Path:
    """A cross-encoder whose logit is the sum of its words' weights, the document's threefold."""
    table = [[WEIGHTS[word]] for word in WORDS]
    return write_export(table, inputs=("attention_mask", "token_type_ids"))


@pytest.fixture
def bi_encoder(write_export: WriteExport) -> Path:
    """A bi-encoder in which every word but the special ones has a direction of its own."""
    table = np.eye(len(WORDS))[:, 4:]
    return write_export(table, "last_hidden_state")
