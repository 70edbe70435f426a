"""The content of a result: arrays, self-check, caption, metrics."""
