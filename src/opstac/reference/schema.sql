-- name: tables
-- Every table of the platform's schema, partitions left out.
select c.relname as name,
       obj_description(c.oid, 'pg_class') as comment,
       c.relrowsecurity and c.relforcerowsecurity as protected,
       c.relkind = 'p' as partitioned
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'opstac' and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname collate "C";

-- name: columns
select c.relname as name,
       a.attname as column,
       format_type(a.atttypid, a.atttypmod) as type,
       a.attnotnull as required,
       pg_get_expr(d.adbin, d.adrelid) as default,
       col_description(c.oid, a.attnum) as comment
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where n.nspname = 'opstac' and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname collate "C", a.attnum;

-- name: functions
-- Functions and procedures that say what they are for.
select p.proname as name,
       pg_get_function_identity_arguments(p.oid) as arguments,
       obj_description(p.oid, 'pg_proc') as comment
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'opstac' and obj_description(p.oid, 'pg_proc') is not null
order by p.proname collate "C";
