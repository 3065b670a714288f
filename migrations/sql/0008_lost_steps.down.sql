ALTER TABLE {{schema}}.backup DROP COLUMN lost;
