"""Immutable bytes under their SHA-256: a folder, a bucket, or the API of another host."""
