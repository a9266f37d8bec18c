"""A job's folder beside its output: what it is, how far it is, and that one program has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
from attrs import field, frozen
from filelock import FileLock, Timeout

from rerank_core import Provider
from rerank_jobs._journal import replace_file
from rerank_jobs.errors import JobError

_VERSION = 1
# Options of `Reranker` that move no score: these may change between runs.
_MAY_CHANGE = {
    "api_base",  # kept as the base URL that it makes
    "api_key",
    "timeout",
    "max_retries",
    "num_retries",
    "deadline",
    "extra_headers",
    "headers",
    "max_concurrency",
    "max_response_bytes",
}


@frozen
class Folder:
    """The files of a job, in `<output>.job/`.

    Attributes:
        output: The file that the user asked for.
    """

    output: Path
    path: Path = field(init=False)
    _lock: FileLock = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        path = self.output.with_name(f"{self.output.name}.job")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "_lock", FileLock(path / "lock"))

    @property
    def journal(self) -> Path:
        """Where finished rows are appended: the output itself, where that is JSON Lines."""
        is_jsonl = self.output.suffix.lower() in {".jsonl", ".ndjson"}
        return self.output if is_jsonl else self.path / "journal.jsonl"

    @property
    def failed(self) -> Path:
        """Where failed rows are appended."""
        return self.path / "failed.jsonl"

    @property
    def job(self) -> Path:
        """What the job is, and how far it was a second ago."""
        return self.path / "job.json"

    def acquire(self) -> None:
        """Make the folder, and let nobody else write there.

        Raises:
            JobError: Another program does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JobError(f"{self.output.name}: another program runs this job") from None

    def release(self) -> None:
        """Let others write."""
        self._lock.release()

    def is_running(self) -> bool:
        """Whether a program runs the job now."""
        if not self.path.is_dir():
            return False
        try:
            with self._lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def read(self) -> dict[str, Any] | None:
        """What `job.json` says; `None` where there is no job yet.

        Raises:
            JobError: It is not ours.
        """
        if not self.job.exists():
            return None
        try:
            found = orjson.loads(self.job.read_bytes())
            if found["version"] == _VERSION and isinstance(found["fingerprint"], dict):
                return found  # type: ignore[no-any-return]  # decoded JSON
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass
        raise JobError(f"{self.job}: not a job of this version; choose another output")

    def write(self, fingerprint: Mapping[str, Any], seen: Any, progress: Mapping[str, Any]) -> None:
        """Keep what the job is and how far it is."""
        found = {
            "version": _VERSION,
            "fingerprint": fingerprint,
            "seen": seen,
            "progress": progress,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        replace_file(self.job, orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str))

    def check(self, fingerprint: Mapping[str, Any]) -> None:
        """Refuse to go on with a job that is another one.

        Raises:
            JobError: What differs is named; or there is an output that no job made.
        """
        found = self.read()
        if found is None:
            if self.output.exists() and self.output.stat().st_size:
                raise JobError(f"{self.output.name} exists, and no job made it: choose another")
            return
        before, now = found["fingerprint"], plain(fingerprint)
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if names:
            said = "; ".join(
                f"{name}: {before.get(name)!r}, now {now.get(name)!r}" for name in names
            )
            raise JobError(f"{self.output.name} belongs to another job ({said}): choose another")


def plain(value: Any) -> Any:
    """The value as it comes back from JSON; an object by its type, since its address changes."""
    return orjson.loads(orjson.dumps(value, default=_name_of))


def _name_of(value: Any) -> str:
    named = value if hasattr(value, "__name__") else type(value)
    return f"{getattr(named, '__module__', '')}.{named.__name__}".strip(".")


def options_of_fingerprint(options: Mapping[str, Any], facts: Provider) -> dict[str, Any]:
    """The options that may move a score, the base URL apart; no secret is among them."""
    left_out = {*_MAY_CHANGE, *facts.secret_options}
    return {name: value for name, value in options.items() if name not in left_out}


def plain_url(url: str | None) -> str | None:
    """A base URL without what may be secret in it: user, password and query."""
    if url is None:
        return None
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
