"""Directions in parameter space: drawn, normalized, between checkpoints, along a trajectory."""
