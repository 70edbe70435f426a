"""Back ends that compute several grid points in parallel, one per SIMD lane."""
