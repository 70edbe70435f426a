"""The contents of a result: arrays, self-check, caption, metrics."""
