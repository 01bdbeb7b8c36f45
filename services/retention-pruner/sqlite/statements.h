/* The prepared statements, and what each step does around its own. */
#ifndef PRUNER_STATEMENTS_H
#define PRUNER_STATEMENTS_H

#include "sqlite_store.h"

/** Set the connection up, which is open, and prepare. @return 0 or an error */
int sql_prepare(struct sqlite_store *store);

/** Before the connection is closed; also after sql_prepare() has failed, or without it. */
void sql_finalize(struct sqlite_store *store);

/** Bind numbers to its first parameters. @return the statement, which is the store's */
sqlite3_stmt *sql_bind(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values);

/** The same, and run it. @return 0 or an error */
int sql_run(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values);

/**
 * Bind, and read one row of integers.
 * @return 1; 0 no row, or NULL is its first column; or an error; `out` is written with 1
 *         only
 */
int sql_row(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values, int columns, int64_t *out);

/**
 * Of a row, the statement's until its next step. Never NULL, although a flipped bit makes a
 * NULL where the schema has none.
 */
const char *sql_text(sqlite3_stmt *statement, int column);

/** Read the row of `retention`. @return 0, -ENODATA it is not there, or an error */
int sql_state(struct sqlite_store *store, struct sqlite_state *state);

/**
 * End a transaction: commit it, or roll it back when `err` is an error. @return err, or why
 * it could not be committed: then it is rolled back
 */
int sql_end(struct sqlite_store *store, int err);

#endif
