#!/bin/sh
# Run once by the postgres image as its superuser: the login role that owns the platform's database
# and is no superuser, the tiler's login that may resolve assets only, the database, the extensions.
# The rest is `opstac migrate`'s, as the owner.
set -eu
: "${OPSTAC_DATABASE_PASSWORD:?}" "${OPSTAC_TILER_DATABASE_PASSWORD:?}"
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
    --set password="$OPSTAC_DATABASE_PASSWORD" \
    --set tiler_password="$OPSTAC_TILER_DATABASE_PASSWORD" <<'SQL'
create role opstac login nosuperuser createrole nobypassrls password :'password';
create role opstac_tiler nologin;
grant opstac_tiler to opstac with admin option;
create role opstac_tile login nosuperuser nobypassrls in role opstac_tiler password :'tiler_password';
create database opstac owner opstac;
\connect opstac
create extension postgis;
create extension btree_gist;
create extension unaccent;
SQL
