"""What a folder says about its model: the files that sentence-transformers and Optimum write."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rerank_core import ConfigurationError, ResponseParseError, wire

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
        query_prompt: What stands before the query.
        document_prompt: What stands before each document.
        further_modules: What sentence-transformers would compute after pooling.
    """

    name: str
    model: Path | bytes = field(repr=False)
    tokenizer: bytes = field(repr=False)
    max_length: int = DEFAULT_MAX_LENGTH
    lowers: bool = False
    pad_id: int | None = None
    pooling: str = "mean"
    pools_prompt: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    further_modules: tuple[str, ...] = ()


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
    tokenizer = _find_beside(model, folder, "tokenizer.json")
    if tokenizer is None:
        message = (
            f"{folder} has no tokenizer.json, found {_listing(folder)}: export the model together"
            " with its (fast) tokenizer"
        )
        raise ConfigurationError(message)

    def read(name: str) -> Mapping[str, Any]:
        path = _find_beside(model, folder, name)
        return {} if path is None else _read_object(path)

    config, prompts = read("config.json"), read("config_sentence_transformers.json")
    where = f"{folder}: config_sentence_transformers.json"
    default = _read_stated(prompts, "default_prompt_name", str, where)
    sentence_bert = read("sentence_bert_config.json")
    pooling = read("1_Pooling/config.json")
    pad_id = _read_stated(config, "pad_token_id", int, f"{folder}: config.json")
    return Export(
        name=str(folder),
        model=model,
        tokenizer=tokenizer.read_bytes(),
        max_length=_read_max_length(config, sentence_bert, read("tokenizer_config.json")),
        lowers=sentence_bert.get("do_lower_case") is True,
        pad_id=pad_id,
        pooling=_read_pooling(pooling, folder),
        pools_prompt=pooling.get("include_prompt") is not False,
        query_prompt=_choose_prompt(prompts, (*_QUERY_PROMPTS, default)),
        document_prompt=_choose_prompt(prompts, (*_DOCUMENT_PROMPTS, default)),
        further_modules=_read_modules(_find_beside(model, folder, "modules.json")),
    )


def find_model(folder: Path, variant: str | None) -> Path:
    """The ONNX file of a folder.

    Raises:
        ConfigurationError: There is no such folder or file, or more than one to choose from.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        message = f"model_path: expected a folder with model.onnx at {folder}, found {found}"
        raise ConfigurationError(message)
    paths = [*sorted(folder.glob("*.onnx")), *sorted(folder.glob("onnx/*.onnx"))]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    wanted = (
        ["model.onnx"]
        if variant is None
        else [f"model_{variant}.onnx", f"{variant}.onnx", str(variant)]
    )
    for name in wanted:
        for place in (name, f"onnx/{name}"):
            if place in names:
                return names[place]
    if variant is None and len(paths) == 1:  # as a quantising tool leaves it: only its own
        return paths[0]
    expected = (
        "model.onnx or onnx/model.onnx" if variant is None else f"{wanted[0]} or onnx/{wanted[0]}"
    )
    choice = "; choose with variant=" if names else ""
    message = f"{folder}: expected {expected}, found {', '.join(names) or _listing(folder)}{choice}"
    raise ConfigurationError(message)


def _listing(folder: Path) -> str:
    """A few of the files there are, for messages."""
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""  # noqa: PLR2004 - one line
    return f"{', '.join(names[:8])}{more}" if names else "an empty folder"


def _find_beside(model: Path, folder: Path, name: str) -> Path | None:
    """A file of the export: in the folder, or where the model is."""
    return next((at / name for at in (folder, model.parent) if (at / name).is_file()), None)


def _read_json(path: Path) -> Any:
    content = path.read_bytes()
    try:
        return wire.decode_json(content.removeprefix(BOM_UTF8))
    except ResponseParseError as error:
        message = f"{path}: expected JSON, found {describe_content(content)}"
        raise ConfigurationError(message) from error


def _read_stated(config: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    """What a file says of something; `None` where it says nothing."""
    value = config.get(name)
    if value is not None and not isinstance(value, kind):
        message = f"{where}: expected {name} to be of type {kind.__name__}, found {value!r}"
        raise ConfigurationError(message)
    return value


def _read_object(path: Path) -> Mapping[str, Any]:
    value = _read_json(path)
    if not isinstance(value, dict):
        message = f"{path}: expected a JSON object, found {type(value).__name__}"
        raise ConfigurationError(message)
    return value


def describe_file(path: Path) -> str:
    """How a file begins, or why it cannot be read, for messages."""
    try:
        return describe_content(path.read_bytes())
    except OSError as error:
        return "a folder" if path.is_dir() else f"a file that cannot be read ({error.strerror})"


def describe_content(content: bytes) -> str:
    """How a file begins, for messages: an error page and a Git LFS pointer show themselves."""
    return f"{len(content):,} bytes that begin {content[:40]!r}" if content else "an empty file"


def _read_max_length(
    config: Mapping[str, Any], sentence_bert: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> int:
    """The least of what the files say; a tokenizer without a limit says 10**30."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET_POSITIONS:
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


def _read_modules(path: Path | None) -> tuple[str, ...]:
    """The modules of `modules.json` that are not computed here."""
    modules = _read_json(path) if path else []
    types = [
        str(module.get("type")).rpartition(".")[2]
        for module in (modules if isinstance(modules, list) else [])
        if isinstance(module, dict)
    ]
    return tuple(name for name in types if name not in _UNDERSTOOD_MODULES)
