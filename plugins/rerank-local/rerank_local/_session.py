"""Sessions of onnxruntime: where they compute, and whether a model's inputs and outputs fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rerank_core import ConfigurationError
from rerank_local._files import describe_content, describe_file
from rerank_local._folder import Export
from rerank_local._options import Source
from rerank_local._runtime import onnxruntime

# By preference: where an export has both, its own pooling is the right one.
KINDS = {
    "logits": "cross-encoder",
    "sentence_embedding": "bi-encoder",
    "last_hidden_state": "bi-encoder",
    "token_embeddings": "bi-encoder",
}
# n inputs, s tokens, d numbers.
_SHAPES = {
    "logits": "[n, 1]",
    "sentence_embedding": "[n, d]",
    "last_hidden_state": "[n, s, d]",
    "token_embeddings": "[n, s, d]",
}
_EXPECTED = (
    "unknown kind of model: expected an output `logits` [n, 1] or [n, 2] (a cross-encoder),"
    " `sentence_embedding` [n, d] or `last_hidden_state` [n, s, d] (a bi-encoder)"
)
_DTYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(bool)": np.bool_,
}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_LOGIT_COLUMNS, _TOKEN_AXES = (1, 2), 3
_ALIASES = {"directml": "dml", "gpu": "cuda", "trt": "tensorrt"}
_PACKAGES = {
    "cuda": "pip install onnxruntime-gpu, in place of onnxruntime",
    "tensorrt": "pip install onnxruntime-gpu, in place of onnxruntime",
    "dml": "pip install onnxruntime-directml, in place of onnxruntime, on Windows",
    "coreml": "onnxruntime on macOS",
}
_ERRORS_ONLY = 3


def load_session(export: Export, source: Source) -> Any:
    """A session of onnxruntime, on the CPU or where the caller says.

    Raises:
        ConfigurationError: The model cannot be loaded, or not there.
    """
    providers = _choose_providers(source.providers)
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = source.enable_cpu_mem_arena
    options.enable_mem_pattern = source.enable_cpu_mem_arena  # it plans for the arena
    options.intra_op_num_threads = source.intra_op_num_threads
    options.log_severity_level = _ERRORS_ONLY
    model = export.model
    try:
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=providers
        )
    except Exception as error:
        if isinstance(model, bytes):
            name, found = export.name, describe_content(model)
        else:
            name, found = str(model), describe_file(model)
        message = (
            f"{name}: expected an ONNX model that onnxruntime {onnxruntime.__version__} can load,"
            f" found {found}: {error}"
        )
        raise ConfigurationError(message) from error
    # It falls back to the CPU in silence where a library of the GPU is missing.
    if missing := [name for name in providers if name not in session.get_providers()]:
        message = (
            f"providers: onnxruntime has {missing[0]}, but cannot start it here: found"
            f" {', '.join(session.get_providers())}. Its libraries or its device are missing"
        )
        raise ConfigurationError(message)
    return session


def _choose_providers(names: Sequence[str]) -> list[str]:
    """Onnxruntime's names, as this installation has them."""
    available = onnxruntime.get_available_providers()
    whole = {name.removesuffix("ExecutionProvider").lower(): name for name in available}
    chosen = []
    for name in names or ("cpu",):
        short = name.lower().removesuffix("executionprovider")
        short = _ALIASES.get(short, short)
        if short not in whole:
            hint = f". It comes with {_PACKAGES[short]}" if short in _PACKAGES else ""
            message = (
                f"providers: {name!r} is not in this onnxruntime, which has"
                f" {', '.join(whole)}{hint}"
            )
            raise ConfigurationError(message)
        chosen.append(whole[short])
    return chosen


