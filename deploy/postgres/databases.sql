-- Run once by psql, as a superuser: the roles, the logins and both databases. The image of PostgreSQL
-- runs it when the server's folder is created. Passwords are read from files; where a server of your
-- own has them elsewhere, change only those lines.
\set ON_ERROR_STOP on
\set migrate_password `cat /run/secrets/migrate_password`
\set work_password `cat /run/secrets/work_password`
\set api_password `cat /run/secrets/api_password`
\set dagster_password `cat /run/secrets/dagster_password`

-- The groups, whose grants `sorafeed migrate` states.
CREATE ROLE sorafeed_migrator NOLOGIN;
CREATE ROLE sorafeed_engine NOLOGIN;
CREATE ROLE sorafeed_player NOLOGIN;
CREATE ROLE sorafeed_scanner NOLOGIN;
CREATE ROLE sorafeed_reader NOLOGIN;
-- The schema `scanner` is the scanner's, and a migration may change it.
GRANT sorafeed_scanner TO sorafeed_migrator;

-- The logins: migrations, react and Dagster's runs, the API, and Dagster's own database.
CREATE ROLE sorafeed_migrate LOGIN PASSWORD :'migrate_password' IN ROLE sorafeed_migrator;
CREATE ROLE sorafeed_work LOGIN PASSWORD :'work_password' IN ROLE sorafeed_engine;
CREATE ROLE sorafeed_api LOGIN PASSWORD :'api_password' IN ROLE sorafeed_player;
CREATE ROLE sorafeed_dagster LOGIN PASSWORD :'dagster_password';

CREATE DATABASE sorafeed OWNER sorafeed_migrator TEMPLATE template0 ENCODING 'UTF8'
  LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C';
CREATE DATABASE dagster OWNER sorafeed_dagster;
REVOKE ALL ON DATABASE sorafeed, dagster FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE sorafeed TO sorafeed_engine, sorafeed_player;
GRANT CONNECT ON DATABASE sorafeed TO sorafeed_scanner, sorafeed_reader;
-- The API reads in Dagster's database how many runs failed.
GRANT CONNECT ON DATABASE dagster TO sorafeed_player;
\connect dagster
ALTER DEFAULT PRIVILEGES FOR ROLE sorafeed_dagster GRANT SELECT ON TABLES TO sorafeed_player;
