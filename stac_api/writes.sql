-- name: put_items
select opstac.put_items(:slot, :items::jsonb)

-- name: patch_item
select opstac.patch_item(:slot, :item::jsonb)

-- name: remove_items
select opstac.remove_items(:slot, :ids)

-- name: provision_slot
select opstac.provision_slot(:public)

-- name: free_slots
select count(*) from opstac.organization_slot where organization_id is null and not public

-- name: wait_no_longer_than
-- Making a partition takes a lock that every search waits behind, so it may only be waited for briefly.
select set_config('lock_timeout', :milliseconds, true)
