-- name: balance
select sum(a.balance) filter (where a.kind = 'available')::bigint as available,
       sum(a.balance) filter (where a.kind = 'held')::bigint as held,
       coalesce((select max(j.created_at) from journal j where j.organization_id = :org), o.created_at) as updated_at
from organization o join account a on a.organization_id = o.organization_id
where o.organization_id = :org and a.organization_id = :org and a.kind in ('available', 'held')
group by o.organization_id;

-- name: journal
select id, kind, amount, charged, available_after, held_after, reference_type, reference_id, description, created_at
from journal
where organization_id = :org and (:kind::text is null or kind = :kind)
order by seq desc
limit :limit offset :offset;

-- name: count_journal
select count(*) as total from journal where organization_id = :org and (:kind::text is null or kind = :kind);

-- name: organization
select organization_id from organization where organization_id = :org and deleted_at is null;
