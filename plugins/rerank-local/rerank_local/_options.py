"""What callers may say: options that choose a model, and parameters of a ranking, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from rerank_core import ConfigurationError, InvalidRequestError, wire
from rerank_local._checks import (
    MOST_THREADS,
    are_names,
    check,
    either,
    is_bool,
    is_name,
    is_number,
    is_path,
    is_positive,
    is_share,
    is_text,
    is_thread_count,
)

KINDS = ("cross-encoder", "bi-encoder")
ACTIVATIONS = ("none", "sigmoid")
FUSIONS = ("rrf", "weighted")
# Parameters of a ranking, by whom they concern; the lengths with their names in `Settings`.
BM25_PARAMS = ("k1", "b", "language", "stem")
TORCH_PARAMS = ("batch_size", "query_prompt", "document_prompt", "progress")
MODEL_PARAMS = (*TORCH_PARAMS, "document_suffix")
FUSION_PARAMS = ("fusion", "rrf_k", "weight")
LENGTH_PARAMS = {"max_chunks_per_doc": "max_chunks", "max_tokens_per_doc": "max_tokens"}
# Options of a connection: which model, and how it is run.
FOLDER_OPTIONS = ("model_path", "variant", "kind")
SESSION_OPTIONS = ("intra_op_num_threads", "enable_cpu_mem_arena", "providers")
TORCH_OPTIONS = ("kind", "activation", "device")
TORCH_PREFIX = "sentence-transformers:"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
Progress = Callable[[int, int], object]


@frozen
class Source:
    """Which model, and how it is run; one is loaded once per process.

    Attributes:
        folder: Where an export stands; `None` for the packaged MiniLM.
        variant: Another file than `model.onnx`.
        intra_op_num_threads: Threads of one computation; 0 leaves it to onnxruntime.
        enable_cpu_mem_arena: Whether onnxruntime keeps memory for the next computation.
        providers: Where onnxruntime computes, as the caller names it; nothing for the CPU.
    """

    folder: Path | None = None
    variant: str | None = None
    intra_op_num_threads: int = 0
    enable_cpu_mem_arena: bool = False
    providers: tuple[str, ...] = ()


@frozen(kw_only=True)
class Lexical:
    """The parameters of one ranking by BM25.

    Attributes:
        k1: How soon a repeated word stops counting, from 0.
        b: How much a document's length counts, from 0 to 1.
        language: Whose stop words are left out, and whose endings; `"none"` for neither.
        stem: Whether endings are left out, so that "wings" finds "wing"; `None` for where the
            extra `stemmer` is installed and knows the language.
    """

    k1: float = 1.5
    b: float = 0.75
    language: str = "english"
    stem: bool | None = None


@frozen(kw_only=True)
class Settings:
    """The parameters of one ranking by a model.

    Attributes:
        batch_size: The most inputs in one computation.
        max_tokens: The most tokens of a document; `None` for no bound but the model's.
        max_chunks: The most windows of a document.
        query_prompt: What stands before the query; `None` for what the export says.
        document_prompt: Likewise before a document.
        document_suffix: What stands behind each document, also where it is cut.
        progress: Called with documents done and all documents.
    """

    batch_size: int = 8
    max_tokens: int | None = None
    max_chunks: int = 1
    query_prompt: str | None = None
    document_prompt: str | None = None
    document_suffix: str | None = None
    progress: Progress | None = None


@frozen(kw_only=True)
class Fusion:
    """How two rankings become one.

    Attributes:
        fusion: By reciprocal rank, or by weighted scores.
        rrf_k: How little the first ranks stand out.
        weight: The model's share; BM25 has the rest.
    """

    fusion: Literal["rrf", "weighted"] = "rrf"
    rrf_k: float = 60
    weight: float = 0.5


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that cannot be meant.

    Raises:
        ConfigurationError: With the option's name, what it takes and what it was.
    """
    fail = ConfigurationError
    check(options, "model_path", is_path, "a folder", fail)
    check(options, "variant", is_name, "a name such as 'quantized'", fail)
    check(options, "kind", KINDS.__contains__, either(KINDS), fail)
    check(options, "activation", ACTIVATIONS.__contains__, either(ACTIVATIONS), fail)
    threads = f"an integer from 0 to {MOST_THREADS}"
    check(options, "intra_op_num_threads", is_thread_count, threads, fail)
    check(options, "enable_cpu_mem_arena", is_bool, "True or False", fail)
    check(options, "providers", are_names, "a name such as 'cuda', or a list of names", fail)
    check(options, "device", is_name, "a name such as 'cuda:0'", fail)
    if options.get("kind") == "bi-encoder" and options.get("activation") is not None:
        message = "activation is for a cross-encoder: a bi-encoder's score is a cosine"
        raise ConfigurationError(message)


