-- Who waits for word is told when a sign-in of theirs has ended, as they are of their standing.

create trigger tell_person after update of ended_at on sign_in for each row
when (new.ended_at is distinct from old.ended_at)
execute function tell_person('user_id');
