-- The order that searches answer in by default, datetime and then id, as an index of its own. pgstac's
-- ends with end_datetime, so all items of one moment (a day, in many catalogues) were read and sorted
-- for each page.

set local role pgstac_admin;
create index items_order_idx on pgstac.items (datetime desc, id desc);
set local role opstac_owner;

-- Starting parallel workers takes longer than a page of a search.
alter function search_items set max_parallel_workers_per_gather = 0;
