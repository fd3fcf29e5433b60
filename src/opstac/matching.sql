-- name: organizations_due
-- Hops from one organization to the next, however many events each has.
with recursive hop as (
  (select organization_id from saved_search_due order by organization_id limit 1)
  union all
  select (select d.organization_id from saved_search_due d
          where d.organization_id > hop.organization_id order by d.organization_id limit 1)
  from hop where hop.organization_id is not null
)
select organization_id from hop where organization_id is not null limit 1000;
