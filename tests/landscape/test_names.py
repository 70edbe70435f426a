"""The names of `import landscape as ls`."""

import pkgutil

import landscape


def test_no_module_is_called_like_a_public_function() -> None:
    """Importing a module sets it as an attribute of its package, where it would hide the function."""
    modules = {module.name for module in pkgutil.iter_modules(landscape.__path__)}
    assert {"hessian", "evaluation", "grid"} <= modules
    assert not modules & set(landscape.__all__)


def test_every_public_name_can_be_loaded() -> None:
    assert all(getattr(landscape, name) for name in landscape.__all__)
