"""`rerank calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rerank_eval._calibrate import Calibrated
from rerank_eval._calibrate import calibrate as fit
from rerank_eval._calibration import LEAST_RELEVANT
from rerank_eval._commands.options import DATA, PATH, POSITIVE, data_options, read_data
from rerank_eval._terminal import make_console, printable, show_progress, show_table


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", type=DATA)
@click.argument("model")
@click.option(
    "--method",
    type=click.Choice([*LEAST_RELEVANT]),
    default="platt",
    show_default=True,
    help="platt fits a sigmoid; isotonic fits steps, and needs more data.",
)
@data_options
@click.option(
    "--target",
    metavar="precision=P|recall=R|f1|cost=A:B",
    help="Choose a threshold that reaches this. A and B are the costs of a document that is"
    " wrongly kept, and of one that is wrongly left out.",
)
@click.option("--judged-only", is_flag=True, help="Leave out pairs that were not judged.")
@click.option("--force", is_flag=True, help="Calibrate even if data or model are unsuitable.")
@click.option("--concurrency", type=POSITIVE, default=1, help="The most calls at once.")
@click.option("--seed", type=int, default=0, help="For the bootstrap; 0 by default.")
@click.option("--output", type=PATH, metavar="FILE", help="Write the calibration there, as JSON.")
@click.option(
    "--responses",
    type=PATH,
    metavar="FILE",
    help="A responses.jsonl, such as that of `rerank eval --output`: responses in it are not"
    " asked for again, and new ones are added.",
)
def calibrate(  # noqa: PLR0913 - each is one of the user's decisions
    data: Path,
    model: str,
    *,
    output: Path | None,
    responses: Path | None,
    method: Any,
    target: str | None,
    judged_only: bool,
    force: bool,
    concurrency: int,
    seed: int,
    **where: Any,
) -> None:
    """Learn from judged queries what the scores of a model mean.

    The calibration turns a score into the share of relevant documents with such a score. It holds
    for this model, with these params and such candidates. It is tested on queries that it was not
    fitted on, where it must be better than the overall share of relevant documents.

    Use it as 'MODEL?min_score=0.5&calibration=FILE' in `rerank eval`, or in Python.
    """
    collection = read_data(data, **where)
    with show_progress() as progress:
        found = fit(
            collection,
            model,
            method=method,
            target=target,
            judged_only=judged_only,
            force=force,
            concurrency=concurrency,
            seed=seed,
            responses=responses,
            progress=progress,
        )
    _show(found)
    if output:
        found.calibration.save(output)
        click.echo(f"written: {output}", err=True)


def _show(found: Calibrated) -> None:
    console = make_console()
    for warning in found.warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    calibration, quality = found.calibration, found.quality
    click.echo(
        f"{calibration.queries} queries, {calibration.relevant} relevant documents,"
        f" {calibration.base_rate:.2%} of all"
    )
    rows = [
        [
            calibration.method,
            f"{quality.brier:.4f}",
            f"{quality.log_loss:.4f}",
            f"{quality.ece:.4f}",
        ],
        ["the share alone", f"{quality.base_brier:.4f}", f"{quality.base_log_loss:.4f}", "-"],
    ]
    show_table(console, ["on queries not fitted on", "Brier", "log loss", "ECE"], rows)
    click.echo(f"Brier skill {quality.skill:+.3f} (1 at best, 0 for no better than the share)")
    bins = [[f"{mean:.3f}", f"{share:.3f}", str(count)] for mean, share, count in quality.bins]
    show_table(console, ["probability", "relevant", "documents"], bins)
    if (threshold := found.threshold) is not None:
        click.echo(
            f"min_score {threshold.min_score:.4f} (95 % {threshold.low:.4f} to"
            f" {threshold.high:.4f}): precision {threshold.precision:.3f}, recall"
            f" {threshold.recall:.3f}, {threshold.kept:.1f} documents a query,"
            f" {threshold.empty} of {threshold.queries} queries empty"
        )
