"""A job: every row once, whatever happens, within limits and caps."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from job_service import JobService, rank, score
from rerank_core import AuthenticationError, RerankError, UnsupportedParamError, rerank
from rerank_jobs import Job, JobError, _run
from rerank_jobs._journal import replace_file
from rerank_jobs._state import Folder

COMMAND = "import click, rerank_jobs._command as c; g = click.Group(); g.add_command(c.job); g()"
AT_ONCE = 4


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key but the test's, no proxy."""
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COHERE_API_KEY", "a-key")
    monkeypatch.setenv("VOYAGE_API_KEY", "a-key")


@pytest.fixture
def service() -> Iterator[JobService]:
    """A service on loopback."""
    with JobService() as started:
        yield started


def write_rows(path: Path, count: int, documents: int = 3) -> Path:
    """So many rows of JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        for at in range(count):
            texts = [f"document {each} of row {at}" for each in range(documents)]
            file.write(json.dumps({"id": f"r{at}", "query": f"q{at}", "documents": texts}) + "\n")
    return path


def make_job(tmp_path: Path, service: JobService, **settings: Any) -> Job:
    """A job of the rows in `in.jsonl`."""
    options = {"api_base": service.url, "max_retries": 0, **settings.pop("options", {})}
    usual: dict[str, Any] = {
        "input": tmp_path / "in.jsonl",
        "model": "cohere/rerank-v3.5",
        "output": tmp_path / "out.jsonl",
        "concurrency": AT_ONCE,
    }
    return Job(**{**usual, **settings}, options=options)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def start(tmp_path: Path, service: JobService, *more: str) -> subprocess.Popen[bytes]:
    """The same job as a program of its own."""
    words = ["job", "run", "in.jsonl", "--model", "cohere/rerank-v3.5", "--output", "out.jsonl"]
    words += ["--api-base", service.url, "--concurrency", str(AT_ONCE), *more]
    return subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", COMMAND, *words], cwd=tmp_path, stderr=subprocess.PIPE
    )


def test_each_row_comes_out_once_with_its_ranking(tmp_path: Path, service: JobService) -> None:
    """Id, index and score, best first; more than one row is under way at once."""
    rows = read_lines(write_rows(tmp_path / "in.jsonl", 30))
    service.delay = 0.01
    report = make_job(tmp_path, service).run()
    out = {line["id"]: line["results"] for line in read_lines(tmp_path / "out.jsonl")}

    assert (report.state, report.ranked, report.pending) == ("done", 30, 0)
    assert report.requests == len(service.bodies) == 30
    assert report.usd == pytest.approx(30 * 0.002)
    assert 1 < service.most_at_once <= AT_ONCE
    for row in rows:
        scores = [score(row["query"], text) for text in row["documents"]]
        best = sorted(range(3), key=lambda at: -scores[at])
        wanted = [{"index": at, "relevance_score": scores[at]} for at in best]
        assert out[row["id"]] == wanted


def kill_and_resume(tmp_path: Path, service: JobService, kills: int, rows: int) -> None:
    """Kill the program so many times at moments of chance, then let it end."""
    write_rows(tmp_path / "in.jsonl", rows)
    chance = random.Random(5)  # noqa: S311 - moments
    service.delay = 0.003
    for _ in range(kills):
        before = len(service.bodies)
        program = start(tmp_path, service)
        service.wait_for(before + chance.randint(1, rows // kills))
        program.kill()
        program.communicate()
    program = start(tmp_path, service)
    said = program.communicate()[1]
    lines = read_lines(tmp_path / "out.jsonl")

    assert program.returncode == 0, said
    assert sorted(line["row"] for line in lines) == list(range(rows))
    assert {line["id"] for line in lines} == {f"r{at}" for at in range(rows)}
    assert rows <= len(service.bodies) <= rows + kills * AT_ONCE


@pytest.mark.slow
def test_killed_and_run_again_each_row_is_there_once(tmp_path: Path, service: JobService) -> None:
    """What is paid twice is at most what was under way."""
    kill_and_resume(tmp_path, service, kills=3, rows=60)


@pytest.mark.slow
def test_killed_at_twenty_moments_each_row_is_there_once(
    tmp_path: Path, service: JobService
) -> None:
    """The same at twenty moments of chance."""
    kill_and_resume(tmp_path, service, kills=20, rows=400)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_saves_what_is_under_way(
    tmp_path: Path, service: JobService, times: int
) -> None:
    """Once: it is finished and written. Twice: it is left pending. 130 either way."""
    write_rows(tmp_path / "in.jsonl", 500)
    program = start(tmp_path, service)
    service.wait_for(20)
    service.delay = 1.0 if times == 1 else 60.0
    service.wait_for(60 if times == 1 else len(service.bodies) + 1)
    program.send_signal(signal.SIGINT)
    if times == 2:
        assert program.stderr is not None
        assert b"once more" in program.stderr.readline()
        program.send_signal(signal.SIGINT)
    said = program.communicate()[1]
    written = {line["id"].removeprefix("r") for line in read_lines(tmp_path / "out.jsonl")}
    asked = {query.removeprefix("q") for query in service.queries}

    assert program.returncode == 130, said
    assert (written == asked) is (times == 1)
    assert len(asked) < 500
    service.delay = 0
    assert make_job(tmp_path, service, options={"max_retries": 0}).run().state == "done"
    assert Counter(line["row"] for line in read_lines(tmp_path / "out.jsonl")) == dict.fromkeys(
        range(500), 1
    )


@pytest.mark.parametrize("why", ["limit", "refusal"])
def test_an_interrupt_does_not_wait_for_what_was_not_sent(
    tmp_path: Path, service: JobService, why: str
) -> None:
    """Rows that a limit or the service's 429 holds back stay pending, at once."""
    write_rows(tmp_path / "in.jsonl", 20)
    service.answer = lambda body: (
        (429, {"retry-after": "100"}, {})
        if why == "refusal" and len(service.bodies) > 5
        else rank(body)
    )
    limits = {"requests_per_minute": 1} if why == "limit" else {}
    job = make_job(tmp_path, service, **limits)

    async def interrupt() -> Any:
        engines: list[Any] = []
        running = asyncio.create_task(job.arun(begun=engines.append))
        await asyncio.to_thread(service.wait_for, 6 if why == "refusal" else 1)
        await asyncio.sleep(0.3)
        engines[0].stop("interrupted", "interrupted")
        return await asyncio.wait_for(running, 20)

    report = asyncio.run(interrupt())
    assert report.state == "interrupted"
    assert report.requests == len(service.bodies)
    assert report.ranked == len(read_lines(tmp_path / "out.jsonl"))


