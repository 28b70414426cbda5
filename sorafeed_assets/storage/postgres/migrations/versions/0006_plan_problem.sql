ALTER TABLE displays ADD COLUMN plan_problem TEXT;

COMMENT ON COLUMN displays.plan_problem IS
    'why its active playlist could not be planned when that was last tried';
