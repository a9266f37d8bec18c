"""What `eval` and `calibrate` are both told about the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rerank_eval._data import Collection
from rerank_eval._read import Files, read_collection

_Command = TypeVar("_Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DATA = click.Path(exists=True, path_type=Path)
POSITIVE = click.IntRange(min=1)

_OPTIONS = (
    click.option(
        "--depth",
        type=POSITIVE,
        default=100,
        show_default=True,
        help="Rank at most so many candidates for each query.",
    ),
    click.option(
        "--split",
        default="test",
        show_default=True,
        help="Which judgements: test reads qrels/test.tsv.",
    ),
    click.option("--run", type=FILE, help="A TREC run whose documents are the candidates."),
    click.option("--qrels", type=FILE, help="The judgements, if they are not in DATA."),
    click.option("--topics", type=FILE, help="The queries, if they are not in DATA."),
    click.option("--corpus", type=FILE, help="The documents, if they are not in DATA."),
    click.option(
        "--drop-same-id",
        is_flag=True,
        help="Leave out the candidate with the query's own id, if queries are documents.",
    ),
    click.option("--limit", type=POSITIVE, help="Take only so many queries, from the first."),
)


def data_options(command: _Command) -> _Command:
    """Add the options of the data to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_data(  # noqa: PLR0913 - the options above
    data: Path,
    *,
    depth: int,
    split: str,
    run: Path | None,
    qrels: Path | None,
    topics: Path | None,
    corpus: Path | None,
    drop_same_id: bool,
    limit: int | None,
) -> Collection:
    """Read what the options say."""
    files = Files(run=run, qrels=qrels, topics=topics, corpus=corpus)
    collection = read_collection(
        data, depth=depth, split=split, files=files, drop_same_id=drop_same_id
    )
    return collection.first(limit)
