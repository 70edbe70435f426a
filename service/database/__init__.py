"""Tables, sessions, migrations, job logs and counters: the source of truth about every checkpoint, job and tile."""
