-- Two lookups that read no table whole: the pairs with a policy of a schedule that is gone,
-- for retention where the server has no policy; and the schedules that a tick can't read or
-- start, which somebody must look at. They only add.

CREATE INDEX backup_schedule_gone_retention ON {{schema}}.backup_schedule_gone (user_id, site_id) WHERE retention IS NOT NULL;
CREATE INDEX backup_schedule_set_aside ON {{schema}}.backup_schedule (set_aside_until);
