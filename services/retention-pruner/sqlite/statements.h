/* The prepared statements, and what each step does around its own. */
#ifndef PRUNER_STATEMENTS_H
#define PRUNER_STATEMENTS_H

#include "sqlite_store.h"

int sql_prepare(struct sqlite_store *store);
void sql_finalize(struct sqlite_store *store);

/** Bind numbers to its first parameters. */
sqlite3_stmt *sql_bind(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values);

/** Run what is bound. @return 0 or a negative errno, as all here */
int sql_run(struct sqlite_store *store, enum sqlite_statement which);

/** Bind, and read one row of integers. @return 1, 0 no row (out unchanged), or an error */
int sql_row(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values, int columns, int64_t *out);

/** Of a row; never NULL, although a flipped bit makes a NULL where the schema has none. */
const char *sql_text(sqlite3_stmt *statement, int column);

int sql_state(struct sqlite_store *store, struct sqlite_state *state);

/** Commit, or roll back after an error, which is handed on. */
int sql_end(struct sqlite_store *store, int err);

#endif
