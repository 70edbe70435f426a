"""Samples for a job, in a cell of their own: normalized once per machine, and handed over as an open file.

This cell runs our own code alone, on sanitized files, and so without walls: it writes to the cache of prepared data
sets. It sees the data set of one job, never a network.
"""

import os
from pathlib import Path
from typing import Any

from landscape.data import BUILT_IN, Dataset, load, load_clean
from landscape.disk_cache import DiskCache

from .messages import Message
from .tasks import Answer, Task, Tasks


class Samples(Tasks):
    """The data set of one job."""

    @property
    def tasks(self) -> dict[str, Task]:
        """What a worker may ask, by name."""
        return {"split": self._split}

    def _split(self, message: Message) -> Answer:
        """The samples of a split, or some of them: their description, and a file that `landscape.sanitized` reads."""
        asked = message.head
        cache = DiskCache(Path(asked["folder"]), asked["cache_bytes"])
        whole = _whole(asked, cache)
        subset = asked["subset"]
        chosen = whole.subset(subset["count"], subset["seed"]) if subset else whole
        with chosen.open() as file:
            return Answer({"described": _described(chosen), "in_split": len(whole)}, file=os.dup(file.fileno()))


def _whole(asked: dict[str, Any], cache: DiskCache) -> Dataset:
    if asked["path"] is None:
        assert asked["name"] in BUILT_IN
        return load(asked["name"], asked["split"], cache=cache)
    return load_clean(Path(asked["path"]), asked["name"], asked["split"], cache=cache, key=asked["key"])


def _described(samples: Dataset) -> dict[str, Any]:
    names = ("name", "split", "classes", "targets")
    return {name: getattr(samples, name) for name in names} | {"mean": list(samples.mean), "std": list(samples.std)}
