"""Training the shipped networks, and recording the checkpoints of a training run."""
