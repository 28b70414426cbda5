-- Run once, when the server's folder is created: POSTGRES_DB is the database of the project, this
-- one is Dagster's.
CREATE DATABASE dagster;
