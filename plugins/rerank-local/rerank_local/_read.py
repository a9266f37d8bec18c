"""Scores and vectors read from what a model gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core import ConfigurationError
from rerank_local._encode import Template
from rerank_local._onnx import Model

Array = npt.NDArray[Any]


def read_logits(activation: str | None, output: Array, mask: Array) -> Array:
    """The one logit, or by how much the second of two is greater, which softmax ranks by."""
    del mask
    if output.ndim != 2 or output.shape[1] not in {1, 2}:  # noqa: PLR2004 - rows and columns
        message = f"expected logits [n, 1] or [n, 2], found {list(output.shape)}"
        raise ConfigurationError(message)
    logits = output.astype(np.float64)
    values: Array = logits[:, -1] - (logits[:, 0] if logits.shape[1] > 1 else 0)
    return np.exp(-np.logaddexp(0, -values)) if activation == "sigmoid" else values


def embed(model: Model, template: Template, output: Array, mask: Array) -> Array:
    """Vectors of length 1."""
    vectors = output.astype(np.float32, copy=False)
    if model.output != "sentence_embedding":
        if template.prompt and not model.export.pools_prompt:
            # As long as the prompt is alone, as sentence-transformers has it.
            mask[:, : len(template.head) + len(template.prompt_ids)] = False
        vectors = pool(vectors, mask, model.export.pooling)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Array = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit


def pool(states: Array, mask: Array, pooling: str) -> Array:
    """One vector for each row of token vectors, up to its length, which a cosine ignores."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "max":
        greatest: Array = np.where(mask[:, :, None], states, np.float32(-np.inf)).max(axis=1)
        return greatest
    places = np.arange(1, mask.shape[1] + 1)
    if pooling == "lasttoken":
        last: Array = states[np.arange(len(states)), (mask * places).argmax(axis=1)]
        return last
    weights = (mask * places if pooling == "weightedmean" else mask).astype(np.float32)
    total: Array = np.matmul(weights[:, None, :], states)[:, 0]
    return total
