"""What stands in a result: arrays, self-check, caption, metrics. No torch."""
