-- name: public_slot
select opstac.public_slot() as slot;
