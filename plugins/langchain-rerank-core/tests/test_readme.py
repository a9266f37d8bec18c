"""What the README shows is run."""

from pathlib import Path

from pages import run_page


def test_the_readmes_python_runs_and_prints_what_it_says() -> None:
    """Block by block, from the first import to what comes back."""
    run_page(Path(__file__).parents[1] / "README.md")
