"""Build the documentation's site, check its links, and that every public name is in it.

Needs nothing from the network once its tools are there:

    uv run --all-extras --with-requirements docs/requirements.txt python docs/build_site.py FOLDER

The pages stand on the site as they stand in the repository, so that one link serves both.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PAGES = ("*.md", "core/README.md", "plugins/*/README.md", "docs/**/*.md")
_FILES = ("docs/*.svg", "docs/sample/*.jsonl", "LICENSE", "CITATION.cff")
_MODULES = ("", ".auth", ".errors", ".events", ".hookspecs", ".testing", ".tokens", ".wire")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_QUIET = {"NO_MKDOCS_2_WARNING": "1"}  # of the theme, about its successor
# What a page of the site would fetch from elsewhere; that it links to elsewhere is no matter.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src="https?:|<link[^>]+stylesheet[^>]+"https?:"""
)


def gather(folder: Path) -> None:
    """Copy the pages, and what they show, to a folder; links out of them become plain text."""
    found = {path for pattern in (*_PAGES, *_FILES) for path in ROOT.glob(pattern)}
    for path in found:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(path, target)
            continue

        def replace(link: re.Match[str], page: Path = path) -> str:
            where = (page.parent / link[2]).resolve()
            # What is in the repository, and not on the site: a script, a test.
            return link[1] if where.exists() and where not in found else link[0]

        target.write_text(_LINK.sub(replace, path.read_text(encoding="utf-8")), encoding="utf-8")


def missing_names(reference: str) -> list[str]:
    """The public names that the page of reference does not describe."""
    described = " ".join(re.findall(r'id="rerank_core[\w.]*"', reference))
    missing = []
    for suffix in _MODULES:
        module = importlib.import_module(f"rerank_core{suffix}")
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if name[0] != "_" and getattr(value, "__module__", "") == module.__name__
        ]
        missing += [
            f"{module.__name__}.{name}"
            for name in names
            if name[0] != "_" and f'.{name}"' not in described
        ]
    return missing


def main(site: Path) -> int:
    """Build the site in a folder; return how much is wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        gather(Path(scratch))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
        done = subprocess.run(  # noqa: S603 - our own pages
            [*command, "--config-file", str(ROOT / "docs" / "mkdocs.yml")],
            env={
                **os.environ,
                "RERANK_PAGES": scratch,
                "RERANK_SITE": str(site.resolve()),
                **_QUIET,
            },
            check=False,
        )
    if done.returncode:
        return done.returncode
    wrong = missing_names((site / "docs" / "reference.html").read_text(encoding="utf-8"))
    wrong = [f"{name} is not in docs/reference.md" for name in wrong]
    for page in sorted(site.rglob("*.html")):
        if _FETCHED.search(page.read_text(encoding="utf-8")):
            wrong.append(f"{page.relative_to(site)} fetches something from another host")
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
