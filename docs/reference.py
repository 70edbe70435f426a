"""Builds the reference of the library from its docstrings: `python docs/reference.py FOLDER`.

Uses pdoc. Covers the names that `import landscape as ls` offers, and the schema of a job, whose models have no source
that pdoc could read: job_schema.py describes them. A warning is an error.
"""

import sys
import warnings
from pathlib import Path

import pdoc

import landscape

SCHEMA = Path(__file__).with_name("job_schema.py")
PAGES = ("landscape", "!landscape.", str(SCHEMA))  # what is exported, without the modules that define it


def write(folder: Path) -> None:
    """Write the pages into `folder`."""
    for name in landscape.__all__:  # names are loaded on first use, and pdoc documents only what is loaded
        getattr(landscape, name)
    pdoc.render.configure(docformat="google", math=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*PAGES, output_directory=folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
