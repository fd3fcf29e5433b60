-- The projects of the assets that were there before. In the order in which all lock assets, so that nobody who runs
-- meanwhile waits in a circle, and those that are deleted apart from the others: see track_removed.
set local role opstac_system;
select set_config('opstac.removing', 'on', true);
do $$
declare
  v_deleted boolean;
  v_last text;
begin
  foreach v_deleted in array array[false, true] loop
    v_last := '';
    loop
      with few as (
        select a.id, a.item_id from asset a
        where a.id > v_last and (a.deleted_at is not null) = v_deleted
        order by a.id limit 5000 for no key update
      ), told as (
        update asset a set project_id = (select i.project_id from item i where i.id = f.item_id)
        from few f
        where a.id = f.id and a.project_id is null
      )
      select max(f.id) into v_last from few f;
      exit when v_last is null;
    end loop;
  end loop;
end $$;
select set_config('opstac.removing', 'off', true);
set local role opstac_owner;
