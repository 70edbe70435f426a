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
    "landscape.hessian.lanczos": ("Lanczos", "extremes", "eigenpairs_of", "trace", "density"),
    "landscape.hessian.products": ("Hessian.product", "Hessian.product_error", "eigenvector_plane"),
    "landscape.hessian.spectrum": ("Spectrum.ratio",),
    "landscape.objective.batch_norm": ("Calibration", "with_batch_statistics"),
    "landscape.objective.digest": (),
    "landscape.objective.losses": ("mse", "loss_of"),
    "landscape.objective.objective": ("evaluate",),
    "landscape.objective.random_state": (),
    "landscape.objective.trial": (),
    # Outside of these packages:
    "landscape.engine.fused.batch_statistics": ("BatchStatistics",),
    "landscape.engine.fused.winograd": ("prepare", "convolution"),
    "landscape.engine.graph.fold": ("fold",),
    "landscape.engine.graph.layers": ("Norm",),
    "landscape.models": ("build",),
    "landscape.models.densenet": ("DenseNet",),
    "landscape.models.mlp_lenet": ("LeNet",),
    "landscape.models.resnet": ("DeepResNet",),
    "landscape.models.resnet_cifar": ("CifarResNet",),
    "landscape.models.vgg": ("VGG",),
    "landscape.models.vit": ("ViT",),
    "landscape.results.metrics": ("sharpness",),
    "landscape.results.minima": ("minima",),
    "landscape.evaluation.curvature_map": ("CurvatureLandscape",),
    "landscape.evaluation.reuse": ("combined",),
    "landscape.pointwise": ("spectrum", "paired"),
    "landscape.training.train": ("learning_rate",),
    "landscape.plots.heights": ("heights",),
}
_WITHOUT_EARLIER = {"DifferentSettingsError": "it starts from no earlier result"}
_AROUND_ONE = {**_WITHOUT_EARLIER, "ShapeMismatchError": "there are no other checkpoints"}
NEVER_RAISED: dict[str, dict[str, str]] = {
    **{f"landscape.api.{kind}": _WITHOUT_EARLIER for kind in ("interpolation", "plane", "trajectory")},
    **{f"landscape.api.{kind}": _AROUND_ONE for kind in ("surface", "slice", "curvature")},
    "app.answers.Answers.respond": {"BusyError": "it asks for a refusal before it takes a slot"},
    "landscape.packing.dry_run.dry_run": {"Unfit": "torch has taken the same arguments before"},
    "landscape.checkpoints.inspect.inspect": {"StoppedError": "it passes no `stop`"},
    "landscape.data.memory_map.cached": {"UnknownNameError": "a split is part of the key of its file"},
    "landscape.directions.random.random_directions": {"ShapeMismatchError": "both directions are drawn for the center"},
    "landscape.engine.choose.statistics_plan": {"NotInLanes": "it asks `lanes_take` first"},
    "landscape.engine.timing.Contest.errors": {"UnknownNameError": "the plain engine is always known"},
    "landscape.engine.timing.in_double": {
        "DataError": "the given objective has samples and parameters",
        "UnknownNameError": "float64 is always known",
    },
    "landscape.evaluation.curvature_map.CurvatureLandscape.provenance": {
        "DataError": "the constructor has made an objective of these samples",
        "UnknownNameError": "the constructor has checked `over`",
    },
    "landscape.evaluation.curvature_map.CurvatureLandscape.rows": {
        "CurvatureError": "the constructor has found parameters to differentiate by",
        "UnknownNameError": "the constructor has checked `over`",
    },
    "landscape.evaluation.independent.Independent.loss": {"DataError": "the landscape has made its own calibration"},
    "landscape.evaluation.landscape.Landscape.provenance": {"UnknownNameError": "the audit lets the engine choose"},
    "landscape.evaluation.resume.PartialFile.write": {
        "FormatError": "an .npz holds every result",
        "MissingLibraryError": "NumPy is always installed",
        "UnknownNameError": "it names a known format",
    },
    "landscape.evaluation.reuse.with_more_seeds": {"UnknownNameError": "it asks for the results' own columns"},
    "landscape.evaluation.reuse.with_points_of": {"UnknownNameError": "both results have the same columns by then"},
    "landscape.formats.npz.write": {"UnknownNameError": "it asks for the result's own columns"},
    "landscape.formats.paper.write": {"UnknownNameError": "it asks for the result's own columns"},
    "landscape.objective.trial.tried": {"Stopped": "it is called without `stop`"},
    "landscape.hessian.products.Hessian.product_error": {"UnknownNameError": "it passes on its own `over`"},
    "landscape.hessian.products.gradient_plane": {"UnknownNameError": 'it passes over="all"'},
    "landscape.plots.heights.drawable": {"GridError": "axes of one coordinate are left out, others are valid"},
    "landscape.plots.notebook.mime_bundle": {"UnknownNameError": "it draws the default height"},
    "landscape.results.arrays.values_digest": {"UnknownNameError": "it asks for the result's own columns"},
    "landscape.pointwise.spectrum": {
        "GridError": "it asks for a slice of two points, in a random direction",
        "Stopped": "its objective has no `stop`",
    },
    "landscape.reproduce.compute_again": {
        "DifferentSettingsError": "it starts from no earlier result",
        "GridError": "it starts from no earlier result",
    },
    "landscape.results.agreement.alike": {"TypeError": "values of JSON can be compared by content"},
    "landscape.results.arrays.Arrays.put": {"UnknownNameError": "it asks for its own columns"},
    "landscape.results.arrays.Arrays.table": {"UnknownNameError": "it asks for its own columns"},
    "landscape.results.arrays.Arrays.to_json": {"UnknownNameError": "it asks for VALUES, which every result has"},
    "landscape.results.deviation.deviations": {"UnknownNameError": "both results have the same arrays"},
    "landscape.results.summary.summary": {"UnknownNameError": "it asks for the result's own columns"},
    "service.database.tables.grid_of": {"GridError": "the axes were validated before they were stored"},
    "service.jobs.results.numbers": {"UnknownNameError": "every result has losses"},
    "service.maintenance.backup.restore": {"NotFoundError": "it removes digests that it has just stored"},
    "service.maintenance.garbage.clean": {"NotFoundError": "it removes digests that the store has listed"},
    "service.queue.completion.finish_points": {"NotFoundError": "the job of a tile whose lease is valid exists"},
    "service.queue.completion.finish_preparing": {"NotFoundError": "the job of a tile whose lease is valid exists"},
    "service.queue.leases.lease": {"NotFoundError": "deleting a job deletes its tiles"},
}
