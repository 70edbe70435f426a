"""Tables, sessions, migrations: the truth about every checkpoint, job and tile."""
