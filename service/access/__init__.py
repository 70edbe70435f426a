"""Who calls, what they may do and what they see: credentials, scopes, ownership."""
