-- The indexes that are in the order of pages are to hold the cloud cover too, so that going along them to the newest scenes
-- with few clouds looks at the index alone until one is found. Before, each scene that was passed was read and unpacked,
-- and after some thousands all with few clouds were read and sorted: most of a second in a slot of a million items.
-- Here they are built beside those there are, while searches go on; writes of items wait.

set local role pgstac_admin;
create index items_order_clouds_idx on pgstac.items
  (datetime desc, id desc, pgstac.to_float(content->'properties'->'eo:cloud_cover'));
create index items_collection_order_clouds_idx on pgstac.items
  ((content->'properties'->>'opstac:collection'), datetime desc, id desc,
   pgstac.to_float(content->'properties'->'eo:cloud_cover'));
create index items_project_order_clouds_idx on pgstac.items
  ((content->'properties'->>'opstac:project'), datetime desc, id desc,
   pgstac.to_float(content->'properties'->'eo:cloud_cover'));
set local role opstac_owner;
