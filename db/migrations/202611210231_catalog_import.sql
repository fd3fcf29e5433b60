-- What an item was imported from, so that a second import of the same tells at once that nothing changed.

alter table item add column import_hash text;
comment on column item.import_hash is
  'SHA-256 of the STAC item it was imported from; null once it was changed in another way.';
