"""The commands for files on this machine, and those that speak to a service; landscape/cli/main.py puts them together.

Imports typer; the mathematics when a command runs, so that `--help` answers at once. Never computes by itself.
"""
