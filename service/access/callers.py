"""The caller of a request: name, scopes, and what they allow."""

from dataclasses import dataclass, replace

SCOPES = ("read", "submit", "admin", "work")
LINK = "link"  # the scope of a link to one result
USER = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
_GRANTED_BY = {LINK: {LINK, "read", "admin"}} | {scope: {scope, "admin"} for scope in SCOPES}


@dataclass(frozen=True)
class Caller:
    """An authenticated user, token or link, with its scopes."""

    name: str
    scopes: frozenset[str]
    key: str | None = None  # id of the token, session or link that authenticated the caller
    linked: frozenset[str] = frozenset()  # ids of jobs to which the caller opened a link

    @property
    def admin(self) -> bool:
        """Whether this is an administrator, who may do everything."""
        return "admin" in self.scopes

    def may(self, scope: str) -> bool:
        """Whether the caller has this scope, or `admin`; a link's scope is part of `read`.

        >>> ann = Caller("ann", frozenset({"read"}))
        >>> ann.may("read"), ann.may("submit")
        (True, False)
        """
        return bool(self.scopes & _GRANTED_BY[scope])

    def owns(self, owner: str | None) -> bool:
        """Whether the caller may change resources of `owner`; None is no owner: only administrators may."""
        return self.admin or (self.may("submit") and owner == self.name)


LOCAL = Caller("local", frozenset(SCOPES))


def with_link(caller: Caller, link: Caller | None) -> Caller:
    """The caller, with access to the job of an opened link as well."""
    return caller if link is None else replace(caller, linked=caller.linked | link.linked)
