"""`python -m landscape.cli` is the `landscape` command."""

from .main import main

main()
