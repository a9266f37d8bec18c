"""`rerank eval`: the same candidates for everyone, nothing paid twice, nothing made up."""

from __future__ import annotations

import errno
import io
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner, Result

from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    RerankResponse,
    ServerError,
)
from rerank_eval import Cascade, Collection, Cutoff, Report, evaluate
from rerank_eval._ask import open_questions
from rerank_eval._commands.calibrate import calibrate as calibrate_command
from rerank_eval._commands.eval import evaluate as command
from rerank_eval._entrants import Entrant, parse_cascade, parse_entrant, parse_fused
from rerank_eval._estimate import estimate
from rerank_eval._responses import Answer, Responses
from rerank_eval._terminal import show_progress

CRANFIELD = Path(__file__).parents[3] / "tests" / "fixtures" / "cranfield"


def _row(report: Report, label: str) -> dict[str, Any]:
    return next(row for row in report.content["rows"] if row["label"] == label)


def _pair(report: Report, model: str, against: str) -> dict[str, Any]:
    return next(
        each
        for each in report.content["comparisons"]
        if (each["model"], each["against"]) == (model, against)
    )


def test_first_stage_models_and_ceiling_are_rows(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """A perfect model reaches the ceiling; one that keeps the order equals the first stage."""
    models = {name: make_fake(scorers[name]) for name in ("by_grade", "same", "reversed")}
    report = evaluate(collection, models)

    assert [row["label"] for row in report.content["rows"]] == [
        "first stage",
        "by_grade",
        "same",
        "reversed",
        "ceiling",
    ]
    assert report.mean("by_grade") == report.mean("ceiling") == 1.0
    assert report.mean("same") == report.mean("first stage") < 1.0
    assert _pair(report, "same", "first stage")["verdict"] == "no difference"
    assert _pair(report, "by_grade", "first stage")["verdict"] == "better"
    assert len(report.content["comparisons"]) == 6
    assert all(0 < each["p"] <= each["p_holm"] <= 1 for each in report.content["comparisons"])


def test_with_a_baseline_only_it_is_compared_with(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """So Holm multiplies less."""
    models = {name: make_fake(scorers[name]) for name in ("by_grade", "reversed")}
    report = evaluate(collection, models, baseline="reversed")

    assert [each["against"] for each in report.content["comparisons"]] == ["reversed"] * 2


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"baseline": "nobody"}, "none of first stage, a"),
        ({"fuse": ["rrf=a,nobody"]}, "nobody is none of first stage, a"),
        ({"fuse": ["rrf=a,first-stage"] * 2}, "the table has rrf"),
    ],
)
def test_a_row_that_there_is_not_or_is_twice_is_refused_before_anything_is_paid(
    named: dict[str, Any], message: str, collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """A slip of the pen costs nothing."""
    model = make_fake(scorers["by_grade"])

    with pytest.raises(ConfigurationError, match=message):
        evaluate(collection, {"a": model}, **named)
    assert not model.calls


@pytest.mark.slow
def test_failed_queries_are_listed_and_count_nothing(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """0 in the mean; left out of every test, for the other models, too."""

    def fails(query: str) -> ServerError | None:
        return ServerError("overloaded") if query == "query 3" else None

    models = {
        "good": make_fake(scorers["by_grade"]),
        "frail": make_fake(scorers["by_grade"], fails=fails),
    }
    report = evaluate(collection, models)

    assert _row(report, "frail")["failed"] == [
        {"query_id": "q3", "repeat": 0, "error": "ServerError: overloaded"}
    ]
    assert report.mean("frail") == pytest.approx(39 / 40)
    assert {each["queries"] for each in report.content["comparisons"]} == {39}
    assert _pair(report, "frail", "good")["verdict"] == "no difference"
    assert report.failed == 1
    assert "1 calls failed" in report.markdown()
    assert "overloaded" in report.html()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"answered_by": "other"}, "fake/other answered in its place"),
        ({"reranked": False}, "nothing was reranked"),
    ],
)
def test_nothing_else_answers_under_a_model_s_name(
    collection: Collection, make_fake: Any, scorers: Any, named: dict[str, Any], message: str
) -> None:
    """A fallback, or the caller's own order, is a failure: and if all fail, it is the end."""
    with pytest.raises(Exception, match=message):
        evaluate(collection, {"a": make_fake(scorers["by_grade"], **named)})