def test_an_unfinished_line_is_cut_off(tmp_path: Path, service: JobService) -> None:
    """A full disk or a power cut may leave half a line; its row is ranked again."""
    write_rows(tmp_path / "in.jsonl", 5)
    make_job(tmp_path, service).run()
    out = tmp_path / "out.jsonl"
    content = out.read_bytes()
    out.write_bytes(content[:-7])
    report = make_job(tmp_path, service).run()

    assert (report.state, report.ranked_now) == ("done", 1)
    assert sorted(line["row"] for line in read_lines(out)) == list(range(5))


def test_a_damaged_line_in_the_middle_is_refused(tmp_path: Path, service: JobService) -> None:
    """Something else wrote there: nothing is guessed, and nothing sent."""
    write_rows(tmp_path / "in.jsonl", 5)
    make_job(tmp_path, service).run()
    out = tmp_path / "out.jsonl"
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(lines[0] + b"#\n" + b"".join(lines[1:4]))

    with pytest.raises(JobError, match=r"out\.jsonl:2: unreadable"):
        make_job(tmp_path, service).run()
    assert len(service.bodies) == 5


@pytest.mark.parametrize(
    "line", ["{}", '{"row": 1}', '{"row": 5, "usage": {}}', '{"row": -1, "usage": {}}']
)
@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.job/failed.jsonl"])
def test_a_line_of_no_row_is_refused(
    tmp_path: Path, service: JobService, name: str, line: str
) -> None:
    """As one is that cannot be read: with its place."""
    write_rows(tmp_path / "in.jsonl", 5)
    make_job(tmp_path, service).run()
    (tmp_path / name).write_text(f"{line}\n")

    with pytest.raises(JobError, match=r"\.jsonl:1: no line of this job"):
        make_job(tmp_path, service).run()
    assert len(service.bodies) == 5


