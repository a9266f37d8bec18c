"""Fuzz the way from a reply to a response, guided by the coverage of core and of the plugins.

    uv run --with atheris python tests/fuzz/fuzz_replies.py --seconds 60 [--plugin cohere]

Seeds are the replies of `seeds.py`; they are spoilt by `mutations.py` and by libFuzzer's own
changes of bytes; `promises.py` judges what comes of them. Each kind of broken promise is printed
once, with what an entry in `findings.py` needs; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
PLUGINS = sorted(
    path.parent.name.removeprefix("rerank-")  # as in seeds.py, which may not be imported yet
    for path in (TESTS.parent / "plugins").glob("rerank-*/pyproject.toml")
    if "rerank_core.providers" in path.read_text(encoding="utf-8")
)
# Beyond this an input says nothing new, and takes long.
MOST_BYTES = 65_536
# To start, to instrument and to end.
GRACE_SECONDS = 300


def _fuzz(plugin: str, seconds: int, seed: int, corpus: Path) -> None:
    """Fuzz one plugin in this process, which libFuzzer ends."""
    atheris: Any = importlib.import_module("atheris")  # installed where fuzzing is done
    sys.path.append(str(TESTS))
    with atheris.instrument_imports(include=["rerank_core", f"rerank_{plugin.replace('-', '_')}"]):
        from fuzz.trial import Trial  # noqa: PLC0415 - with all that it imports

        trial = Trial(plugin)
    trial.write_seeds(corpus)
    options = {
        "max_total_time": seconds,
        "seed": seed,
        "max_len": MOST_BYTES,
        "len_control": 0,
        "print_final_stats": 1,
        "rss_limit_mb": 4096,
    }

    def change(data: bytes, most: int, seed: int) -> bytes:
        return trial.change(data, most, seed, atheris.Mutate)  # which is there once it runs

    arguments = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], trial.try_one, custom_mutator=change)
    atheris.Fuzz()


def _run(plugin: str, seconds: int, seed: int) -> bool:
    """Fuzz one plugin in a process of its own; whether it kept all promises."""
    with tempfile.TemporaryDirectory() as corpus:
        given = ["--plugin", plugin, "--seconds", str(seconds), "--seed", str(seed)]
        done = subprocess.run(  # noqa: S603 - this file
            [sys.executable, __file__, *given, "--worker", corpus],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + GRACE_SECONDS,
        )
        kept = sum(1 for _ in Path(corpus).iterdir())
    findings = done.stdout.count("FINDING ")
    if findings:
        sys.stdout.write(done.stdout[done.stdout.index("FINDING ") :])
    ran = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    if ran is None or not covered:
        sys.stdout.write(f"{plugin:15} failed:\n{done.stderr[-3000:]}\n")
        return False
    sys.stdout.write(
        f"{plugin:15} {ran[1]:>9} replies, edges {covered[0][0]} -> {covered[-1][0]},"
        f" features {covered[-1][1]}, corpus {kept}, findings {findings}\n"
    )
    sys.stdout.flush()
    return not findings


def main() -> int:
    """Fuzz one plugin, or all of them in turn."""
    parser = argparse.ArgumentParser(description="Fuzz the way from a reply to a response.")
    parser.add_argument("--seconds", type=int, default=60, help="for all plugins together")
    parser.add_argument("--plugin", choices=PLUGINS, help="all if not given")
    parser.add_argument("--seed", type=int, default=0, help="of chance; another one each time if 0")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        _fuzz(given.plugin, given.seconds, given.seed, given.worker)
        return 0
    plugins = [given.plugin] if given.plugin else PLUGINS
    share = max(given.seconds // len(plugins), 2)
    kept = [_run(plugin, share, given.seed) for plugin in plugins]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