def test_what_fails_for_every_query_ends_at_the_first(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """A wrong key is not tried forty times; a query that makes no sense is only that query."""
    wrong = make_fake(scorers["same"], fails=lambda _: AuthenticationError("no such key"))

    with pytest.raises(AuthenticationError):
        evaluate(collection, {"a": wrong})
    assert len(wrong.calls) == 1

    def blank(query: str) -> InvalidRequestError | None:
        return InvalidRequestError("blank") if query == "query 1" else None

    report = evaluate(collection, {"a": make_fake(scorers["same"], fails=blank)})
    assert len(_row(report, "a")["failed"]) == 1


def test_ten_failures_at_the_start_are_the_end(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """They may be paid."""
    down = make_fake(scorers["same"], fails=lambda _: ServerError("down"))

    with pytest.raises(ServerError):
        evaluate(collection, {"a": down})
    assert len(down.calls) == 10


def test_unknown_costs_stay_unknown(collection: Collection, make_fake: Any, scorers: Any) -> None:
    """And known ones are for 1,000 queries."""
    models = {
        "dear": make_fake(scorers["same"], cost=0.002),
        "local": make_fake(scorers["reversed"]),
    }
    report = evaluate(collection, models, fuse=["rrf=dear,local"])

    assert _row(report, "dear")["cost"]["per_1000"] == pytest.approx(2.0)
    assert _row(report, "local")["cost"] == {
        "known": 0,
        "unknown": 40,
        "total": None,
        "per_1000": None,
    }
    assert _row(report, "rrf(dear + local)")["cost"]["per_1000"] is None
    assert "| unknown |" in report.markdown()


def test_the_first_call_stands_apart(collection: Collection, make_fake: Any, scorers: Any) -> None:
    """It opens a connection, or loads a model."""
    latency = _row(evaluate(collection, {"a": make_fake(scorers["same"])}), "a")["latency"]

    assert latency["n"] == 39
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert latency["first"] > 0


def test_repeats_show_their_spread(collection: Collection, make_fake: Any, scorers: Any) -> None:
    """Of a model that answers differently each time."""
    calls: Counter[str] = Counter()

    def wobbling(query: str, documents: Any) -> list[float]:
        calls[query] += 1
        scorer = scorers["by_grade" if calls[query] == 2 else "reversed"]
        return list(scorer(query, documents))

    report = evaluate(collection, {"a": make_fake(wobbling)}, repeat=3)
    values = _row(report, "a")["measures"]["nDCG@10"]

    assert set(calls.values()) == {3}
    assert values["spread"][1] == 1.0
    assert values["spread"][0] < values["mean"] < 1.0
    assert _row(report, "first stage")["measures"]["nDCG@10"]["spread"] is None


def test_fusions_ask_nothing(collection: Collection, make_fake: Any, scorers: Any) -> None:
    """They are made of the answers that there are."""
    good = make_fake(scorers["by_grade"])
    fuse = ["weighted=1*good,0*first-stage", "rrf=good,first-stage", "tuned=first-stage,good"]
    report = evaluate(collection, {"good": good}, fuse=fuse)

    assert len(good.calls) == 40
    assert report.mean("weighted(good + 0*first stage)") == 1.0
    assert report.mean("first stage") < report.mean("rrf(good + first stage)") < 1.0
    assert report.mean("tuned(first stage + good)") > report.mean("rrf(good + first stage)")
    assert "on the other queries" in _row(report, "tuned(first stage + good)")["note"]
    with pytest.raises(ConfigurationError, match="none of first stage, good"):
        evaluate(collection, {"good": good}, fuse=["rrf=good,nobody"])


def test_a_cascade_is_a_row_like_any(collection: Collection, make_fake: Any, scorers: Any) -> None:
    """Both models' costs are its own."""
    cascade = Cascade(
        make_fake(scorers["same"], cost=0.001), make_fake(scorers["by_grade"], cost=0.002), 4
    )
    report = evaluate(collection, {"cascade": cascade})

    assert report.mean("first stage") < report.mean("cascade") < 1.0
    assert _row(report, "cascade")["cost"]["per_1000"] == pytest.approx(3.0)


@pytest.mark.slow
def test_what_is_answered_is_never_asked_again(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path
) -> None:
    """Also after a run that was killed in the middle of a line."""
    path = tmp_path / "responses.jsonl"

    def dies(query: str) -> ServerError | None:
        if query == "query 20":
            raise KeyboardInterrupt
        return None

    first = make_fake(scorers["by_grade"], fails=dies)
    with pytest.raises(KeyboardInterrupt):
        evaluate(collection, {"a": first}, responses=path)
    with path.open("ab") as file:
        file.write(b'{"model":"a","query_id":"q20","or')
    second = make_fake(scorers["by_grade"])
    report = evaluate(collection, {"a": second}, responses=path)

    assert len(second.calls) == 20
    assert not {*first.calls[:20]} & {*second.calls}
    assert report.mean("a") == 1.0
    third = make_fake(scorers["by_grade"])
    again = evaluate(collection, {"a": third}, responses=path)
    assert third.calls == []
    assert again.json() == report.json()
    assert again.html() == report.html()
    assert again.markdown() == report.markdown()


def test_other_candidates_are_not_mixed(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path
) -> None:
    """Answers to another list are answers to another question."""
    path = tmp_path / "responses.jsonl"
    models = {"a": make_fake(scorers["same"])}
    evaluate(collection, models, responses=path)
    topics = [SimpleNamespace(**{**_fields(t), "documents": ["x"] * 8}) for t in collection.topics]
    other = Collection("other", topics, "made")  # type: ignore[arg-type]  # as good as topics

    with pytest.raises(ConfigurationError, match="other candidates"):
        evaluate(other, models, responses=path)


def _fields(topic: Any) -> dict[str, Any]:
    names = ("query_id", "query", "ids", "documents", "grades", "scores")
    return {name: getattr(topic, name) for name in names}


def test_failures_are_asked_again_only_where_that_is_asked(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path
) -> None:
    """So that the same command makes the same report."""
    path = tmp_path / "responses.jsonl"

    def fails(query: str) -> ServerError | None:
        return ServerError("once") if query == "query 9" else None

    evaluate(collection, {"a": make_fake(scorers["same"], fails=fails)}, responses=path)
    well = make_fake(scorers["same"])

    assert evaluate(collection, {"a": well}, responses=path).failed == 1
    assert well.calls == []
    assert evaluate(collection, {"a": well}, responses=path, retry_failed=True).failed == 0
    assert well.calls == ["query 9"]


def test_what_was_under_way_at_the_end_is_kept(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path
) -> None:
    """Whatever ended it: these answers are paid, too."""
    path = tmp_path / "responses.jsonl"
    begun = threading.Barrier(4)

    def fails(query: str) -> AuthenticationError | None:
        begun.wait(30)
        if query == "query 0":
            return AuthenticationError("taken back")
        time.sleep(0.3)
        return None

    first = make_fake(scorers["same"], fails=fails)
    with pytest.raises(AuthenticationError):
        evaluate(collection, {"a": first}, responses=path, concurrency=4)

    assert len(Responses.open(path, collection).answers) == 3


@pytest.mark.filterwarnings("ignore:constrained_layout")  # of names that no picture has room for
def test_each_row_has_a_run_of_its_own(tmp_path: Path) -> None:
    """Where names differ by a sign that no file has, or are longer than a file's may be."""
    path, labels = tmp_path / "own.jsonl", ["local/bm25?k1=1&b=+0.5", "local/bm25?k1=1&b= 0.5"]
    labels += ["local/bm25?b=0." + "5" * 300, "local/bm25?b=0." + "5" * 301]
    path.write_text('{"query": "a", "documents": ["a b", "b"], "relevance": [1, 0]}\n')
    done = _run(str(path), *labels, "--output", str(tmp_path / "out"), "--trec")

    assert done.exit_code == 0
    assert len([*(tmp_path / "out").glob("*.run")]) == 1 + len(labels)


@pytest.mark.parametrize("said", ["down\u2028again", "\x85", "\x0b\x1c"])
def test_answers_are_read_again_whatever_a_service_says(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path, said: str
) -> None:
    """Characters that some take for the end of a line among it."""
    path = tmp_path / "responses.jsonl"

    def fails(query: str) -> ServerError | None:
        return ServerError(said) if query == "query 9" else None

    report = evaluate(collection, {"a": make_fake(scorers["same"], fails=fails)}, responses=path)
    well = make_fake(scorers["same"])

    assert evaluate(collection, {"a": well}, responses=path).json() == report.json()
    assert well.calls == []


def test_a_disk_that_takes_a_part_of_a_line_is_given_the_rest(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no answer behind it is lost."""
    path = tmp_path / "responses.jsonl"

    class Slow(io.FileIO):
        def write(self, content: Any) -> int:
            return super().write(content[:10])

    with Responses.open(path, collection) as kept:
        monkeypatch.setattr(kept, "_file", Slow(path, "ab"))
        kept.add(Answer(model="a", query_id="one"))
        kept.add(Answer(model="a", query_id="two"))

    assert len(Responses.open(path, collection).answers) == 2


def test_a_disk_that_was_full_for_a_while_tears_no_line(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way is kept after the error: a file with half a line would be refused."""
    path = tmp_path / "responses.jsonl"
    free = [10, 0, 10_000]

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            if not (room := free.pop(0)):
                raise OSError(errno.ENOSPC, "no space")
            return super().write(content[:room])

    with Responses.open(path, collection) as kept:
        monkeypatch.setattr(kept, "_file", Full(path, "ab"))
        with pytest.raises(OSError, match="no space"):
            kept.add(Answer(model="a", query_id="one"))
        kept.add(Answer(model="a", query_id="two"))

    assert [each.query_id for each in Responses.open(path, collection).answers.values()] == ["two"]


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"run": {"format": 99}}', '{"a": 1}'])
def test_a_file_that_holds_no_answers_is_named(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path, line: str
) -> None:
    """With its line."""
    path = tmp_path / "responses.jsonl"
    path.write_text(line + "\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"responses\.jsonl:1: "):
        evaluate(collection, {"a": make_fake(scorers["same"])}, responses=path)


def test_many_calls_at_once_give_the_same_order(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """The report does not depend on which came first."""
    alone = evaluate(collection, {"a": make_fake(scorers["reversed"])})
    together = evaluate(collection, {"a": make_fake(scorers["reversed"])}, concurrency=8)

    assert _row(alone, "a")["measures"] == _row(together, "a")["measures"]


@pytest.mark.slow
def test_gates(collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path) -> None:
    """A mean that is too low, a row that is lost to, a kept report that is lost to."""
    good = evaluate(collection, {"a": make_fake(scorers["by_grade"])})
    bad = evaluate(collection, {"a": make_fake(scorers["reversed"])})
    kept = str(good.save(tmp_path)[2])

    assert good.check(fail_under=["nDCG@10=0.9"]).passed
    assert not bad.check(fail_under=["ndcg@10=0.9"]).passed
    assert good.check(no_worse_than="first stage").passed
    assert not bad.check(no_worse_than=kept, margin=0.01).passed
    assert bad.check(no_worse_than=kept, margin=0.99).passed
    assert good.check(no_worse_than=kept).passed
    assert "FAILED" in bad.check(no_worse_than=kept).markdown()
    for named in ({"fail_under": ["x=1"]}, {"fail_under": ["P@9=1"]}, {"no_worse_than": "nobody"}):
        with pytest.raises(ConfigurationError):
            good.check(**named)


def test_the_estimate_counts_requests_tokens_and_dollars(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """Split lists are several requests; what is in this process sends none."""
    hosted = {"base_url": "https://x.test", "base_url_required": False, "api_key_required": True}
    here = {"base_url": None, "base_url_required": False, "api_key_required": False}
    price = SimpleNamespace(unit="search_units", usd=0.002)
    plain = SimpleNamespace(**hosted, max_documents=3, price=price)
    local = SimpleNamespace(**here, max_documents=None, price=None)
    same = scorers["same"]
    entrants = [
        Entrant("hosted", make_fake(same, facts=plain)),
        Entrant("local", make_fake(same, facts=local)),
        Entrant("cascade", Cascade(make_fake(same, facts=local), make_fake(same, facts=plain), 2)),
        Entrant("unknown", make_fake(same)),
    ]
    found = {
        each.label: each
        for each in estimate(open_questions(collection.first(10), entrants, Responses(), repeats=2))
    }

    assert (found["hosted"].queries, found["hosted"].requests) == (20, 60)
    assert found["hosted"].usd == pytest.approx(0.12)
    assert (found["local"].requests, found["local"].usd) == (None, None)
    assert found["cascade"].tokens > found["hosted"].tokens
    assert found["unknown"].usd is None


@pytest.mark.parametrize(
    "text",
    [
        "local/bm25?api_key=x",
        "local/bm25?fallbacks=a",
        "local/bm25?on_failure=passthrough",
        "local/bm25?drop_params=true",
        "local/bm25?top_n=3",
        "local/bm25?x",
        "local/bm25?min_results=3",
    ],
)
def test_what_would_make_a_comparison_unfair_cannot_be_written(text: str) -> None:
    """Nor a key, which everybody on the machine could read."""
    with pytest.raises(ConfigurationError):
        parse_entrant(text)


def test_models_take_params() -> None:
    """So one model stands in the table several times."""
    entrant = parse_entrant("local/bm25?k1=0.1&b=0&min_score=0.2&force=true")
    response: RerankResponse = entrant.reranker.rerank("red fox", ["sky", "a red fox"])

    assert [each.index for each in response.results] == [1]
    assert parse_cascade("local/bm25,local/bm25?k1=2,5").label == "local/bm25 > local/bm25?k1=2 @5"
    with pytest.raises(ConfigurationError):
        parse_cascade("local/bm25,local/bm25")
    for text in ("rrf=a", "sum=a,b", "weighted=x*a,b"):
        with pytest.raises(ConfigurationError):
            parse_fused(text)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--baseline", "nobody"], "the baseline 'nobody' is none of"),
        (["--fuse", "rrf=first-stage,nobody"], "name it as a MODEL"),
        (["--fail-under", "nDCG@10"], "write --fail-under nDCG@10=0.42"),
        (["--fail-under", "P@9=1"], "name the measure with --measure"),
        (["--no-worse-than", "nobody"], "none of first stage, local/bm25, ceiling"),
        (["--no-worse-than", "nothing.json"], "no report with nDCG@10"),
    ],
)
def test_the_command_refuses_what_it_cannot_report_before_it_asks(
    words: list[str], message: str, tmp_path: Path
) -> None:
    """What is wrong would be found in the end all the same, when everything was paid."""
    results = tmp_path / "results"

    with pytest.raises(ConfigurationError, match=message):
        _run(str(_lines(tmp_path)), "local/bm25", "--output", str(results), *words)
    assert not results.exists()


def _lines(tmp_path: Path) -> Path:
    """Ten queries in which a lexical model finds what is relevant."""
    words = ["fox", "wing", "jet", "shock", "heat", "flow", "plate", "shell", "noise", "drag"]
    rows = [
        {
            "query": f"the {word}",
            "documents": [f"about the {other}" for other in words],
            "relevance": [int(other == word) for other in words],
        }
        for word in words
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_command_writes_reports_and_runs(tmp_path: Path) -> None:
    """And makes the same bytes again from what it kept."""
    output = tmp_path / "out"
    arguments = [str(_lines(tmp_path)), "local/bm25", "--fuse", "rrf=local/bm25,first-stage"]
    arguments += ["--cascade", "local/bm25,local/bm25?k1=2,3", "--output", str(output), "--trec"]
    done = _run(*arguments)
    names = {path.name for path in output.iterdir()}
    before = {path.name: path.read_bytes() for path in output.iterdir()}

    assert done.exit_code == 0
    assert "local/bm25 has the highest nDCG@10, 1.0000" in done.stdout.replace("\n", " ")
    assert names >= {f"report.{each}" for each in ("html", "md", "json", "csv", "tex")}
    assert names >= {"responses.jsonl", "qrels.trec", "local-bm25.run", "first-stage.run"}
    assert _run(*arguments).exit_code == 0
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_the_command_s_exit_codes(tmp_path: Path) -> None:
    """1 for a gate; 2 for usage; a dry run sends nothing."""
    data = str(_lines(tmp_path))

    assert _run(data, "local/bm25", "--fail-under", "nDCG@10=0.9").exit_code == 0
    assert _run(data, "local/bm25", "--fail-under", "P@5=0.9").exit_code == 1
    assert _run(data, "local/bm25", "--no-worse-than", "first-stage").exit_code == 0
    assert _run(data, "local/bm25", "--trec").exit_code == 2
    dry = _run(data, "local/bm25", "--dry-run", "--output", str(tmp_path / "dry"))
    assert "nothing was sent" in dry.stdout
    assert not (tmp_path / "dry").exists()


def test_calibrate_and_use_it(tmp_path: Path) -> None:
    """From judged queries to a file, to a row with a threshold."""
    data, file = str(_lines(tmp_path)), tmp_path / "calibration.json"
    arguments = [data, "local/bm25", "--force", "--target", "f1", "--output", str(file)]
    done = CliRunner().invoke(calibrate_command, arguments, catch_exceptions=False)
    model = f"local/bm25?min_score=0.5&calibration={file}"
    evaluated = _run(data, model, "--measure", "Success@1")

    assert done.exit_code == 0
    assert "precision 1.000, recall 1.000" in done.stdout
    assert "there are 10" in done.stderr
    assert evaluated.exit_code == 0
    assert "1.0000" in evaluated.stdout


@pytest.mark.slow
def test_cranfield_by_one_command(tmp_path: Path) -> None:
    """The ceiling that was seen before, and a first stage that BM25 over the list does not beat."""
    output = tmp_path / "out"
    done = _run(str(CRANFIELD), "local/bm25", "--output", str(output))
    content = json.loads((output / "report.json").read_text(encoding="utf-8"))
    means = {row["label"]: row["measures"]["nDCG@10"]["mean"] for row in content["rows"]}

    assert done.exit_code == 0
    assert means["ceiling"] == pytest.approx(0.81, abs=0.03)
    assert means["local/bm25"] < means["first stage"]
    assert _pair(Report(content), "local/bm25", "first stage")["verdict"] == "worse"


def test_arguments_that_make_no_sense_are_refused(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """Before anything is asked."""
    fake = make_fake(scorers["same"])
    wrong: list[dict[str, Any]] = [{"repeat": 0}, {"alpha": 1.0}, {"measures": []}, {"depth": 0}]
    for named in wrong:
        with pytest.raises(ConfigurationError):
            evaluate(collection, {"a": fake}, **named)
    with pytest.raises(ConfigurationError, match="no query"):
        evaluate(evolve(collection, topics=[]), {"a": fake})

    assert fake.calls == []


def test_no_model_shows_what_the_candidates_allow(collection: Collection) -> None:
    """Nothing to compare, and nothing breaks."""
    report = evaluate(collection, [])

    assert "allow nDCG@10 of 1.0000 at most" in report.markdown()
    assert report.content["comparisons"] == []
    assert "<svg" not in report.html() or report.html().count("<svg") == 2


def test_ties_empty_answers_and_warnings_are_told(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """As sentences under the table, of repeats and known costs, too."""
    cut = Cutoff(make_fake(lambda _, listed: [1.0] * len(listed)), 2.0)
    models = {"tied": make_fake(lambda _, listed: [1.0] * len(listed), cost=0.5), "none": cut}
    report = evaluate(collection, models, measures=["P@5"], repeat=2)
    text = report.markdown()

    assert "tied: in 100% of the queries documents of equal score" in text
    assert "none: 40 queries came back empty" in text
    assert "spread" in text
    assert "| 500 |" in text
    assert report.check(fail_under=["P@5=1"], no_worse_than="tied").html().count('refused">') == 3
    assert scorers


@pytest.mark.slow
def test_gates_say_what_is_missing(
    collection: Collection, make_fake: Any, scorers: Any, tmp_path: Path
) -> None:
    """A row that the kept report lacks, no common query, a file that is no report."""
    fake = make_fake(scorers["same"])
    report = evaluate(collection, {"a": fake})
    kept = str(evaluate(collection, {"b": fake}).save(tmp_path / "b")[2])
    topics = [evolve(topic, query_id=f"other {topic.query_id}") for topic in collection.topics]
    others = evaluate(evolve(collection, topics=topics), {"a": fake}).save(tmp_path / "c")[2]
    (tmp_path / "no.json").write_text("{}", encoding="utf-8")

    assert "has no such row" in report.check(no_worse_than=kept).content["gates"][0]["why"]
    assert "no query" in report.check(no_worse_than=str(others)).content["gates"][0]["why"]
    with pytest.raises(ConfigurationError, match="no report"):
        report.check(no_worse_than=str(tmp_path / "no.json"))
    with pytest.raises(ConfigurationError, match="margin"):
        report.check(no_worse_than="first stage", margin=-1)
    with pytest.raises(ConfigurationError, match="write --fail-under"):
        report.check(fail_under=["nDCG@10=much"])


def test_a_bar_is_shown_on_a_terminal(
    collection: Collection, make_fake: Any, scorers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, with the model's name."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress() as progress:
        evaluate(collection, {"model a": make_fake(scorers["same"])}, progress=progress)

    assert "model a" in stream.getvalue()
    assert "40/40" in stream.getvalue()


def test_a_copy_is_no_difference_and_a_shuffled_one_is_found(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """Whatever the documents are called."""

    def shuffled(query: str, documents: Any) -> list[float]:
        scores = scorers["by_grade"](query, documents)
        random.Random(query).shuffle(scores)  # noqa: S311 - no secret
        return list(scores)

    models = {"model": scorers["by_grade"], "copy": scorers["by_grade"], "shuffled": shuffled}
    renamed = evolve(
        collection,
        topics=[
            evolve(
                topic,
                ids=[name[::-1] for name in topic.ids],
                grades={name[::-1]: grade for name, grade in topic.grades.items()},
            )
            for topic in collection.topics
        ],
    )
    found, again = (
        evaluate(each, {name: make_fake(scorer) for name, scorer in models.items()})
        for each in (collection, renamed)
    )

    assert _pair(found, "copy", "model")["verdict"] == "no difference"
    assert _pair(found, "shuffled", "model")["verdict"] == "worse"
    assert 0 < _pair(found, "shuffled", "model")["p"] < 0.001
    assert again.content["comparisons"] == found.content["comparisons"]
