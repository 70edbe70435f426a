"""The one thing pyproject.toml cannot say: the native module of landscape/engine is optional.

Without a C++ compiler the package installs and works, slower. The kernels for AVX-512, AVX2 and the portable ones are
in the one module; the best is taken at run time, so a wheel runs on any processor of its architecture.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "landscape.engine.native._lanes",
            sources=["landscape/engine/native/lanes.cpp"],
            depends=[
                f"landscape/engine/native/{name}.inc"
                for name in ("kernels", "winograd", "statistics", "direct", "perceptron", "amx", "batch_statistics")
            ],
            extra_compile_args=["-O3", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-g0"],
            optional=True,
        )
    ]
)
