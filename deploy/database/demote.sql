-- For a database volume made before 0.2, whose role `landscape` is the superuser of the cluster: see "Upgrade" in docs/lab.md.
-- The superuser keeps its id under the name `postgres`; a new role `landscape` without rights gets the database and all in it.
-- Run by: psql -U landscape -d landscape -f demote.sql, while API and workers are stopped. It changes nothing the second time.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/database_password`
SELECT rolsuper AS is_superuser FROM pg_roles WHERE rolname = current_user \gset
\if :is_superuser
  CREATE ROLE demoting LOGIN SUPERUSER;
  \connect - demoting
  BEGIN;
  ALTER ROLE landscape RENAME TO postgres;
  ALTER ROLE postgres PASSWORD NULL;
  CREATE ROLE landscape LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
  ALTER DATABASE landscape OWNER TO landscape;
  SELECT format('ALTER %s %I.%I OWNER TO landscape',
                CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
   WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'S')
     AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i') AND relkind = 'S')
  \gexec
  SELECT format('ALTER TYPE %I.%I OWNER TO landscape', nspname, typname)
    FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace WHERE nspname = 'public' AND typtype IN ('e', 'd')
  \gexec
  COMMIT;
  \connect - postgres
  DROP ROLE demoting;
  \echo The role landscape is no superuser any more.
\else
  \echo The role landscape is no superuser: nothing to do.
\endif
