"""Checkpoint files: read in a sandbox, described, loaded into modules."""
