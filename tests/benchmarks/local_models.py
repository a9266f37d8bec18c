"""How well and how fast `rerank-local` runs MiniLM: Cranfield, and onnxruntime used directly.

`python tests/benchmarks/local_models.py quality` prints nDCG@10 of all 225 queries. A bi-encoder's
vector of a document does not depend on the query, so that each document is embedded once; the
public call is compared for the first query. `python tests/benchmarks/local_models.py speed` prints
documents per second and peak memory beside onnxruntime given the same batches.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cranfield import (
    Order,
    Topic,
    keep_order,
    mean_ndcg,
    rank_stemmed,
    read_topics,
)
from rerank_core import rerank
from rerank_local._bm25 import score_bm25
from rerank_local._encode import cut_windows, make_batches, make_template
from rerank_local._hybrid import fuse
from rerank_local._onnx import Model, load_model
from rerank_local._options import Fusion, Source
from rerank_local._score import embed

DOCUMENTS, ROUNDS, BATCH = 16, 11, 8


def make_batches_of(model: Model, texts: Sequence[str]) -> list[tuple[list[int], list[Any]]]:
    """The positions and rows of each batch, as the plugin makes them."""
    template = make_template(model.tokenizer, "", texts)
    windows = [
        cut_windows(
            template.encode(model.tokenizer, text)[0], template, max_length=model.export.max_length
        )[0]
        for text in texts
    ]
    lengths = [len(template) + len(tokens) for tokens in windows]
    return [
        (batch, [template.fill(windows[at]) for at in batch])
        for batch in make_batches(lengths, BATCH)
    ]


def embed_all(model: Model, texts: Sequence[str]) -> Mapping[str, Any]:
    """The vector of each text."""
    template = make_template(model.tokenizer, "", texts)
    return {
        texts[at]: vector
        for batch, rows in make_batches_of(model, texts)
        for at, vector in zip(batch, embed(model, template, *model.run(rows)), strict=True)
    }


def by_score(scores: Sequence[float]) -> Order:
    """Best first, equal scores in the input order."""
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


def measure_quality() -> None:
    """Print nDCG@10 of the input order, BM25, MiniLM and both."""
    topics = list(read_topics())
    model = load_model(Source())
    texts = {text for topic in topics for text in (topic.query, *topic.documents)}
    vectors = embed_all(model, sorted(texts))

    def cosines(topic: Topic) -> list[float]:
        query = vectors[topic.query]
        return [float(vectors[text] @ query) for text in topic.documents]

    def fused(fusion: Fusion) -> Callable[[Topic], Order]:
        def rank(topic: Topic) -> Order:
            lexical = score_bm25(topic.query, topic.documents)
            return by_score(fuse(lexical, cosines(topic), fusion))

        return rank

    rankers: Mapping[str, Callable[[Topic], Order]] = {
        "input order": keep_order,
        "`local/bm25`": rank_stemmed,
        "`local/minilm`": lambda topic: by_score(cosines(topic)),
        "`local/hybrid`": fused(Fusion()),
        '`local/hybrid`, `fusion="weighted"`': fused(Fusion(fusion="weighted")),
    }
    first = topics[0]
    results = rerank("local/minilm", first.query, first.documents).results
    found = {result.index: result.relevance_score or 0.0 for result in results}
    worst = max(abs(found[at] - score) for at, score in enumerate(cosines(first)))
    print(f"`local/minilm` as called differs by at most {worst:.1e} for the first query\n")
    print("| order | nDCG@10 |\n| --- | ---: |")
    for label, rank in rankers.items():
        print(f"| {label} | {mean_ndcg(rank, topics):.4f} |")


def read_documents() -> tuple[str, list[str]]:
    """A query and some documents of the usual length."""
    topic = next(islice(read_topics(), 1))
    return topic.query, list(topic.documents[:DOCUMENTS])


def run_ours() -> Callable[[], object]:
    """The public call."""
    query, documents = read_documents()
    return lambda: rerank("local/minilm", query, documents)


def run_directly() -> Callable[[], object]:
    """The same session, given the same batches, and nothing else."""
    query, documents = read_documents()
    model = load_model(Source())
    feeds = []
    for texts in ([query], documents):
        for _, rows in make_batches_of(model, texts):
            shape = (len(rows), max(len(ids) for ids, _ in rows))
            ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
            for at, (row, _) in enumerate(rows):
                ids[at, : len(row)] = row
                mask[at, : len(row)] = 1
            feeds.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * ids})

    def run() -> None:
        for feed in feeds:
            model.session.run(["last_hidden_state"], feed)

    return run


WAYS = {"ours": run_ours, "directly": run_directly}


def measure_speed() -> None:
    """Print documents per second and the share of the direct speed.

    In short rounds by turns, of which each gives one ratio: what else the machine does then
    befalls both, and their median heeds no single round.
    """
    runs = {name: way() for name, way in WAYS.items()}
    for run in runs.values():
        run()
    rounds = [_time_in_turn(runs, number) for number in range(ROUNDS)]
    peaks = {name: _measure_peak(name) for name in runs}
    print("| | documents per second | peak memory, MB |\n| --- | ---: | ---: |")
    labels = {"directly": "onnxruntime used directly", "ours": "`local/minilm`"}
    for name, label in labels.items():
        speed = DOCUMENTS / median(times[name][0] for times in rounds)
        print(f"| {label} | {speed:.1f} | {peaks[name]:.0f} |")
    print()
    for at, what in enumerate(("speed", "speed by processor time")):
        shares = [times["directly"][at] / times["ours"][at] for times in rounds]
        low, middle, high = quantiles(shares)
        print(f"share of the {what}: {middle:.3f} (half of {ROUNDS}: {low:.3f} to {high:.3f})")
    print(f"share of the memory: {peaks['ours'] / peaks['directly']:.3f}")


def _time_in_turn(
    runs: Mapping[str, Callable[[], object]], number: int
) -> dict[str, tuple[float, float]]:
    """Seconds of each, by the clock and of the processor; who is first is last the next time."""
    times = {}
    for name in sorted(runs, reverse=bool(number % 2)):
        begin, busy = perf_counter(), process_time()
        runs[name]()
        times[name] = perf_counter() - begin, process_time() - busy
    return times


def _measure_peak(name: str) -> float:
    command = [sys.executable, __file__, "peak", name]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - ourselves


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quality", "speed", "peak"))
    parser.add_argument("way", nargs="?", default="ours", choices=WAYS, help="whose peak")
    given = parser.parse_args()
    if given.what == "peak":
        WAYS[given.way]()()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        {"quality": measure_quality, "speed": measure_speed}[given.what]()


if __name__ == "__main__":
    main()
