"""What an administrator forbids in the database itself, in either kind."""

import sqlite3


class Rules:
    """Triggers on the lab's database, which ingest has made."""

    def __init__(self, lab):
        self.lab = lab

    def forbid(self, table, when, words):
        """Rows for which `when`, of `new`, is true are refused with these words."""
        name = f"forbid_{table}"
        if self.lab.postgres is None:
            self._sqlite(
                f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {when}"
                f" BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
            return
        self.lab.postgres.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF {when} THEN RAISE EXCEPTION '{words}'; END IF; RETURN new; END $$"
        )
        self.lab.postgres.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
        )

    def allow(self, table):
        """All rows again."""
        if self.lab.postgres is None:
            self._sqlite(f"DROP TRIGGER forbid_{table}")
        else:
            self.lab.postgres.execute(f"DROP TRIGGER forbid_{table} ON {table}")

    def _sqlite(self, sql):
        connection = sqlite3.connect(self.lab.database_path, timeout=10)
        connection.execute(sql)
        connection.commit()
        connection.close()
