"""Uploaded checkpoints and data sets."""
