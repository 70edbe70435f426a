"""Plain English: words and phrases that read as riddles, found in code, tests, docs and page. `make lint` runs it.

python -m tests.language            lists what it finds; exit code 1 where there is anything
python -m tests.language --count    words per 1000, by folder
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.support.paths import ROOT

SUFFIXES = {".py", ".md", ".js", ".mjs", ".html", ".cpp", ".inc", ".toml", ".yml", ".sh"}
LEFT_OUT = ("frontend/vendor/", "tests/language.py", "docs/tutorial.ipynb")
RIDDLES = (  # what engineers would say instead
    r"whoever",  # the caller, the client, the user
    r"whatever",  # anything that, all that; or name it
    r"wherever",
    r"somebody(?: else)?(?:'s)?",  # a user, another user
    r"anybody(?:'s)?",  # any user
    r"nobody(?:'s)?",  # no user, no process
    r"everybody(?:'s)?",  # all users
    r"someone(?: else)?(?:'s)?",
    r"anew",  # again, from the start
    r"whose things",  # ownership and visibility
    r"(?:may|can|cannot|to) come in",  # authentication
    r"coming in",
    r"come in with",
    r"lets? (?:people|them|no one|one) in",
    r"goes on with it",  # extends, continues
    r"got lost on the way",
    r"of one's own",  # custom, user-defined
    r"people brings?",  # user-supplied
    r"brought",
    r"at hand",  # current
    r"by hand of",
    r"in the hands of",
    r"sees? (?:it|the \w+) through",  # runs to completion
    r"looks? around",
    r"says? goodbye",
    r"lets? go of",
    r"the leash|leash(?:es|ed)?",  # guardian process
    r"shelf|shelves",  # disk cache
    r"crew",  # process pool
    r"hints?",  # wake-up messages
    r"patien(?:t|ce|tly)(?! seconds)",  # timeout, retries; two settings keep their names
    r"comes? to nothing",
    r"better times",
    r"takes? (?:it )?for its own",
    r"thinks? of it",
    r"is (?:well|alive and well)",
    r"lives? the same life",
    r"betterment|forthwith|hitherto|thereof|therein|wherein",
)
_RIDDLE = re.compile(rf"(?<![\w-])(?:{'|'.join(RIDDLES)})(?![\w-])", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][A-Za-z']+")


def texts() -> list[Path]:
    """The files that are read: everything tracked that people write."""
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    named = [name for name in tracked.splitlines() if not name.startswith(LEFT_OUT)]
    return [ROOT / name for name in named if Path(name).suffix in SUFFIXES and (ROOT / name).is_file()]


def found() -> list[str]:
    """A line for every riddle: file, line number, words."""
    lines = []
    for path in texts():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            plain = line.replace("_", " ")
            lines += [
                f"{path.relative_to(ROOT)}:{number}: {match[0]}: {line.strip()[:100]}"
                for match in _RIDDLE.finditer(plain)
            ]
    return lines


def counted() -> dict[str, float]:
    """Riddles per 1000 words, by folder at the top."""
    riddles: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for path in texts():
        top, text = path.relative_to(ROOT).parts[0], path.read_text().replace("_", " ")
        riddles[top] += len(_RIDDLE.findall(text))
        words[top] += len(_WORD.findall(text))
    return {top: 1000 * riddles[top] / words[top] for top in sorted(words) if words[top]}


if __name__ == "__main__":
    if "--count" in sys.argv:
        print("\n".join(f"{top:24}{share:8.2f}" for top, share in counted().items()))
    else:
        print("\n".join(lines := found()))
        sys.exit(bool(lines))
