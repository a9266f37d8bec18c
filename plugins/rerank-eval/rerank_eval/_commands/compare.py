"""`rerank compare`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.text import Text

from rerank_core import ResponseParseError
from rerank_core.wire import decode_json, encode_json, render_document
from rerank_eval._commands.options import FILE, POSITIVE
from rerank_eval._compare import INPUT, Comparison
from rerank_eval._compare import compare as compare_models
from rerank_eval._data import Text as Document
from rerank_eval._data import refuse
from rerank_eval._terminal import make_console, printable, show_table
from rerank_eval._trec import read_lines

_CHARS = 60


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--top-n", type=POSITIVE, default=10, show_default=True, help="The most places shown."
)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on a terminal, too.")
@click.argument("query")
@click.argument("file", type=FILE)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
def compare(query: str, file: Path, models: tuple[str, ...], *, top_n: int, as_json: bool) -> None:
    """Show how several models rank the documents of one query, without judgements.

    FILE has one document in each line: JSON Lines if its name ends in .jsonl or .ndjson, else
    text. Each cell has a document's position in FILE, from 0, by how many places it rose or fell,
    and its text. Below the table is how similar the orders are: Kendall's tau, and the share of
    the top that two models have in common.
    """
    documents = _read_documents(file)
    comparison = compare_models(query, documents, models, at=top_n)
    if as_json or not sys.stdout.isatty():
        _print_json(comparison)
        return
    _show(comparison, top_n)


def _read_documents(path: Path) -> list[Document]:
    as_json = path.suffix in {".jsonl", ".ndjson"}
    documents: list[Document] = []
    for number, line in read_lines(path):
        if not as_json:
            documents.append(line)
            continue
        try:
            value = decode_json(line.encode())
        except ResponseParseError as error:
            raise refuse(path, number, f"not JSON ({error.__cause__})") from error
        if not isinstance(value, (str, dict)):
            raise refuse(path, number, "a document is a text or an object")
        documents.append(value)
    return documents


def _print_json(comparison: Comparison) -> None:
    for label, response in comparison.responses.items():
        for place, result in enumerate(response.results, 1):
            click.echo(
                encode_json(
                    {
                        "model": label,
                        "rank": place,
                        "index": result.index,
                        "relevance_score": result.relevance_score,
                        "moved": result.index - place + 1,
                    }
                )
            )
    for each in comparison.agreements:
        row = {"first": each.first, "second": each.second, "tau": each.tau}
        click.echo(encode_json({**row, "overlap": each.overlap, "at": each.at}))


def _show(comparison: Comparison, top_n: int) -> None:
    console = make_console()
    orders = {INPUT: [*range(len(comparison.documents))]}
    for label, response in comparison.responses.items():
        orders[label] = [result.index for result in response.results]
    rows = []
    for place in range(min(top_n, len(comparison.documents))):
        cells = (
            _cell(comparison, order, place) if place < len(order) else ""
            for order in orders.values()
        )
        rows.append([str(place + 1), *cells])
    show_table(console, ["rank", *orders], rows)
    header = ["", "", "Kendall's tau", "overlap"]
    agreements = [
        [
            each.first,
            each.second,
            "-" if each.tau is None else f"{each.tau:+.2f}",
            f"{each.overlap:.2f} of {each.at}",
        ]
        for each in comparison.agreements
    ]
    show_table(console, header, agreements)
    for label, response in comparison.responses.items():
        for warning in response.warnings:
            console.print(Text(printable(f"{label}: {warning}")))


def _cell(comparison: Comparison, order: list[int], place: int) -> str:
    index = order[place]
    moved = index - place
    arrow = f"+{moved}" if moved > 0 else str(moved) if moved else "="
    text = printable(render_document(comparison.documents[index], None))
    return f"{index} ({arrow}) {text[:_CHARS]}"
