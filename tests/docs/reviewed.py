"""What the rules for docstrings cannot see in the source, decided by a person: published formulas, errors never raised.

FORMULAS: the functions and classes that compute a published formula, whose docstrings name its source. Every module
of `FORMULA_PACKAGES` has a line, so that a new one is classified.

NEVER_RAISED: errors of a called function that its caller's arguments exclude, with the reason.
"""

FORMULA_PACKAGES = ("landscape.directions", "landscape.hessian", "landscape.objective")
FORMULAS: dict[str, tuple[str, ...]] = {
    "landscape.directions.files": (),
    "landscape.directions.measures": (),
    "landscape.directions.normalization": (
        "to_filters",
        "to_layers",
        "to_weights",
        "to_unit_filters",
        "to_unit_layers",
    ),
    "landscape.directions.paper_files": (),
    "landscape.directions.plane": ("line_between", "plane_through"),
    "landscape.directions.random": (
        "draw",
        "draw_as_authors",
        "normalize",
        "orthogonalize_filters",
        "random_directions",
    ),
    "landscape.directions.trajectory": ("principal", "project"),
    "landscape.hessian.lanczos": ("Lanczos", "lanczos", "extremes", "eigenpairs_of", "largest", "trace", "density"),
    "landscape.hessian.products": ("Hessian", "Hessian.product", "Hessian.product_error", "eigenvector_plane"),
    "landscape.hessian.spectrum": ("Spectrum",),
    "landscape.objective.batch_norm": ("Calibration", "with_batch_statistics"),
    "landscape.objective.digest": (),
    "landscape.objective.losses": ("mse", "loss_of"),
    "landscape.objective.objective": ("evaluate",),
    "landscape.objective.random_state": (),
    "landscape.objective.validation": (),
    # Outside of these packages:
    "landscape.results.metrics": ("sharpness",),
    "landscape.results.minima": ("minima",),
    "landscape.evaluation.curvature_map": ("CurvatureLandscape",),
    "landscape.training.train": ("learning_rate",),
    "landscape.plots.heights": ("heights",),
}
NEVER_RAISED: dict[str, dict[str, str]] = {
    "landscape.directions.random.random_directions": {"ShapeMismatchError": "both directions are drawn for the center"},
    "landscape.results.arrays.Arrays.put": {"UnknownNameError": "it asks for its own columns"},
    "landscape.results.arrays.Arrays.table": {"UnknownNameError": "it asks for its own columns"},
    "landscape.results.arrays.Arrays.to_json": {"UnknownNameError": "it asks for VALUES, which every result has"},
}
