"""The queue of tiles: fair queueing, leases, completion, requeueing, wake-up messages, progress."""
