"""The programs that measure local models run, and end badly where a model is worse than it was."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cranfield import read_topics
from benchmarks.local_models import RANKERS, judge_quality, judge_speed
from benchmarks.minilm_reference import LAYERS, split_words

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "local-models.md"
HIDDEN = 24


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As it is run from anywhere, without the settings of the tests."""
    command = [sys.executable, str(HERE / program), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own


PROGRAMS = ("local_models.py", "measure.py", "minilm_reference.py")


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_how_it_is_used(program: str) -> None:
    """So what it imports is found, whatever the working directory is."""
    ended = run(program, "--help")

    assert ended.returncode == 0, ended.stderr
    assert "usage" in ended.stdout


@pytest.mark.slow
def test_the_page_has_the_greatest_difference_that_is_printed() -> None:
    """Of MiniLM from its unquantised weights, as it is written."""
    ended = run("minilm_reference.py")
    printed = re.search(r"difference of 16 scores: (0\.\d+)", ended.stdout)
    stated = re.search(r"unquantised weights by at most (0\.\d+)", PAGE.read_text(encoding="utf-8"))

    assert ended.returncode == 0, ended.stderr
    assert printed is not None
    assert stated is not None
    assert 0 <= float(stated[1]) - float(printed[1]) < 0.001


def write_dummy(folder: Path) -> None:
    """A BERT of random weights, of whose vocabulary every word is a whole one."""
    words = {word for topic in [*read_topics()][:4] for word in split_words(topic.query)}
    names = ["[UNK]", "[CLS]", "[SEP]", *sorted(words)]
    (folder / "vocab.txt").write_text("\n".join(names), encoding="utf-8")
    dense = [f"attention.self.{which}" for which in ("query", "key", "value")]
    dense += ["attention.output.dense", "intermediate.dense", "output.dense"]
    norms = ["attention.output.LayerNorm", "output.LayerNorm"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(names), HIDDEN),
        "embeddings.position_embeddings.weight": (256, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        for name in (*dense, *norms):
            shape: tuple[int, ...] = (HIDDEN,) if name in norms else (HIDDEN, HIDDEN)
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (HIDDEN,)
    random = np.random.default_rng(0)
    header, content = {}, b""
    for name, shape in shapes.items():
        begin = len(content)
        content += random.normal(size=shape).astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(content)]}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content)


@pytest.mark.slow
def test_the_reference_computes_and_refuses_what_differs(tmp_path: Path) -> None:
    """Cosines of another model are no reference for MiniLM."""
    write_dummy(tmp_path)

    ended = run("minilm_reference.py", str(tmp_path), "--output", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["rankings"]

    assert ended.returncode == 1
    assert ended.stderr == "that is more than 0.02\n"
    assert [len(row["cosines"]) for row in found] == [4] * 4
    assert all(-1 <= cosine <= 1 for row in found for cosine in row["cosines"])


def test_a_model_that_orders_no_better_than_the_input_is_named() -> None:
    """Each for itself; no number is no better, too."""
    good = {"input order": 0.2, **dict.fromkeys(RANKERS, 0.3)}

    assert judge_quality(good) == []
    for label in RANKERS:
        for figure in (0.2, 0.1, float("nan")):
            (complaint,) = judge_quality({**good, label: figure})
            assert complaint.startswith(f"{label}: nDCG@10 is ")


def test_a_share_below_nine_tenths_is_named() -> None:
    """Of the speed, of the memory, and the time that BM25 may take."""
    good = {"speed": 0.95, "memory": 0.9}

    assert judge_speed(good, 0.0009) == []
    assert judge_speed({**good, "memory": 0.89}, 0.0009) == [
        "the share of the memory is 0.890, less than 0.9"
    ]
    assert judge_speed({**good, "speed": float("nan")}, 0.0009) != []
    assert judge_speed(good, 0.001) == [
        "`local/bm25` takes 1.00 ms per document, a millisecond or more"
    ]
