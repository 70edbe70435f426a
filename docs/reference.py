"""`python docs/reference.py FOLDER`: the reference of the library, as pages, from its docstrings.

Uses pdoc. Only what `import landscape as ls` offers, and the schema of a job; a warning is an error.
"""

import sys
import warnings
from pathlib import Path

import pdoc

import landscape

PAGES = ("landscape", "service.jobs.spec", "!landscape.")  # what is exported, without the rooms it comes from


def write(folder: Path) -> None:
    """Write the pages into `folder`."""
    for name in landscape.__all__:  # names are loaded on first use; pdoc looks at what is there
        getattr(landscape, name)
    pdoc.render.configure(docformat="google", math=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*PAGES, output_directory=folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
