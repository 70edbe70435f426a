"""Which tile is computed next and by whom: leases, wake-ups, recovery, progress."""
