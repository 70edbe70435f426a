"""Uploaded checkpoints and data sets, and the facts known about them."""
