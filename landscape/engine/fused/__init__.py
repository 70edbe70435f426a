"""Back ends with one pass over the network per grid point, with fused layers."""
