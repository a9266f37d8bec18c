"""What a folder says about its model: the files that sentence-transformers and Optimum write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rerank_core import ConfigurationError
from rerank_local._chat import Chat, read_chat
from rerank_local._files import (
    find_beside,
    find_model,
    listing,
    read_json,
    read_object,
    read_stated,
)

DEFAULT_MAX_LENGTH = 512
POOLINGS = ("mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")
# As 1_Pooling/config.json calls them, in flags or in one word.
_POOLING_NAMES = {
    "cls_token": "cls",
    "mean_tokens": "mean",
    "max_tokens": "max",
    "weightedmean_tokens": "weightedmean",
}
_UNDERSTOOD_MODULES = {"Transformer", "Pooling", "Normalize"}
_QUERY_PROMPTS = ("query",)
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
# These number positions from after the padding token's, so that the first two are never used.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}


@frozen
class Export:
    """A model's files, read.

    Attributes:
        name: What messages call it.
        model: The ONNX file: its path, or its content.
        tokenizer: The content of `tokenizer.json`.
        max_length: The most tokens of one input, special ones included.
        lowers: Whether texts are put in small letters first.
        pad_id: The token that fills up; `None` for what the tokenizer says.
        pooling: How token vectors become one, for a bi-encoder; see `POOLINGS`.
        pools_prompt: Whether the prompt's tokens count in that.
        similarity: By what vectors are to be compared, where that can change their order.
        query_prompt: What stands before the query.
        document_prompt: What stands before each document.
        default_prompt: What stands before the query of a cross-encoder.
        chat: How a cross-encoder's pair is laid out, where that is no plain pair.
        further_modules: What sentence-transformers would compute after pooling.
        architecture: The first of its architectures.
        stated_kind: `"cross-encoder"` or `"bi-encoder"`, where the files say it.
        pools: Whether there is a file that says how to pool.
    """

    name: str
    model: Path | bytes = field(repr=False)
    tokenizer: bytes = field(repr=False)
    max_length: int = DEFAULT_MAX_LENGTH
    lowers: bool = False
    pad_id: int | None = None
    pooling: str = "mean"
    pools_prompt: bool = True
    similarity: str = "cosine"
    query_prompt: str = ""
    document_prompt: str = ""
    default_prompt: str = ""
    chat: Chat | None = None
    further_modules: tuple[str, ...] = ()
    architecture: str = ""
    stated_kind: str | None = None
    pools: bool = False


def read_folder(folder: Path, variant: str | None) -> Export:
    """Read a folder as sentence-transformers and Optimum export it.

    Args:
        folder: With `model.onnx` or `onnx/model.onnx`, `tokenizer.json`, `config.json`.
        variant: Another file than `model.onnx`: `"quantized"` for `model_quantized.onnx`.

    Raises:
        ConfigurationError: Something that is needed is not there, or not what it should be.
    """
    try:
        return _read_folder(folder, variant)
    except OSError as error:
        message = (
            "model_path: expected a folder with files that can be read, found"
            f" {error.strerror}: {error.filename}"
        )
        raise ConfigurationError(message) from error


def _read_folder(folder: Path, variant: str | None) -> Export:
    model = find_model(folder, variant)
    tokenizer = find_beside(model, folder, "tokenizer.json")
    if tokenizer is None:
        message = (
            f"{folder} has no tokenizer.json, found {listing(folder)}: export the model together"
            " with its (fast) tokenizer"
        )
        raise ConfigurationError(message)

    def read(name: str) -> Mapping[str, Any]:
        path = find_beside(model, folder, name)
        return {} if path is None else read_object(path)

    config, prompts = read("config.json"), read("config_sentence_transformers.json")
    where = f"{folder}: config_sentence_transformers.json"
    default = read_stated(prompts, "default_prompt_name", str, where)
    similarity = read_stated(prompts, "similarity_fn_name", str, where)
    sentence_bert = read("sentence_bert_config.json")
    pooling = read("1_Pooling/config.json")
    tokenizer_config = read("tokenizer_config.json")
    modules = read_modules(find_beside(model, folder, "modules.json"))
    architecture = _read_architecture(config)
    pad_id = read_stated(config, "pad_token_id", int, f"{folder}: config.json")
    return Export(
        name=str(folder),
        model=model,
        tokenizer=tokenizer.read_bytes(),
        max_length=_read_max_length(config, sentence_bert, tokenizer_config),
        lowers=sentence_bert.get("do_lower_case") is True,
        pad_id=pad_id,
        pooling=_read_pooling(pooling, folder),
        pools_prompt=pooling.get("include_prompt") is not False,
        # Vectors of one length have one order, whatever they are compared by.
        similarity="cosine" if similarity is None or "Normalize" in modules else similarity,
        default_prompt=_choose_prompt(prompts, (default,)),
        query_prompt=_choose_prompt(prompts, (*_QUERY_PROMPTS, default)),
        document_prompt=_choose_prompt(prompts, (*_DOCUMENT_PROMPTS, default)),
        chat=read_chat(
            folder,
            find_beside(model, folder, "chat_template.jinja"),
            {**read("special_tokens_map.json"), **tokenizer_config},
            sentence_bert,
        ),
        further_modules=tuple(name for name in modules if name not in _UNDERSTOOD_MODULES),
        architecture=architecture,
        stated_kind=_read_kind(prompts, modules, architecture, pools=bool(pooling)),
        pools=bool(pooling),
    )


def _read_max_length(
    config: Mapping[str, Any], sentence_bert: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> int:
    """The least of what the files say; a tokenizer without a limit says 10**30."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and str(config.get("model_type")) in _OFFSET_POSITIONS:
        positions -= (config.get("pad_token_id") or 0) + 1
    stated = (positions, sentence_bert.get("max_seq_length"), tokenizer.get("model_max_length"))
    limits = [limit for limit in stated if isinstance(limit, int) and 0 < limit < 10**9]
    return min(limits, default=DEFAULT_MAX_LENGTH)


