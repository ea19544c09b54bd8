-- The roles of annals on PostgreSQL: an owner that changes the schema, a writer for annals' servers, and a reader for
-- Grafana, psql and BI. A superuser, or the administrator of a managed service who
-- made the database, runs the file in it:
--
--     createdb --encoding UTF8 --template template0 annals
--     psql --dbname annals --file deploy/postgres/roles.sql
--     psql --dbname annals --command '\password annals_owner'     # the same for annals_writer and annals_reader
--
-- Run it before annals' first migration, again after each migration, and with each new annals. The writer gets all later tables by default.
-- The reader gets only views, and only those that exist when the file runs, so that no later table with secrets is open
-- to it. A repeated run does no harm.

\set ON_ERROR_STOP on
BEGIN;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['annals_owner', 'annals_writer', 'annals_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
    END LOOP;
    -- Managed services have no superuser: whoever sets the rights of what annals_owner will make is a member of it.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT annals_owner TO %I', current_user);
    END IF;
    -- Nobody else connects.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO annals_owner, annals_writer, annals_reader', current_database());
END $$;

-- Before PostgreSQL 15, everybody may create tables in public.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO annals_owner;
GRANT USAGE ON SCHEMA public TO annals_writer, annals_reader;

-- The writer: every row, and the sequences of query.id and login.id, today's and those of later migrations. The search
-- index reads how far the first one is.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO annals_writer;
GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA public TO annals_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE annals_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO annals_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE annals_owner IN SCHEMA public
    GRANT SELECT, USAGE ON SEQUENCES TO annals_writer;

DO $$
DECLARE
    name text;
    other text;
BEGIN
    -- annals_owner could not change these, and the reader gets no view of another role.
    FOR other IN
        SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
            AND relowner <> 'annals_owner'::regrole
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    LOOP
        RAISE WARNING 'tables or views belong to % and not to annals_owner', other
            USING HINT = format('Run REASSIGN OWNED BY %I TO annals_owner in this database, and this file again.', other);
    END LOOP;
    -- The writer reads which migrations have run.
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON public._sqlx_migrations FROM annals_writer;
    END IF;
    -- The reader: the views of annals_owner, which read their tables as annals_owner. Password hashes are in no view.
    FOR name IN SELECT viewname FROM pg_views WHERE schemaname = 'public' AND viewowner = 'annals_owner' LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO annals_reader', name);
    END LOOP;
END $$;

COMMIT;
