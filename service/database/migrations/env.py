"""What Alembic runs for every command: the connection is given by migrations/__init__.py, nothing is configured.

Imports Alembic and tables. Never opens a connection and never begins a transaction of its own.
"""

from alembic import context

from service.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
