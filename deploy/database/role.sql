-- Run once, when the cluster is made: the role and the database of the service.
-- The role owns its database and is no superuser, so a stolen password reaches no other database, no file of the server
-- and no command on it. The superuser `postgres` loses its password: only a shell inside the container reaches it.
\set password `cat /run/secrets/database_password`
CREATE ROLE landscape LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE landscape OWNER landscape;
ALTER ROLE postgres PASSWORD NULL;
