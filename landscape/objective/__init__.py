"""The loss of a network over its samples as a function of its parameters."""