def test_a_full_disk_leaves_whole_lines(
    tmp_path: Path, service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job ends with the error; run again, it goes on."""
    write_rows(tmp_path / "in.jsonl", 20)
    write, left = os.write, [900]

    def write_little(file: int, content: Any) -> int:
        if left[0] <= 0:
            raise OSError(28, "No space left on device")
        done = write(file, bytes(content)[: left[0]])
        left[0] -= done
        return done

    with monkeypatch.context() as patched:
        patched.setattr("rerank_jobs._journal.os.write", write_little)
        with pytest.raises(OSError, match="No space"):
            make_job(tmp_path, service).run()
    before = read_lines(tmp_path / "out.jsonl")

    assert 0 < len(before) < 20
    assert make_job(tmp_path, service).run().state == "done"
    assert len(read_lines(tmp_path / "out.jsonl")) == 20


def test_one_program_at_a_time(tmp_path: Path, service: JobService) -> None:
    """Two of one job would write the same rows."""
    write_rows(tmp_path / "in.jsonl", 2_000)
    service.delay = 0.05
    program = start(tmp_path, service)
    service.wait_for(10)

    with pytest.raises(JobError, match="another program runs this job"):
        make_job(tmp_path, service, options={"max_retries": 2}).run()
    program.kill()
    program.communicate()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"top_n": 2}, "top_n: None, now 2"),
        ({"model": "cohere/rerank-english-v3.0"}, "model"),
        ({"params": {"max_tokens_per_doc": 5}}, "params"),
        ({"options": {"extra_body": {"priority": 1}}}, "options"),
    ],
)
def test_another_job_is_refused(
    tmp_path: Path, service: JobService, changed: dict[str, Any], named: str
) -> None:
    """What moves scores may not change between runs; the message says what differs."""
    write_rows(tmp_path / "in.jsonl", 3)
    make_job(tmp_path, service).run()

    with pytest.raises(JobError, match=named):
        make_job(tmp_path, service, **changed).run()
    assert len(service.bodies) == 3


def test_a_job_that_began_in_between_is_not_mixed_with(
    tmp_path: Path, service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may take the output between the look at it and the lock."""
    write_rows(tmp_path / "in.jsonl", 3)
    acquire = Folder.acquire

    def after_another(folder: Folder) -> None:
        monkeypatch.setattr(Folder, "acquire", acquire)
        with ThreadPoolExecutor() as elsewhere:  # this one has an event loop already
            elsewhere.submit(make_job(tmp_path, service).run).result()
        acquire(folder)

    monkeypatch.setattr(Folder, "acquire", after_another)
    with pytest.raises(JobError, match=r"belongs to another job .*params"):
        make_job(tmp_path, service, params={"top_n": 1}).run()

    assert [len(row["results"]) for row in read_lines(tmp_path / "out.jsonl")] == [3, 3, 3]


def test_another_input_is_refused(tmp_path: Path, service: JobService) -> None:
    """By its content, not by its name; nor by size and time, which whole folders may have."""
    before = write_rows(tmp_path / "in.jsonl", 3)
    make_job(tmp_path, service).run()
    other = tmp_path / "other.jsonl"
    other.write_text(before.read_text().replace("q1", "q9"))
    os.utime(other, ns=(before.stat().st_atime_ns, before.stat().st_mtime_ns))
    with pytest.raises(JobError, match="input: '"):
        make_job(tmp_path, service, input=other).run()
    write_rows(tmp_path / "in.jsonl", 4)

    with pytest.raises(JobError, match="rows: 3, now 4"):
        make_job(tmp_path, service).run()


def test_a_base_url_of_the_environment_is_part_of_the_job(
    tmp_path: Path, service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server may have another model under the same name."""
    write_rows(tmp_path / "in.jsonl", 3)
    job = Job(input=tmp_path / "in.jsonl", model="infinity/any", output=tmp_path / "out.jsonl")
    monkeypatch.setenv("INFINITY_API_BASE", service.url)
    job.run()
    monkeypatch.setenv("INFINITY_API_BASE", "http://127.0.0.1:9")

    with pytest.raises(JobError, match="base_url"):
        job.run()


def test_an_input_that_changes_meanwhile_stops_the_job(tmp_path: Path, service: JobService) -> None:
    """Rows that were not counted are not sent, and the job does not call itself done."""
    rows = write_rows(tmp_path / "in.jsonl", 30)
    content = rows.read_text()

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if body["query"] == "q20":
            rows.write_text(content + content.replace('"r', '"s'))
        return rank(body)

    service.answer = answer
    with pytest.raises(JobError, match=r"in\.jsonl changed"):
        make_job(tmp_path, service).run()

    assert len(service.bodies) <= 30
    with pytest.raises(JobError, match="another job"):
        make_job(tmp_path, service).run()


def test_what_moves_no_score_may_change(tmp_path: Path, service: JobService) -> None:
    """Concurrency, limits, caps, key and patience."""
    write_rows(tmp_path / "in.jsonl", 3)
    make_job(tmp_path, service, max_requests=2).run()
    options = {"api_key": "another", "timeout": 9, "max_retries": 1}
    more: dict[str, Any] = {"concurrency": 1, "tokens_per_minute": 10**9, "options": options}

    assert make_job(tmp_path, service, **more).run().state == "done"
    assert len(service.bodies) == 3


def test_a_file_that_no_job_made_is_left_alone(tmp_path: Path, service: JobService) -> None:
    """It may be somebody's work."""
    write_rows(tmp_path / "in.jsonl", 3)
    (tmp_path / "out.jsonl").write_text("mine\n")

    with pytest.raises(JobError, match="no job made it"):
        make_job(tmp_path, service).run()
    assert (tmp_path / "out.jsonl").read_text() == "mine\n"


def test_failed_rows_are_told_and_ranked_again_on_request(
    tmp_path: Path, service: JobService
) -> None:
    """The others are ranked; another run leaves them alone, unless it is asked to."""
    write_rows(tmp_path / "in.jsonl", 12)
    bad = {"q3", "q9"}

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        return (500, {}, {"message": "broken"}) if body["query"] in bad else rank(body)

    service.answer = answer
    report = make_job(tmp_path, service).run()
    failed = read_lines(tmp_path / "out.jsonl.job" / "failed.jsonl")

    assert (report.state, report.ranked, report.failed, report.pending) == ("failed", 10, 2, 0)
    assert {(line["id"], line["error"]) for line in failed} == {
        ("r3", "ServerError"),
        ("r9", "ServerError"),
    }
    assert all("broken" in line["message"] for line in failed)
    assert make_job(tmp_path, service).run().ranked_now == 0
    bad.discard("q3")
    report = make_job(tmp_path, service, retry_failed=True).run()
    assert (report.ranked, report.failed, report.requests) == (11, 1, 14)
    (line,) = read_lines(tmp_path / "out.jsonl.job" / "failed.jsonl")
    assert line["id"] == "r9"
    # What was spent on rows that are no longer listed is not forgotten.
    assert make_job(tmp_path, service).run().requests == 14


def test_all_failed_rows_are_tried_again(tmp_path: Path, service: JobService) -> None:
    """Those that fail once more stand before those that do not: a job that ranked rows goes on."""
    write_rows(tmp_path / "in.jsonl", 60)
    bad = {f"q{at}" for at in range(0, 60, 3)}
    service.answer = lambda body: (500, {}, {}) if body["query"] in bad else rank(body)
    make_job(tmp_path, service).run()
    bad -= {"q57"}
    report = make_job(tmp_path, service, retry_failed=True).run()

    assert (report.state, report.ranked, report.failed) == ("failed", 41, 19)


def test_no_key_stands_in_any_file(tmp_path: Path, service: JobService) -> None:
    """Neither in the job's own files nor in a failure's message."""
    write_rows(tmp_path / "in.jsonl", 3)
    service.answer = lambda _: (500, {}, {"message": "no good: sk-secret-0123456789"})
    make_job(tmp_path, service, options={"api_key": "sk-secret-0123456789"}).run()

    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-secret" not in path.read_bytes()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("elastic/any", {"password": "sk-secret-0123456789", "username": "me"}),
        ("infinity/any", {"api_base": "http://me:sk-secret-0123456789@127.0.0.1:9"}),
    ],
)
def test_no_other_secret_stands_in_any_file(
    tmp_path: Path, service: JobService, model: str, options: dict[str, Any]
) -> None:
    """A provider's own secret options, and a password in a URL."""
    write_rows(tmp_path / "in.jsonl", 1)
    make_job(tmp_path, service, model=model, options=options).run()

    assert (tmp_path / "out.jsonl.job" / "job.json").exists()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-secret" not in path.read_bytes()


