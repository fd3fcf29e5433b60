-- name: under_way
select id, organization_id from removal where id <> all (:besides::text[]) order by created_at, id limit 100;
