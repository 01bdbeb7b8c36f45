-- A migration to come, for test_upgrade.py: what a version after this one might add.
CREATE TABLE note (sensor INTEGER NOT NULL REFERENCES sensor (id), text TEXT NOT NULL);