@pytest.mark.parametrize(
    "params",
    [
        {"extra_headers": {"Authorization": "Bearer sk-secret-0123456789"}},
        {"api_key": "sk-secret-0123456789"},
        {"aws_secret_access_key": "sk-secret-0123456789"},
        {"token": "sk-secret-0123456789"},
    ],
)
def test_what_is_no_parameter_is_refused_before_anything_is_written(
    tmp_path: Path, service: JobService, params: dict[str, Any]
) -> None:
    """It would be kept in the job's own file, a key perhaps."""
    write_rows(tmp_path / "in.jsonl", 1)
    job = make_job(tmp_path, service, params=params)
    for begin in (job.run, job.estimate):
        with pytest.raises(UnsupportedParamError):
            begin()

    assert [each.name for each in tmp_path.iterdir()] == ["in.jsonl"]
    assert service.bodies == []


def test_another_format_of_the_same_file_is_another_job(
    tmp_path: Path, service: JobService
) -> None:
    """Its rows are others, under the same positions."""
    (tmp_path / "in.txt").write_text("id,query,document\na,q,red\na,q,blue\nb,q,red\n")
    settings = {"input": tmp_path / "in.txt", "retry_failed": True}
    assert make_job(tmp_path, service, **settings, format="jsonl").run().failed == 4

    with pytest.raises(JobError, match="format: 'jsonl', now 'csv'"):
        make_job(tmp_path, service, **settings, format="csv").run()


