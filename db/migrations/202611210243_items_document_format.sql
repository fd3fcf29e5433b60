-- STAC documents follow from our rows. Where a version writes them otherwise, a chore writes those that were
-- there before anew, a batch at a time: they are told by this number.

alter table item add column document_format smallint not null default 0;
alter table item alter column document_format set default 1;
create index item_document_format on item (organization_id, id) where document_format < 1 and deleted_at is null;
comment on column item.document_format is 'In which form the STAC document was written last; see opstac.chores.';
