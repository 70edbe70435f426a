"""The caller of a request: name, scopes, and what they allow."""

from dataclasses import dataclass, replace

SCOPES = ("read", "submit", "admin", "work")
LINK = "link"  # the scope of a link to one result
USER = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
_ENOUGH = {LINK: {LINK, "read", "admin"}} | {scope: {scope, "admin"} for scope in SCOPES}


@dataclass(frozen=True)
class Caller:
    """Who asks, and what for they may ask."""

    name: str
    scopes: frozenset[str]
    key: str | None = None  # id of the token, session or link that was shown
    linked: frozenset[str] = frozenset()  # jobs whose link was opened

    @property
    def admin(self) -> bool:
        return "admin" in self.scopes

    def may(self, scope: str) -> bool:
        return bool(self.scopes & _ENOUGH[scope])

    def owns(self, owner: str | None) -> bool:
        """Whether something of this owner is the caller's to change: what belongs to nobody is an administrator's."""
        return self.admin or (self.may("submit") and owner == self.name)


LOCAL = Caller("local", frozenset(SCOPES))


def linked_to(caller: Caller, other: Caller | None) -> Caller:
    """The caller, who has opened a link besides."""
    return caller if other is None else replace(caller, linked=caller.linked | other.linked)
