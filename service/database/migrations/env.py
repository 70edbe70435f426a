"""The script that Alembic runs for every command; migrations/__init__.py supplies connection and transaction."""

from alembic import context

from service.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