def choose_output(session: Any, export: Export) -> str:
    """The output that tells the kind.

    Raises:
        ConfigurationError: There is none, what it gives could not be read as a score, or the
            folder says that the model is another one.
    """
    shapes: dict[str, list[Any]] = {found.name: found.shape for found in session.get_outputs()}
    found = f"found {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
    output = next((name for name in KINDS if name in shapes), None)
    if problem := (
        _find_generative(shapes, export)
        or (find_problem(output, shapes[output]) if output else _EXPECTED)
        or _find_contradiction(KINDS[str(output)], export)
    ):
        message = f"{export.name}: {problem}, {found}"
        raise ConfigurationError(message)
    if output not in {"logits", "sentence_embedding"} and export.further_modules:
        message = (
            f"{export.name}: modules.json has {', '.join(export.further_modules)} behind the"
            f" pooling, expected an export with an output `sentence_embedding`, {found}"
        )
        raise ConfigurationError(message)
    return str(output)


def _find_generative(shapes: Mapping[str, Sequence[Any]], export: Export) -> str | None:
    """What a model that writes text is told; it has logits for each token of the vocabulary."""
    names = export.architecture
    if len(shapes.get("logits", ())) != _TOKEN_AXES or names.endswith("ForTokenClassification"):
        return None
    if names.endswith("ForMaskedLM"):
        return (
            "a masked language model, as of a sparse encoder, is no reranker: expected a"
            " cross-encoder or a bi-encoder"
        )
    return (
        "a generative reranker (a causal language model, whose logits for yes and no are the"
        " score) is not run here: convert it to sequence classification and export that, or serve"
        " it with vLLM or llama.cpp (providers hosted_vllm and llamacpp)"
    )


def find_problem(output: str, shape: Sequence[Any], rows: Sequence[int] = ()) -> str | None:
    """What is wrong with an output's shape, whose axes may be names before it runs.

    Args:
        output: Its name.
        shape: Its axes.
        rows: How many inputs there were, of how many tokens, once it has run.
    """
    if not shape and not rows:  # onnxruntime's word for an export that states no shape
        return None
    expected = _SHAPES[output]
    axes = expected.count(",") + 1
    known = zip(shape[: axes - 1], rows, strict=False)
    wrong = len(shape) != axes or any(
        isinstance(length, int) and length != count for length, count in known
    )
    if KINDS[output] == "cross-encoder":
        wrong = wrong or (isinstance(shape[-1], int) and shape[-1] not in _LOGIT_COLUMNS)
        return _EXPECTED if wrong else None
    if not wrong and shape[-1] == 1:
        return (
            f"expected {output} {expected} with vectors of two numbers or more, as every cosine"
            " of one is 1"
        )
    return f"expected {output} {expected}" if wrong else None


def _find_contradiction(kind: str, export: Export) -> str | None:
    """What a folder is told whose files say another kind than the outputs are."""
    stated = export.stated_kind
    if kind == "bi-encoder" and stated == "cross-encoder":
        return (
            "its files say that it is a cross-encoder, but the export lacks the head that gives"
            " the score: export it with `--task text-classification`. Expected an output `logits`"
        )
    if kind == "cross-encoder" and stated == "bi-encoder":
        return (
            "its files say that it is a bi-encoder, but the export gives logits: export it with"
            " `--task feature-extraction`. Expected `sentence_embedding` or `last_hidden_state`"
        )
    if stated is None and export.architecture.endswith("ForCausalLM"):
        return (
            "a causal language model without 1_Pooling/config.json does not say how its vectors"
            " are made: copy the file from the checkpoint, or, if it is a generative reranker,"
            " convert it to sequence classification"
        )
    return None


def read_inputs(session: Any, export: Export) -> dict[str, type[np.generic]]:
    """The inputs that a model wants, each with its type.

    Raises:
        ConfigurationError: One of them is not known.
    """
    inputs = {wanted.name: wanted.type for wanted in session.get_inputs()}
    unknown = [
        f"{name} {kind}"
        for name, kind in inputs.items()
        if name not in _INPUTS or kind not in _DTYPES
    ]
    if unknown or "input_ids" not in inputs:
        found = ", ".join(f"{name} {kind}" for name, kind in inputs.items())
        message = f"{export.name}: expected inputs among {', '.join(_INPUTS)}, found {found}"
        raise ConfigurationError(message)
    return {name: _DTYPES[kind] for name, kind in inputs.items()}
