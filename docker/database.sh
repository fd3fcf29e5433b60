#!/bin/sh
# Run once by the postgres image as its superuser: the login role that owns the platform's database
# and is no superuser, the database, the extensions. The rest is `opstac migrate`'s, as that role.
set -eu
: "${OPSTAC_DATABASE_PASSWORD:?}"
psql --set ON_ERROR_STOP=1 --set password="$OPSTAC_DATABASE_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
create role opstac login nosuperuser createrole nobypassrls password :'password';
create database opstac owner opstac;
\connect opstac
create extension postgis;
create extension btree_gist;
create extension unaccent;
SQL
