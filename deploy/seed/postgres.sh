#!/bin/sh
# Run once by the image's entry point, as the superuser, before the server is
# reachable by TCP.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$PENSTOCK_PASSWORD" -U "${POSTGRES_USER:-postgres}" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE penstock LOGIN REPLICATION PASSWORD :'password';

CREATE TABLE authors (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE posts (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author    bigint NOT NULL REFERENCES authors,
    title     text NOT NULL,
    body      text NOT NULL,
    tags      text[] NOT NULL DEFAULT '{}',
    published timestamptz NOT NULL DEFAULT now()
);

INSERT INTO authors (name) VALUES ('Barbara'), ('Tony');
INSERT INTO posts (author, title, body, tags) VALUES
    (1, 'Abstraction', 'What a type hides.', '{types}'),
    (2, 'Null', 'A costly mistake.', '{types,regret}');

GRANT SELECT ON ALL TABLES IN SCHEMA public TO penstock;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO penstock;

-- Only a superuser may publish all tables, so it is not left to Penstock.
CREATE PUBLICATION dbz_publication FOR ALL TABLES;
SQL
