"""Checkpoints run by sentence-transformers, in torch, on whatever device that finds.

https://sbert.net/docs/package_reference/cross_encoder/model.html
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from math import exp
from pathlib import Path
from typing import Any

from rerank_core import ConfigurationError
from rerank_local._options import Settings
from rerank_local._progress import tell

_loaded: dict[tuple[str, str | None, str | None], tuple[str, Any]] = {}
_loading = threading.Lock()


def _renew_lock() -> None:
    """Whoever held the lock when the process forked, is not there to release it."""
    global _loading  # noqa: PLW0603 - one per process
    _loading = threading.Lock()


# Windows has no fork.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_renew_lock)
# Below it, `exp` overflows.
_LEAST = -700
_BI_ENCODERS = "sentence-transformers/"
_CROSS_ENCODERS = ("ForSequenceClassification", "ForCausalLM")


def torch_steps(
    name: str,
    query: str,
    documents: Sequence[str],
    settings: Settings,
    options: Mapping[str, Any],
) -> Generator[None, None, dict[str, Any]]:
    """Score documents as `CrossEncoder.predict` or two vectors' cosine would, batch by batch.

    Args:
        name: A folder, or a name of the hub.
        query: What is looked for.
        documents: What is scored.
        settings: The parameters of the ranking.
        options: The kind, the activation and the device.

    Raises:
        ConfigurationError: The checkpoint cannot be loaded, or gives no score.
    """
    kind, model = _load(name, options.get("kind"), options.get("device"))
    yield
    bi_encoder = kind == "bi-encoder"
    if bi_encoder and options.get("activation") is not None:
        message = f"{name} is a bi-encoder: its scores are cosines, without activation"
        raise ConfigurationError(message)
    make = _read_cosines if bi_encoder else _read_predictions
    before = settings.document_prompt or ""
    texts = documents if bi_encoder else [before + document for document in documents]
    score = make(model, query, settings, options)
    scores = [0.0] * len(texts)
    tell(settings, 0, len(texts))
    order = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
    for start in range(0, len(order), settings.batch_size):
        batch = order[start : start + settings.batch_size]
        for at, value in zip(batch, score([texts[at] for at in batch]), strict=True):
            scores[at] = value
        tell(settings, start + len(batch), len(texts))
        yield
    cut = _count_cut(model, texts if bi_encoder else [[query, text] for text in texts])
    said = (
        f"{cut} of {len(texts)} documents were cut: the model takes {model.max_seq_length} tokens"
        " at a time. Exported for local/onnx, max_chunks_per_doc ranks all of their text"
    )
    return {"scores": scores, "kind": kind, "warnings": [said] if cut else []}


def _load(name: str, kind: str | None, device: str | None) -> tuple[str, Any]:
    """The kind of a checkpoint and its model; loaded once per process."""
    key = (name, kind, device)
    with _loading:
        if key not in _loaded:
            _loaded[key] = _load_new(name, kind, device)
        return _loaded[key]


def _load_new(name: str, kind: str | None, device: str | None) -> tuple[str, Any]:
    try:
        import sentence_transformers  # noqa: PLC0415 - an extra, and it brings torch in
    except ImportError as error:
        raise ConfigurationError(_say_how_to_run(name, error)) from error
    folder = Path(name).expanduser()
    place = str(folder.absolute()) if folder.is_dir() else name
    try:
        found = kind or _read_kind(place)
        loader = {
            "cross-encoder": sentence_transformers.CrossEncoder,
            "bi-encoder": sentence_transformers.SentenceTransformer,
        }[found]
        return found, loader(place, device=device)
    except Exception as error:  # whatever files, torch and the hub may do
        message = f"local/{name}: sentence-transformers cannot load it: {error}"
        raise ConfigurationError(message) from error


def _say_how_to_run(name: str, error: Exception) -> str:
    task = "feature-extraction" if name.startswith(_BI_ENCODERS) else "text-classification"
    folder = f"{Path(name).name}-onnx"
    return (
        f"local/{name} needs pip install 'rerank-local[sentence-transformers]', which brings torch"
        f" ({error}). Without torch here, export the model once, anywhere:\n"
        "    pip install 'optimum-onnx[onnxruntime]'\n"
        f"    optimum-cli export onnx --model {name} --task {task} {folder}\n"
        f"and name its folder: local/onnx:{folder}"
    )


def _read_kind(place: str) -> str:
    """Which kind a checkpoint says it is."""
    from sentence_transformers.util import load_file_path  # noqa: PLC0415 - an extra

    def read(file: str) -> Any:
        path = load_file_path(place, file)
        return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}

    stated = {"CrossEncoder": "cross-encoder", "SentenceTransformer": "bi-encoder"}
    if kind := stated.get(read("config_sentence_transformers.json").get("model_type")):
        return kind
    if any(str(module["type"]).endswith("Pooling") for module in read("modules.json")):
        return "bi-encoder"
    (architecture, *_) = read("config.json").get("architectures") or [""]
    return "cross-encoder" if architecture.endswith(_CROSS_ENCODERS) else "bi-encoder"


def _read_predictions(
    model: Any, query: str, settings: Settings, options: Mapping[str, Any]
) -> Any:
    """What gives the scores of some documents; of two labels, by how much the second is more."""
    functions: Mapping[str, Any] = {
        "none": lambda scores: scores,
        "sigmoid": lambda scores: scores.sigmoid(),
    }
    activation = options.get("activation")
    # Of two labels the difference is taken first, as local/onnx does.
    chosen = functions[activation] if activation and model.num_labels == 1 else None
    sigmoid = activation == "sigmoid"
    if model.num_labels > 2:  # noqa: PLR2004 - one score, or one for each of two labels
        message = f"expected a cross-encoder with one label or two, found {model.num_labels}"
        raise ConfigurationError(message)

    def score(texts: list[str]) -> list[float]:
        found = model.predict(
            [(query, text) for text in texts],
            batch_size=len(texts),
            show_progress_bar=False,
            activation_fn=chosen,
            prompt=settings.query_prompt,
        )
        if found.ndim == 1:
            return found.tolist()  # type: ignore[no-any-return]
        differences = (found[:, 1] - found[:, 0]).tolist()
        return [1 / (1 + exp(-max(d, _LEAST))) for d in differences] if sigmoid else differences

    return score


def _read_cosines(model: Any, query: str, settings: Settings, options: Mapping[str, Any]) -> Any:
    """What gives the cosines of some documents with the query."""
    del options
    encode = {"show_progress_bar": False, "normalize_embeddings": True}
    vector = model.encode_query(query, prompt=settings.query_prompt, **encode)
    document = partial(model.encode_document, prompt=settings.document_prompt, **encode)

    def score(texts: list[str]) -> list[float]:
        return (document(texts, batch_size=len(texts)) @ vector).tolist()  # type: ignore[no-any-return]

    return score


def _count_cut(model: Any, texts: Sequence[Any]) -> int:
    """How many texts, or pairs, are longer than the model takes; without prompt and template."""
    if not model.max_seq_length:
        return 0
    encoded = model.tokenizer(list(texts), truncation=False, verbose=False)
    return sum(len(ids) > model.max_seq_length for ids in encoded["input_ids"])