def _read_pooling(pooling: Mapping[str, Any], folder: Path) -> str:
    if not pooling:
        return "mean"
    prefix, named = "pooling_mode_", pooling.get("pooling_mode")
    flags = [name.removeprefix(prefix) for name, value in pooling.items() if value is True]
    flags = [name for name in flags if prefix + name in pooling]
    modes = flags if named is None else named if isinstance(named, list) else [named]
    modes = [mode if isinstance(mode, str) else repr(mode) for mode in modes]
    known = [_POOLING_NAMES.get(mode, mode) for mode in modes]
    if len(known) != 1 or known[0] not in POOLINGS:
        message = (
            f"{folder}: 1_Pooling/config.json: expected one pooling of {', '.join(POOLINGS)},"
            f" found {', '.join(modes) or 'none'}"
        )
        raise ConfigurationError(message)
    return known[0]


def _choose_prompt(config: Mapping[str, Any], names: tuple[str | None, ...]) -> str:
    """The first prompt of these names that there is, else none."""
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return ""
    found = (prompts.get(name) for name in names)
    return next((prompt for prompt in found if isinstance(prompt, str)), "")


def read_modules(path: Path | None) -> tuple[str, ...]:
    """The modules of `modules.json`, by their names without the package's."""
    modules = read_json(path) if path else []
    return tuple(
        str(module.get("type")).rpartition(".")[2]
        for module in (modules if isinstance(modules, list) else [])
        if isinstance(module, dict)
    )


def _read_architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def _read_kind(
    prompts: Mapping[str, Any], modules: Sequence[str], architecture: str, *, pools: bool
) -> str | None:
    """Which kind the files say; what is written for sentence-transformers comes first."""
    stated = {"CrossEncoder": "cross-encoder", "SentenceTransformer": "bi-encoder"}
    if kind := stated.get(str(prompts.get("model_type"))):
        return kind
    if pools or "Pooling" in modules:
        return "bi-encoder"
    return "cross-encoder" if architecture.endswith("ForSequenceClassification") else None
