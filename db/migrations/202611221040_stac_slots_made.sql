-- A slot is made in less than half of the time: what pgstac does for a collection's first partition, less
-- the looking for what it has already. pgstac.check_partition asks for the definitions of all
-- indexes and queryables four times over, to find that a new table has none.

create or replace function pgstac.opstac_make_slot(p_slot text) returns void
language plpgsql security definer set search_path = pgstac, public as $$
declare
  v_partition text;
  v_index text;
  v_time tstzrange := '[1000-01-01Z,3000-01-01Z]';
begin
  -- ONLY: partitions of others need no lock
  lock table only pgstac.items in access exclusive mode;
  lock table pgstac.collections in share row exclusive mode;
  perform pgstac.create_collection(jsonb_build_object(
    'id', p_slot, 'type', 'Collection', 'stac_version', '1.0.0', 'license', 'proprietary',
    'description', 'One organization''s items', 'links', '[]'::jsonb,
    'extent', '{"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[null, null]]}}'::jsonb));
  select '_items_' || key into strict v_partition from pgstac.collections where id = p_slot;
  execute format('create table pgstac.%I partition of pgstac.items for values in (%L)', v_partition, p_slot);
  execute format('create unique index %I on pgstac.%I (id)', v_partition || '_pk', v_partition);
  -- wide from the start: widening later would scan the partition under an exclusive lock
  perform pgstac.create_table_constraints(v_partition, v_time, v_time);
  for v_index in
    select pgstac.indexdef_unnamed(pg_get_indexdef(wanted.index), v_partition)
    from pgstac.queryables q
    cross join lateral (select pgstac.reference_index(q) as index offset 0) wanted
    where q.property_index_type is not null and wanted.index is not null
      and (q.collection_ids is null or p_slot = any (q.collection_ids))
    except
    -- those of `items` itself are there
    select pgstac.indexdef_unnamed(pg_get_indexdef(i.indexrelid), v_partition)
    from pg_index i where i.indrelid = format('pgstac.%I', v_partition)::regclass
  loop
    execute v_index;
  end loop;
  -- by it a search of pgstac finds the partition
  insert into pgstac.partition_stats (partition, collection, partition_dtrange)
  values (v_partition, p_slot, tstzrange('-infinity', 'infinity', '[]'));
  execute format('grant all on pgstac.%I to pgstac_ingest', v_partition);
  execute format(
    'grant select, insert, update, delete on pgstac.%I to opstac_app, opstac_system', v_partition);
end $$;