def read_source(model: str, options: Mapping[str, Any]) -> Source:
    """The model that is meant.

    Raises:
        ConfigurationError: A folder is needed and not given, or given twice.
    """
    name, _, folder = model.partition(":")
    path = options.get("model_path")
    if folder and path is not None:
        message = f"the folder is given twice: as 'local/{model}' and as model_path={str(path)!r}"
        raise ConfigurationError(message)
    chosen = folder or path
    if chosen is None and name == "onnx":
        message = "no folder: write model='local/onnx:<folder>', or give model_path="
        raise ConfigurationError(message)
    return Source(
        folder=None if chosen is None else _locate(chosen),
        variant=options.get("variant"),
        **{**_pick(options, SESSION_OPTIONS), "providers": _name_all(options.get("providers"))},
    )


def read_checkpoint(model: str) -> str | None:
    """The folder or name of a checkpoint for sentence-transformers; `None` for other models."""
    return model.removeprefix(TORCH_PREFIX) if is_checkpoint(model) else None


def is_checkpoint(model: str) -> bool:
    """Whether a model is one of sentence-transformers: by that word, or by a name of the hub."""
    return (model.startswith(TORCH_PREFIX) and model != TORCH_PREFIX) or (
        ":" not in model and _HUB_NAME.fullmatch(model) is not None
    )


def _name_all(providers: str | Sequence[str] | None) -> tuple[str, ...]:
    return (providers,) if isinstance(providers, str) else tuple(providers or ())


def _locate(path: str | Path) -> Path:
    """The folder whole: models are kept by it, and the working directory may change."""
    try:
        return Path(path).expanduser().absolute()
    except (OSError, RuntimeError) as error:  # no such user, or the working directory is gone
        message = f"model_path: expected a folder, found {str(path)!r}: {error}"
        raise ConfigurationError(message) from error


def read_bm25(params: Mapping[str, Any]) -> Lexical:
    """The parameters of BM25; others are left to whom they concern.

    Raises:
        InvalidRequestError: With the parameter's name, what it takes and what it was.
    """
    fail = InvalidRequestError
    check(params, "k1", is_number, "a number from 0", fail)
    check(params, "b", is_share, "a number from 0 to 1", fail)
    check(params, "language", is_text, "a name such as 'english'", fail)
    check(params, "stem", is_bool, "True or False", fail)
    return Lexical(**_pick(params, BM25_PARAMS))


def read_settings(params: Mapping[str, Any]) -> Settings:
    """The parameters of a model's ranking; others are left to whom they concern.

    Raises:
        InvalidRequestError: With the parameter's name, what it takes and what it was.
    """
    fail = InvalidRequestError
    check(params, "batch_size", is_positive, "an integer from 1", fail)
    check(params, "query_prompt", is_text, "a string", fail)
    check(params, "document_prompt", is_text, "a string", fail)
    check(params, "document_suffix", is_text, "a string", fail)
    check(params, "progress", callable, "a function of two numbers", fail)
    lengths = wire.rename_params(params, LENGTH_PARAMS)
    return Settings(**lengths, **_pick(params, MODEL_PARAMS))


def read_fusion(params: Mapping[str, Any]) -> Fusion:
    """The parameters of a fusion; others are left to whom they concern.

    Raises:
        InvalidRequestError: With the parameter's name, what it takes and what it was.
    """
    fail = InvalidRequestError
    check(params, "fusion", FUSIONS.__contains__, either(FUSIONS), fail)
    check(params, "rrf_k", is_number, "a number from 0", fail)
    check(params, "weight", is_share, "a number from 0 to 1", fail)
    return Fusion(**_pick(params, FUSION_PARAMS))


def _pick(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}
