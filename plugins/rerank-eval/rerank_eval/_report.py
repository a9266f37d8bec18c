"""`Report`: what was found, in every form it is read in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from attrs import evolve, field, frozen

from rerank_eval import _html, _markdown, _text
from rerank_eval._gates import check_gates


@frozen
class Report:
    """A comparison of rerankers.

    Attributes:
        content: Everything that was found, as plain values; `report.json` is this.
    """

    content: Mapping[str, Any] = field(repr=False)

    def check(
        self,
        *,
        fail_under: Sequence[str] = (),
        no_worse_than: str | None = None,
        margin: float = 0.0,
    ) -> Self:
        """The report with the results of gates, in `content["gates"]` and in all its forms.

        Args:
            fail_under: Measures with the least mean, as `nDCG@10=0.42`.
            no_worse_than: A row, or the path of a `report.json` that was kept.
            margin: What may be lost against it, from 0.

        Raises:
            ConfigurationError: A gate names no measure of the report, or no row.
        """
        gates = check_gates(
            self.content, fail_under=fail_under, no_worse_than=no_worse_than, margin=margin
        )
        return evolve(self, content={**self.content, "gates": gates})

    @property
    def passed(self) -> bool:
        """Whether no gate refused a model."""
        return all(gate["passed"] for gate in self.content["gates"])

    @property
    def failed(self) -> int:
        """How many calls failed."""
        return sum(len(row["failed"]) for row in self.content["rows"] if row["kind"] == "model")

    def mean(self, label: str, measure: str | None = None) -> float:
        """The mean of a row, of the first measure where none is named."""
        rows = {row["label"]: row for row in self.content["rows"]}
        return float(rows[label]["measures"][measure or self.content["measures"][0]]["mean"])

    def markdown(self) -> str:
        """The report as Markdown."""
        return _markdown.render(self.content)

    def html(self) -> str:
        """The report as one page that needs nothing else; with figures where matplotlib is."""
        return _html.render(self.content)

    def json(self) -> str:
        """`content`, as JSON."""
        return json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def csv(self) -> str:
        """The table's numbers, a row for each measure of each row."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                *("row", "measure", "mean", "low", "high", "p50_seconds", "p95_seconds"),
                *("p99_seconds", "usd_per_1000_queries", "failed"),
            ]
        )
        for row in self.content["rows"]:
            latency, cost = row["latency"] or {}, row["cost"] or {}
            for name, values in row["measures"].items():
                seconds = [latency.get(each) for each in ("p50", "p95", "p99")]
                numbers = [values["mean"], *values["interval"], *seconds, cost.get("per_1000")]
                writer.writerow([row["label"], name, *numbers, len(row["failed"])])
        return stream.getvalue()

    def latex(self) -> str:
        """The table, for a paper."""
        return _text.to_latex(self.content)

    def save(self, folder: str | Path) -> list[Path]:
        """Write `report.html`, `.md`, `.json`, `.csv` and `.tex`; return their paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        forms = {
            "html": self.html(),
            "md": self.markdown(),
            "json": self.json(),
            "csv": self.csv(),
            "tex": self.latex(),
        }
        paths = []
        for suffix, text in forms.items():
            path = folder / f"report.{suffix}"
            path.write_bytes(text.encode("utf-8", "replace"))
            paths.append(path)
        return paths

    def _repr_html_(self) -> str:
        header, rows = _text.table(self.content)
        return _html.render_table(header, rows)
