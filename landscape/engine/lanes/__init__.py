"""Several grid points side by side in SIMD lanes."""