def test_a_job_that_dies_at_its_very_end_counts_nothing_twice(
    tmp_path: Path, service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what is written last: the failures that remain, and what was spent."""
    write_rows(tmp_path / "in.jsonl", 5)
    bad = {"q1", "q3"}
    service.answer = lambda body: (500, {}, {}) if body["query"] in bad else rank(body)
    make_job(tmp_path, service).run()
    bad.clear()
    for last in (1, 2):

        def dies(path: Path, content: bytes, last: int = last) -> None:
            if last == 2:
                replace_file(path, content)
            raise KeyboardInterrupt

        monkeypatch.setattr(_run, "replace_file", dies)
        with pytest.raises(KeyboardInterrupt):
            make_job(tmp_path, service, retry_failed=True).run()
    monkeypatch.setattr(_run, "replace_file", replace_file)
    report = make_job(tmp_path, service).run()

    assert (report.state, report.ranked) == ("done", 5)
    assert report.requests == len(service.bodies) == 7
    assert make_job(tmp_path, service).run().requests == 7


def test_rows_that_cannot_be_ranked_fail_alone(tmp_path: Path, service: JobService) -> None:
    """A line that is no JSON, no object, without a query, with a blank one, nested too deep."""
    deep = "[" * 300 + "]" * 300
    lines = [
        '{"id": "a", "query": "q", "documents": ["x"]}',
        "nonsense",
        "[]",
        '{"id": "d", "documents": ["x"]}',
        '{"id": "e", "query": " ", "documents": ["x"]}',
        '{"id": 6, "query": "q", "documents": []}',
        deep,
        f'{{"query": "q", "documents": {deep}}}',
        f'{{"id": "i", "query": "q", "documents": [{{"a": {deep}, "b": 0}}, 1]}}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    report = make_job(tmp_path, service).run()
    out = {line["id"]: line["results"] for line in read_lines(tmp_path / "out.jsonl")}
    failed = read_lines(tmp_path / "out.jsonl.job" / "failed.jsonl")

    assert (report.ranked, report.failed) == (2, 7)
    assert [each["index"] for each in out["a"]] == [0]
    assert out[6] == []
    assert sorted(line["row"] for line in failed) == [1, 2, 3, 4, 6, 7, 8]
    assert len(service.bodies) == 1


def test_an_id_comes_out_as_it_was_given(tmp_path: Path) -> None:
    """Text or number; what is no name, or was rounded, gets one that tells its position."""
    given = ["a", "1", 2, 3.5, None, "", True, [], 10**30]
    rows = [{"id": name, "query": "q", "documents": ["x"]} for name in given]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    out = tmp_path / "out.jsonl"
    Job(input=tmp_path / "in.jsonl", model="local/bm25", output=out, in_order=True).run()
    names = [line["id"] for line in read_lines(out)]

    assert names[:4] == given[:4]
    assert [name.partition("-")[0] for name in names[4:]] == list("45678")


def test_an_id_stands_once(tmp_path: Path, service: JobService) -> None:
    """Refused before anything is sent."""
    row = '{"id": "a", "query": "q", "documents": ["x"]}\n'
    (tmp_path / "in.jsonl").write_text(row + row)

    with pytest.raises(JobError, match="'a' stands twice"):
        make_job(tmp_path, service).run()
    assert not service.bodies


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_would_fail_for_every_row_stops_after_one(
    tmp_path: Path, service: JobService, status: int
) -> None:
    """However many may be under way at once; the rows stay pending."""
    write_rows(tmp_path / "in.jsonl", 100)
    service.answer = lambda _: (status, {}, {"message": "no"})

    with pytest.raises(RerankError) as caught:
        make_job(tmp_path, service, concurrency=64).run()
    assert caught.value.status_code == status
    assert len(service.bodies) == 1
    service.answer = rank
    assert make_job(tmp_path, service).run().ranked_now == 100


def test_a_key_that_is_taken_back_stops_a_job_under_way(
    tmp_path: Path, service: JobService
) -> None:
    """What was under way is tried, nothing else; nothing counts as failed."""
    write_rows(tmp_path / "in.jsonl", 100)
    answered = Counter[str]()

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        answered["all"] += 1
        return rank(body) if answered["all"] <= 50 else (401, {}, {"message": "gone"})

    service.answer = answer
    with pytest.raises(AuthenticationError):
        make_job(tmp_path, service).run()

    assert len(service.bodies) <= 50 + AT_ONCE
    assert len(read_lines(tmp_path / "out.jsonl")) == 50
    assert not (tmp_path / "out.jsonl.job" / "failed.jsonl").read_bytes()


def test_a_service_that_only_fails_is_left_alone(tmp_path: Path, service: JobService) -> None:
    """Ten rows from the first on are enough."""
    write_rows(tmp_path / "in.jsonl", 100)
    service.answer = lambda _: (500, {}, {"message": "down"})
    report = make_job(tmp_path, service).run()

    assert (report.state, report.failed, report.pending) == ("aborted", 10, 90)
    assert "10 rows failed from the first on" in report.reason


@pytest.mark.parametrize(
    "answer", [(402, {}, {"message": "pay"}), (429, {}, {"message": "monthly quota is used up"})]
)
def test_a_spent_quota_pauses(
    tmp_path: Path, service: JobService, answer: tuple[int, dict[str, str], Any]
) -> None:
    """Rows stay pending, none fails; when there is money again, the same job goes on."""
    write_rows(tmp_path / "in.jsonl", 40)

    def spend(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        return rank(body) if len(service.bodies) <= 20 else answer

    service.answer = spend
    report = make_job(tmp_path, service).run()

    assert (report.state, report.failed) == ("paused", 0)
    assert 20 <= report.ranked < 20 + AT_ONCE
    service.answer = rank
    assert make_job(tmp_path, service).run().state == "done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"retry-after": "0"}, "too many requests"),
        ({}, "No payment method: reduced rate limits of 3 RPM and 10K TPM"),
        ({}, "Quota exceeded: 10 requests per second"),
        ({}, "Rate limit reached, 3 / min. Add credit to raise it"),
    ],
)
def test_rows_that_meet_a_rate_limit_are_ranked_all_the_same(
    tmp_path: Path, service: JobService, headers: dict[str, str], said: str
) -> None:
    """A 429 is no failure of a row, and a rate no spent quota, whatever is advised beside it."""
    write_rows(tmp_path / "in.jsonl", 20)
    refused = set[str]()

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if body["query"] in {"q5", "q6"} - refused:
            refused.add(body["query"])
            return 429, headers, {"message": said}
        return rank(body)

    service.answer = answer
    report = make_job(tmp_path, service).run()

    assert (report.state, report.ranked, report.requests) == ("done", 20, 22)


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "2.5"},
        {"retry-after-ms": "2500"},
        {"retry-after": "Sun, 29 Nov 2026 12:00:03 GMT", "date": "Sun, 29 Nov 2026 12:00:00 GMT"},
    ],
)
def test_nobody_sends_until_retry_after_is_over(
    tmp_path: Path, service: JobService, headers: dict[str, str]
) -> None:
    """In every form; core waits within its call, and the others wait with it."""
    write_rows(tmp_path / "in.jsonl", 30)
    refused: list[float] = []

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if body["query"] != "q9" or refused:
            return rank(body)
        refused.append(time.monotonic())
        return 429, headers, {"message": "too many requests"}

    service.answer = answer
    report = make_job(tmp_path, service, options={"max_retries": 2}).run()
    after = [then - refused[0] for then in service.times if then > refused[0] + 0.5]

    assert report.state == "done"
    assert len(after) > 10
    assert min(after) >= 2.4


@pytest.mark.parametrize("named", ["retry-after", "retry-after-ms"])
def test_a_wait_of_more_than_an_hour_pauses(
    tmp_path: Path, service: JobService, named: str
) -> None:
    """Nobody sits before a job that waits for days: its rows stay pending."""
    write_rows(tmp_path / "in.jsonl", 30)

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        good = int(body["query"][1:]) < 5
        return rank(body) if good else (429, {named: "99999999999"}, {"message": "too many"})

    service.answer = answer
    report = make_job(tmp_path, service).run()

    assert (report.state, report.ranked, report.failed) == ("paused", 5, 0)
    assert "asks to wait" in report.reason
    assert report.seconds < 30


@pytest.mark.parametrize(
    ("caps", "most"),
    [({"max_requests": 17}, 17), ({"max_tokens": 1_000}, None), ({"max_usd": 0.0341}, 18)],
)
def test_a_cap_is_never_passed_by_more_than_one_request(
    tmp_path: Path, service: JobService, caps: dict[str, Any], most: int | None
) -> None:
    """With many at once, documents of uneven length, and over several runs."""
    with (tmp_path / "in.jsonl").open("w") as file:
        for at in range(60):
            row = {"id": at, "query": "q", "documents": ["x" * (1 + at * 37 % 90)]}
            file.write(json.dumps(row) + "\n")
    service.delay = 0.005
    model = "voyage/rerank-2.5" if "max_tokens" in caps else "cohere/rerank-v3.5"
    for _ in range(3):
        report = make_job(tmp_path, service, model=model, concurrency=32, **caps).run()
    sizes = [len(body["documents"][0]) for body in service.bodies]

    assert report.state == "capped"
    assert report.pending > 0
    if most is not None:
        assert len(sizes) == most
    else:
        assert sum(sizes) - 90 < 1_000 <= sum(sizes)


@pytest.mark.parametrize("caps", [{"max_tokens": 600}, {"max_usd": 0.00003}])
def test_a_cap_holds_where_the_service_counts_nothing(
    tmp_path: Path, service: JobService, caps: dict[str, Any]
) -> None:
    """What it does not say is estimated; the next run knows it, too."""
    write_rows(tmp_path / "in.jsonl", 60)

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        status, headers, payload = rank(body)
        return status, headers, {name: payload[name] for name in payload if name != "usage"}

    service.answer = answer
    for _ in range(2):
        report = make_job(tmp_path, service, model="voyage/rerank-2.5", **caps).run()
    of_a_row = {"max_tokens": report.tokens, "max_usd": report.usd}
    spent = {name: of_a_row[name] for name in caps}
    one = {name: amount / report.requests for name, amount in spent.items()}

    assert (report.state, report.requests) == ("capped", len(service.bodies))
    assert all(caps[name] <= spent[name] <= caps[name] + 1.2 * one[name] for name in caps)


def test_a_cap_counts_the_requests_of_rows_that_are_pending_again(
    tmp_path: Path, service: JobService
) -> None:
    """A refused request was sent, whatever became of its row; the next run knows of it."""
    write_rows(tmp_path / "in.jsonl", 40)
    service.answer = lambda body: rank(body) if len(service.bodies) <= 10 else (402, {}, {})
    states = [make_job(tmp_path, service, max_requests=16).run().state for _ in range(9)]

    assert states[0] == "paused"
    assert states[-1] == "capped"
    assert len(service.bodies) == 16


def test_a_cap_counts_what_lines_tell_of_that_are_gone(tmp_path: Path, service: JobService) -> None:
    """The output may be removed: what it cost is spent."""
    write_rows(tmp_path / "in.jsonl", 20)
    make_job(tmp_path, service, max_requests=8).run()
    (tmp_path / "out.jsonl").unlink()
    report = make_job(tmp_path, service, max_requests=8).run()

    assert (report.state, report.requests, len(service.bodies)) == ("capped", 8, 8)
    assert report.usd == pytest.approx(8 * 0.002)


def test_a_cap_in_dollars_needs_a_price(tmp_path: Path, service: JobService) -> None:
    """A cap that cannot be kept is refused before anything is sent."""
    write_rows(tmp_path / "in.jsonl", 3)

    with pytest.raises(JobError, match="no price is known"):
        make_job(tmp_path, service, model="infinity/any", max_usd=1).run()
    assert not service.bodies


def test_retries_count_as_requests(tmp_path: Path, service: JobService) -> None:
    """The cap is on what is sent, not on rows."""
    write_rows(tmp_path / "in.jsonl", 10)
    seen = Counter[str]()

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        seen[body["query"]] += 1
        return (503, {"retry-after": "0"}, {}) if seen[body["query"]] == 1 else rank(body)

    service.answer = answer
    report = make_job(tmp_path, service, max_requests=9, options={"max_retries": 2}).run()

    assert len(service.bodies) == report.requests == 9
    assert report.state == "capped"


def test_parts_of_a_split_list_count_as_requests(tmp_path: Path, service: JobService) -> None:
    """One row may be several requests, each held back and paid for."""
    write_rows(tmp_path / "in.jsonl", 2, documents=7)
    job = make_job(tmp_path, service, options={"max_documents": 2})
    estimate = job.estimate()

    assert estimate.requests == 8
    assert estimate.usd == pytest.approx(8 * 0.002)
    assert job.run().requests == len(service.bodies) == 8


@pytest.mark.parametrize(
    ("model", "caps", "most"),
    [
        ("cohere/rerank-v3.5", {"max_usd": 0.001}, 1),
        ("cohere/rerank-v3.5", {"max_usd": 0.021}, 11),
        ("voyage/rerank-2.5", {"max_tokens": 500}, None),
    ],
)
def test_a_cap_is_not_passed_by_the_parts_of_one_row(
    tmp_path: Path, service: JobService, model: str, caps: dict[str, Any], most: int | None
) -> None:
    """What each took is known when its row ends: until then it is estimated."""
    write_rows(tmp_path / "in.jsonl", 6, documents=8)
    service.delay = 0.005
    options = {"max_documents": 1}
    for _ in range(2):
        report = make_job(tmp_path, service, model=model, options=options, **caps).run()
    sizes = [len(body["documents"][0]) for body in service.bodies]

    assert report.state == "capped"
    if most is not None:
        assert len(sizes) == most
    else:
        assert sum(sizes) < 500 + 2 * 19


def test_a_dry_run_sends_and_writes_nothing(tmp_path: Path, service: JobService) -> None:
    """It says what it would take."""
    write_rows(tmp_path / "in.jsonl", 30)
    estimate = make_job(tmp_path, service, requests_per_minute=10).estimate()

    assert (estimate.rows, estimate.pairs, estimate.requests) == (30, 90, 30)
    assert estimate.usd == pytest.approx(0.06)
    assert estimate.minutes == pytest.approx(3)
    assert not service.bodies
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_search_has_at_most_a_hundred_documents(tmp_path: Path, service: JobService) -> None:
    """What is billed by search costs more for a longer list, in one request or several."""
    write_rows(tmp_path / "in.jsonl", 2, documents=201)
    estimate = make_job(tmp_path, service).estimate()

    assert estimate.requests == 2
    assert estimate.usd == pytest.approx(6 * 0.002)


def test_a_cache_answers_what_another_job_asked(tmp_path: Path, service: JobService) -> None:
    """The second job sends nothing, and writes the same."""
    write_rows(tmp_path / "in.jsonl", 12)
    cache = tmp_path / "scores"
    make_job(tmp_path, service, cache=cache).run()
    report = make_job(tmp_path, service, cache=cache, output=tmp_path / "again.jsonl").run()
    first, again = (read_lines(tmp_path / name) for name in ("out.jsonl", "again.jsonl"))

    assert len(service.bodies) == 12
    assert (report.requests, report.usd) == (0, 0.0)
    assert {line["id"]: line["results"] for line in first} == {
        line["id"]: line["results"] for line in again
    }


def test_a_cache_tells_headers_apart_that_are_no_key(tmp_path: Path, service: JobService) -> None:
    """One may choose the model; a key does not, and may change."""
    write_rows(tmp_path / "in.jsonl", 3)
    headers = [{"x-model": "1"}, {"x-model": "2"}, {"x-model": "2", "x-api-key": "another"}]
    requests = []
    for at, each in enumerate(headers):
        output, options = tmp_path / f"{at}.jsonl", {"extra_headers": each}
        job = make_job(tmp_path, service, output=output, cache=tmp_path / "scores", options=options)
        requests.append(job.run().requests)

    assert requests == [3, 3, 0]


def test_an_ordered_output_has_the_order_of_the_input(tmp_path: Path) -> None:
    """Put into order at the end; in this process, as everywhere."""
    write_rows(tmp_path / "in.jsonl", 40)
    out = tmp_path / "out.jsonl"
    report = Job(input=tmp_path / "in.jsonl", model="local/bm25", output=out, in_order=True).run()

    assert report.requests == 0
    assert [line["row"] for line in read_lines(out)] == list(range(40))
    wanted = rerank("local/bm25", "q7", [f"document {each} of row 7" for each in range(3)])
    assert [each["relevance_score"] for each in read_lines(out)[7]["results"]] == [
        result.relevance_score for result in wanted.results
    ]


@pytest.mark.parametrize("name", ["top_n", "rank_fields", "return_documents", "query", "documents"])
def test_what_the_job_says_itself_is_no_further_parameter(name: str) -> None:
    """One of the two would be dropped."""
    said: dict[str, Any] = {"top_n": 2, "rank_fields": ["text"]}
    with pytest.raises(JobError, match=f"params cannot have {name}"):
        Job(input="in.jsonl", model="local/bm25", output="out", params={name: 1}, **said)


def test_a_setting_may_stand_among_the_parameters(tmp_path: Path, service: JobService) -> None:
    """It is not dropped."""
    write_rows(tmp_path / "in.jsonl", 3)
    make_job(tmp_path, service, params={"top_n": 1}).run()

    assert [len(row["results"]) for row in read_lines(tmp_path / "out.jsonl")] == [1, 1, 1]


@pytest.mark.parametrize("name", ["fallbacks", "on_failure", "http_client"])
def test_what_would_mix_models_is_refused(tmp_path: Path, service: JobService, name: str) -> None:
    """All rows have the scores of one model."""
    write_rows(tmp_path / "in.jsonl", 1)

    with pytest.raises(JobError, match=name):
        make_job(tmp_path, service, options={name: "local/bm25"}).run()
