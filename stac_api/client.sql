-- name: version
select pgstac.get_version() as version
