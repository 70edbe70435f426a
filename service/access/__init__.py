"""Authentication, scopes, ownership and visibility."""
