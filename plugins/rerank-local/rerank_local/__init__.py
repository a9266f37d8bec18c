"""Reranking in this process: no key, and no network but for a model that the hub is asked for.

`local/bm25` is lexical. `local/onnx:<folder>` runs a cross-encoder or a bi-encoder exported to
ONNX, `local/minilm` a small one that comes as a package, and `local/hybrid` fuses either with
BM25. A name of the model hub, such as `local/cross-encoder/ms-marco-MiniLM-L6-v2`, is run by
sentence-transformers where that is installed. https://github.com/xhluca/bm25s, https://onnxruntime.ai/docs/api/python/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    Compute,
    ConfigurationError,
    Meta,
    Provider,
    RerankRequest,
    RerankResponse,
    RerankResult,
    Tokens,
    hookimpl,
    wire,
)
from rerank_local._compute import compute_of
from rerank_local._options import (
    BM25_PARAMS,
    FOLDER_OPTIONS,
    FUSION_PARAMS,
    LENGTH_PARAMS,
    MODEL_PARAMS,
    SESSION_OPTIONS,
    TORCH_OPTIONS,
    TORCH_PARAMS,
    check_options,
    is_checkpoint,
)

# BM25 is listwise: a word's weight depends on how many documents have it.
_FACTS: Mapping[str, Mapping[str, Any]] = {
    "bm25": {"extra_params": BM25_PARAMS, "listwise": True, "takes_blank_documents": True},
    "minilm": {
        "params": LENGTH_PARAMS,
        "extra_params": MODEL_PARAMS,
        "options": SESSION_OPTIONS,
        "max_tokens": 256,
    },
    "hybrid": {
        "params": LENGTH_PARAMS,
        "extra_params": (*BM25_PARAMS, *MODEL_PARAMS, *FUSION_PARAMS),
        "options": (*FOLDER_OPTIONS, *SESSION_OPTIONS),
        "listwise": True,
    },
    "onnx": {
        "params": LENGTH_PARAMS,
        "extra_params": MODEL_PARAMS,
        "options": (*FOLDER_OPTIONS, "activation", *SESSION_OPTIONS),
        "score_kind": "logit",
    },
    # What a checkpoint's own activation makes of a score is not known before it is loaded.
    "sentence-transformers": {"extra_params": TORCH_PARAMS, "options": TORCH_OPTIONS},
}
_MODELS = tuple(_FACTS)
_CHECKPOINTS = "sentence-transformers:<folder>, or a name of the hub"


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State the facts of the models in this process; those of all of them without a model."""
    name, colon, folder = model.partition(":")
    if is_checkpoint(model):
        name, colon = "sentence-transformers", ""
    takes_folder = "model_path" in _FACTS.get(name, {}).get("options", ())
    if model and (
        name not in _FACTS
        or (colon and not (folder and takes_folder))
        or model == "sentence-transformers"
    ):
        known = ", ".join((*_MODELS[:-1], "onnx:<folder>", "hybrid:<folder>", _CHECKPOINTS))
        message = f"local has no model {model!r}; it has: {known}"
        raise ConfigurationError(message)
    check_options(options)
    stated = [_FACTS[name]] if name else [*_FACTS.values()]
    facts = {**stated[0], **_read_score_kind(options)}
    for table in ("params", "extra_params"):
        facts[table] = {name: name for facts in stated for name in facts.get(table, ())}
    facts["options"] = {name: () for facts in stated for name in facts.get("options", ())}
    return Provider(
        name="local",
        docs_url="https://github.com/xhluca/bm25s",
        api_key_required=False,
        auth=None,
        models=_MODELS[:-1],
        **facts,
    )


def _read_score_kind(options: Mapping[str, Any]) -> dict[str, str]:
    """What the options say of the scores; what a folder holds is not known before it is read."""
    stated = {"sigmoid": "probability", "none": "logit"}
    if kind := stated.get(str(options.get("activation"))):
        return {"score_kind": kind}
    return {"score_kind": "opaque"} if options.get("kind") == "bi-encoder" else {}


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """The names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(request: RerankRequest, params: Mapping[str, Any]) -> Compute:
    """Score in this process; models are loaded when the function runs."""
    return compute_of(request, params)


@hookimpl
def parse_response(payload: Mapping[str, Any]) -> RerankResponse:
    """Number the scores, which are in the order of the documents."""
    results = [RerankResult(at, score) for at, score in enumerate(payload["scores"])]
    tokens = Tokens(input_tokens=payload.get("input_tokens"))
    warnings = wire.read_strings(payload.get("warnings"))
    return RerankResponse(results, meta=Meta(tokens=tokens), warnings=warnings)
