"""From a model, data and a grid to values: set-up, run, resume."""
