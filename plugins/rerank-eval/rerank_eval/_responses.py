"""`responses.jsonl`: every answer, kept as it came, so that nothing is paid twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from attrs import Factory, define, field, fields, frozen

from rerank_core import ConfigurationError
from rerank_eval._data import Collection, refuse, topic_checksum

FORMAT = 1


@frozen(kw_only=True)
class Answer:
    """What one model said to one query, or why it said nothing.

    Attributes:
        model: The row's label.
        query_id: The query.
        repeat: Which of the runs, from 0.
        asked: A fingerprint of query and candidates.
        order: Indices of the candidates, best first; as they were returned.
        scores: One for each of `order`; `None` where a document has none.
        seconds: Of the call, retries included; of every call, where there were several.
        attempts: Requests that were sent; `None` where core does not tell.
        waited: Seconds of `seconds` that were waits before retries.
        cost: US dollars; `None` where it is not known.
        started: Its place among the calls of this model in its run of the program, from 0.
        warnings: The response's.
        error: Type and message of what failed; `None` where nothing did.
    """

    model: str
    query_id: str
    repeat: int = 0
    asked: str = ""
    order: Sequence[int] = ()
    scores: Sequence[float | None] = ()
    seconds: float | None = None
    attempts: int | None = None
    waited: float = 0.0
    cost: float | None = None
    started: int = 0
    warnings: Sequence[str] = ()
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What it answers."""
        return self.model, self.query_id, self.repeat


_NAMES = [attribute.name for attribute in fields(Answer)]


@define
class Responses:
    """The answers of one comparison, in memory and, with a path, in a file.

    Attributes:
        path: The file; `None` for none.
        answers: The last answer to each question.
        runs: What the program was when it asked: date, versions, models.
    """

    path: Path | None = None
    answers: dict[tuple[str, str, int], Answer] = Factory(dict)
    runs: list[Mapping[str, Any]] = Factory(list)
    _file: Any = field(default=None, init=False)

    @classmethod
    def open(cls, path: Path | None, collection: Collection) -> Responses:
        """Read what is there; an unfinished last line, of a run that was killed, is cut off.

        Raises:
            DataError: A line is something else.
            ConfigurationError: The file has answers to other candidates than these.
        """
        kept = cls(path)
        if path is None or not path.exists():
            return kept
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        # Not str.splitlines: what a service says may hold U+2028 and the like as they are.
        for number, line in enumerate(whole.decode("utf-8").split("\n")[:-1], 1):
            kept._take(path, number, line)
        expected = {topic.query_id: topic_checksum(topic) for topic in collection.topics}
        for answer in kept.answers.values():
            if expected.get(answer.query_id, answer.asked) != answer.asked:
                raise ConfigurationError(
                    f"{path} has answers to other candidates for query {answer.query_id!r}: the"
                    " data or --depth has changed. Use another --output, or remove the file"
                )
        return kept

    def _take(self, path: Path, number: int, line: str) -> None:
        try:
            row = json.loads(line)
            if "run" in row:
                if row["run"]["format"] != FORMAT:
                    message = (
                        f"format {row['run']['format']} is not {FORMAT}, which this version reads"
                    )
                    raise refuse(path, number, message)
                self.runs.append(row["run"])
                return
            answer = Answer(**row)
        except (ValueError, TypeError, KeyError) as error:
            raise refuse(path, number, f"no answer of this program ({error})") from error
        self.answers[answer.key] = answer

    def add_run(self, about: Mapping[str, Any]) -> None:
        """Note under what conditions the next answers come."""
        run = {"format": FORMAT, **about}
        self.runs.append(run)
        self._write({"run": run})

    def add(self, answer: Answer) -> None:
        """Keep an answer; it is written before this returns."""
        self.answers[answer.key] = answer
        self._write({name: getattr(answer, name) for name in _NAMES})

    def _write(self, row: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        left = memoryview(text.encode("utf-8", "replace") + b"\n")
        end = self._file.tell()
        try:
            while left:  # a disk that is nearly full takes a part of a line, without an error
                left = left[self._file.write(left) :]
        except BaseException:  # what was under way is kept behind it: not behind half a line
            self._file.truncate(end)
            raise

    def of(self, model: str, query_id: str, repeats: int) -> Iterator[Answer | None]:
        """The answers of a model to a query, one for each repeat."""
        for repeat in range(repeats):
            yield self.answers.get((model, query_id, repeat))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
