"""A minimal parser for the Dockerfile: stages and their instructions."""

import re
import shlex
from dataclasses import dataclass, field

from tests.support.paths import ROOT


@dataclass
class Stage:
    """One FROM and the instructions after it."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [text for word, text in self.instructions if word == keyword]

    @property
    def user(self) -> str | None:
        """The user at its end, inherited from its base stage."""
        own = self.all("USER")
        if own:
            return own[-1]
        return stages()[self.base].user if self.base in stages() else None

    @property
    def copied_from_context(self) -> list[str]:
        """Paths of the build context that it copies."""
        copies = [shlex.split(text) for text in self.all("COPY") if not text.startswith("--from")]
        return [source for parts in copies for source in parts[:-1]]


def stages() -> dict[str, Stage]:
    """The stages of the Dockerfile, by name."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for line in text.splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            current = found[name] = Stage(base)
        elif keyword and not keyword.startswith("#") and current is not None:
            current.instructions.append((keyword, rest.strip()))
    return found
