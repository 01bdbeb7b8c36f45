/* What every step does around its own statements. They return 0, or as db_run(). */
#ifndef PRUNER_STEP_H
#define PRUNER_STEP_H

#include "postgres_store.h"

/** The numbers are $1 and so on, then comes the text unless it is NULL. */
int step_run(struct postgres_store *store, const char *sql, int n, const int64_t *numbers,
	const char *text);

/**
 * The same for one number as an answer.
 * @return 1; 0 there is no row, or it is NULL; or an error; `out` is written with 1 only
 */
int step_ask(struct postgres_store *store, const char *sql, int n, const int64_t *numbers,
	const char *text, int64_t *out);

/**
 * Begin a transaction. @param how  one of these
 * @return also -EPROTO: the schema is newer than we are, logged; nothing is begun then
 */
int step_begin(struct postgres_store *store, const char *how);
#define STEP_PLAIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
/*
 * All statements see the same instant; no partition is made since then, to which rows
 * move that are still looked for in the default one.
 */
#define STEP_SNAPSHOT                                                                      \
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;"                                \
	"LOCK TABLE reading_default IN ACCESS SHARE MODE"

/**
 * Read the row; step_state() also keeps others from changing it in this transaction.
 * @return also -ENODATA: it is not there
 */
int step_look(struct postgres_store *store, struct postgres_state *state);
int step_state(struct postgres_store *store, struct postgres_state *state);

/**
 * End the transaction: commit it, or roll it back when `err` is an error, which is handed
 * on with its words. A session that cannot roll back is closed.
 */
int step_end(struct postgres_store *store, int err);

/** Roll back what was only tried. @return as db_run() */
int step_undo(struct postgres_store *store);

/**
 * Run statements that keep others waiting, and commit, in one round trip. After an error
 * the transaction is rolled back.
 */
int step_end_with(struct postgres_store *store, const char *sql);

#endif
