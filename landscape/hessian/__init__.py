"""Second derivatives: Hessian-vector products, Lanczos, spectrum."""
