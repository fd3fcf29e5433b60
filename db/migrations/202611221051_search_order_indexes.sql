-- What the new indexes do in place of these. Searches wait for this, which takes moments.
set local role pgstac_admin;
drop index pgstac.items_order_idx, pgstac.items_collection_order_idx, pgstac.items_project_order_idx;
alter index pgstac.items_order_clouds_idx rename to items_order_idx;
alter index pgstac.items_collection_order_clouds_idx rename to items_collection_order_idx;
alter index pgstac.items_project_order_clouds_idx rename to items_project_order_idx;
set local role opstac_owner;
