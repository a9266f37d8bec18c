"""ONNX models: loaded once per process, and which kind they are."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from attrs import evolve, field, frozen

from rerank_core import ConfigurationError
from rerank_local._folder import Export, describe_content, describe_file, read_folder
from rerank_local._minilm import read_minilm
from rerank_local._options import Source
from rerank_local._runtime import onnxruntime

Array = npt.NDArray[Any]
# By preference: where an export has both, its own pooling is the right one.
_KINDS = {
    "logits": "cross-encoder",
    "sentence_embedding": "bi-encoder",
    "last_hidden_state": "bi-encoder",
    "token_embeddings": "bi-encoder",
}
_DTYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(bool)": np.bool_,
}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_LOGIT_AXES, _LOGIT_COLUMNS = 2, (1, 2)
_ERRORS_ONLY = 3

_loaded: dict[tuple[int, Source], Model] = {}
_loading = threading.Lock()


def _renew_lock() -> None:
    """Whoever held the lock when the process forked, is not there to release it."""
    global _loading  # noqa: PLW0603 - one per process
    _loading = threading.Lock()


# Windows has no fork.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_renew_lock)


@frozen(eq=False)
class Model:
    """A model ready to run, from any number of threads.

    Attributes:
        export: What its files say.
        session: onnxruntime's.
        tokenizer: Without padding and truncation.
        kind: `"cross-encoder"` or `"bi-encoder"`.
        output: The output that is read.
        inputs: The inputs that it wants, each with its type.
        pad_id: The token that fills up.
    """

    export: Export
    session: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    kind: str
    output: str
    inputs: Mapping[str, type[np.generic]]
    pad_id: int

    def run(self, rows: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
        """The output for rows of token ids and their types, and the mask of what is no padding.

        Raises:
            ConfigurationError: The model cannot take this.
        """
        lengths = np.array([len(ids) for ids, _ in rows])
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        whole: dict[str, Array] = {
            "input_ids": np.full(mask.shape, self.pad_id, np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros(mask.shape, np.int64),
            "position_ids": np.broadcast_to(columns, mask.shape),
        }
        for at, (ids, types) in enumerate(rows):
            whole["input_ids"][at, : len(ids)] = ids
            whole["token_type_ids"][at, : len(ids)] = types
        feed = {name: whole[name].astype(dtype) for name, dtype in self.inputs.items()}
        try:
            (output,) = self.session.run([self.output], feed)
        except Exception as error:
            message = (
                f"{self.export.name}: the model cannot compute {mask.shape[0]} inputs of"
                f" {mask.shape[1]} tokens (was it exported with dynamic axes?): {error}"
            )
            raise ConfigurationError(message) from error
        return output, mask


def load_model(source: Source) -> Model:
    """The model of a source; loaded the first time, and again in a process that was forked.

    Raises:
        ConfigurationError: It cannot be loaded: what was expected, and what was found.
    """
    # A session's threads do not live on in a forked process, where it would wait for them.
    key = (os.getpid(), source)
    model = _loaded.get(key)
    if model is None:
        with _loading:
            model = _loaded.get(key)
            if model is None:  # pragma: no branch - two threads at once
                model = _loaded[key] = _load(source)
    return model


def _load(source: Source) -> Model:
    folder = source.folder
    export = read_minilm() if folder is None else read_folder(folder, source.variant)
    tokenizer = _load_tokenizer(export)
    padding = tokenizer.padding or {}
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if export.lowers:
        steps = [tokenizers.normalizers.Lowercase(), tokenizer.normalizer]
        tokenizer.normalizer = tokenizers.normalizers.Sequence([step for step in steps if step])
    session = _load_session(export, source)
    output = _choose_output(session, export)
    return Model(
        export=evolve(export, model=b"", tokenizer=b""),  # loaded, so held no longer
        session=session,
        tokenizer=tokenizer,
        kind=_KINDS[output],
        output=output,
        inputs=_read_inputs(session, export),
        pad_id=padding.get("pad_id", 0) if export.pad_id is None else export.pad_id,
    )


def _load_tokenizer(export: Export) -> Any:
    try:
        return tokenizers.Tokenizer.from_str(export.tokenizer.decode())
    except Exception as error:
        found = describe_content(export.tokenizer)
        message = (
            f"{export.name}: tokenizer.json: expected a tokenizer as the package `tokenizers`"
            f" writes it, found {found}: {error}"
        )
        raise ConfigurationError(message) from error


def _load_session(export: Export, source: Source) -> Any:
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = source.enable_cpu_mem_arena
    options.enable_mem_pattern = source.enable_cpu_mem_arena  # it plans for the arena
    options.intra_op_num_threads = source.intra_op_num_threads
    options.log_severity_level = _ERRORS_ONLY
    model = export.model
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=["CPUExecutionProvider"],
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


def _choose_output(session: Any, export: Export) -> str:
    """The output that tells the kind.

    Raises:
        ConfigurationError: There is none, or what it says could not be read as a score.
    """
    shapes: dict[str, list[Any]] = {found.name: found.shape for found in session.get_outputs()}
    found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    output = next((name for name in _KINDS if name in shapes), None)
    if output is None or (output == "logits" and not _is_one_score(shapes[output])):
        message = (
            f"{export.name}: unknown kind of model: expected an output `logits` [n, 1] or [n, 2]"
            " (a cross-encoder), `sentence_embedding` or `last_hidden_state` (a bi-encoder),"
            f" found {found}"
        )
        raise ConfigurationError(message)
    if output not in {"logits", "sentence_embedding"} and export.further_modules:
        message = (
            f"{export.name}: modules.json has {', '.join(export.further_modules)} behind the"
            f" pooling, expected an export with an output `sentence_embedding`, found {found}"
        )
        raise ConfigurationError(message)
    return output


def _is_one_score(shape: Sequence[Any]) -> bool:
    """Whether logits can be one score for each row; an axis may be a name, known when it runs."""
    return len(shape) == _LOGIT_AXES and (
        not isinstance(shape[1], int) or shape[1] in _LOGIT_COLUMNS
    )


def _read_inputs(session: Any, export: Export) -> dict[str, type[np.generic]]:
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
