CREATE TABLE unread_plan (
    query_id             text COLLATE "C" PRIMARY KEY,
    token                bigint NOT NULL
);

COMMENT ON TABLE unread_plan IS
    'The profiles whose plan annals has not read yet. A row goes with its profile, or once the plan is in the table plan';
COMMENT ON COLUMN unread_plan.token IS
    'another one for a profile that replaces one: what was read of that one is dropped';
COMMENT ON TABLE plan IS
    'What annals reads of each profile''s plan, after the profile is stored. A row goes with its profile';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM set_config('citus.multi_shard_modify_mode', 'sequential', true);
        PERFORM create_distributed_table('unread_plan', 'query_id', colocate_with => 'query');
    END IF;
END $$;

-- Citus knows foreign keys only between tables that are distributed already.
ALTER TABLE unread_plan ADD CONSTRAINT unread_plan_of_profile
    FOREIGN KEY (query_id) REFERENCES profile (query_id) ON DELETE CASCADE;

-- An older annals looked for profiles without a plan.
INSERT INTO unread_plan (query_id, token)
SELECT profile.query_id, 0
FROM profile
LEFT JOIN plan ON plan.query_id = profile.query_id
WHERE plan.query_id IS NULL;
