"""`python -m rerank_core`: the command line."""

from rerank_core._cli import main

if __name__ == "__main__":
    main()
