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

from rerank_core import ConfigurationError, wire
from rerank_local._files import describe_content
from rerank_local._folder import Export, read_folder
from rerank_local._minilm import read_minilm
from rerank_local._options import Source
from rerank_local._session import KINDS, choose_output, find_problem, load_session, read_inputs

Array = npt.NDArray[Any]
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
        unknown_id: The token of whatever the tokenizer does not know; `None` where it has none.
    """

    export: Export
    session: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    kind: str
    output: str
    inputs: Mapping[str, type[np.generic]]
    pad_id: int
    unknown_id: int | None

    def knows_any(self, tokens: Array) -> bool:
        """Whether at least one of the tokens stands for something."""
        return bool((tokens != (-1 if self.unknown_id is None else self.unknown_id)).any())

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
        if problem := find_problem(self.output, output.shape, mask.shape):
            found = (
                f"found {list(output.shape)} for {mask.shape[0]} inputs of {mask.shape[1]} tokens"
            )
            message = f"{self.export.name}: {problem}, {found}"
            raise ConfigurationError(message)
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
    session = load_session(export, source)
    output = choose_output(session, export)
    return Model(
        export=evolve(export, model=b"", tokenizer=b""),  # loaded, so held no longer
        session=session,
        tokenizer=tokenizer,
        kind=KINDS[output],
        output=output,
        inputs=read_inputs(session, export),
        pad_id=padding.get("pad_id", 0) if export.pad_id is None else export.pad_id,
        unknown_id=_find_unknown(tokenizer, export),
    )


def _find_unknown(tokenizer: Any, export: Export) -> int | None:
    """The number of the unknown token; models of tokenizers name or number it."""
    stated = wire.decode_json(export.tokenizer)["model"]
    if isinstance(number := stated.get("unk_id"), int):
        return number
    name = stated.get("unk_token")
    return tokenizer.token_to_id(name) if isinstance(name, str) else None


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
