"""The service's role in PostgreSQL is no superuser: in a new volume, and in an older one after `demote.sql`."""

from collections.abc import Callable

import pytest

from tests.compose import container
from tests.compose.project import Project

# As the image made a cluster while the compose file had POSTGRES_USER and POSTGRES_DB.
_EARLIER = """
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=landscape --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS -D "$PGDATA" >/dev/null
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses=''" >/dev/null
  createdb --username=landscape landscape
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
"""
_DEMOTE = ("psql", "-U", "landscape", "-d", "landscape", "-f", "/deploy/demote.sql")


def asked(project: Project, query: str, role: str = "landscape") -> str:
    """The answer, over TCP with the password of the secret, as the service connects."""
    database = project.containers["database"]
    line = (
        'PGPASSWORD="$(cat /run/secrets/database_password)" '
        f'psql -h 127.0.0.1 -U {role} -d landscape --no-psqlrc -tAc "{query}" 2>&1'
    )
    return database.run("sh", "-c", line).stdout.strip()


def require_no_superuser(project: Project) -> None:
    rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    assert asked(project, f"SELECT {rights} FROM pg_roles WHERE rolname = current_user") == "f|f|f|f|f"
    assert "external program" in asked(project, "COPY (SELECT 1) TO PROGRAM 'true'")
    assert "permission denied" in asked(project, "SELECT pg_read_file('/etc/passwd')")
    assert "permission denied" in asked(project, "CREATE DATABASE another")
    assert "permission denied" in asked(project, "SET ROLE postgres")
    assert "password authentication failed" in asked(project, "SELECT 1", role="postgres")


def test_a_new_volume_has_a_role_without_rights(prepare: Callable[..., Project]) -> None:
    project = prepare()
    project.up("database")
    require_no_superuser(project)
    assert "nothing to do" in project.containers["database"].run(*_DEMOTE).stdout


def test_an_earlier_volume_is_demoted_and_the_service_goes_on(
    prepare: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(container.ENTRYPOINTS, "database", _EARLIER)
    project = prepare()
    project.up("database", "broker", "api")
    assert asked(project, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "t"
    tables = int(asked(project, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
    project.containers["api"].stop()

    done = project.containers["database"].run(*_DEMOTE)
    assert "no superuser any more" in done.stdout, done.stderr
    require_no_superuser(project)
    owned = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'landscape'"
    assert int(asked(project, owned)) == tables > 5
    project.containers["api"].start()
    project.wait_healthy("api")  # it reads and writes
    assert "nothing to do" in project.containers["database"].run(*_DEMOTE).stdout
    assert asked(project, "SELECT count(*) FROM pg_roles WHERE rolname = 'demoting'") == "0"
