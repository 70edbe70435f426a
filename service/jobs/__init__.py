"""Jobs: their schema, compatibility, quotas, life cycle and results."""
