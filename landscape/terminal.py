"""Text of others on a terminal: names and messages from a file or a service cannot steer it."""

import unicodedata


def printable(text: str) -> str:
    r"""One line in which everything invisible is spelt out: control and format characters, also those of direction.

    >>> printable("a\x1b[2Jb\nc"), printable("übung 試験 \u202egpj")
    ('a\\x1b[2Jb\\nc', 'übung 試験 \\u202egpj')
    """
    return "".join(one if _is_visible(one) else one.encode("unicode_escape").decode() for one in text)


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces of all scripts
