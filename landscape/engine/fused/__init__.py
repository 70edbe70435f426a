"""A pass per grid point, with layers fused."""
