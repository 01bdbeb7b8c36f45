/* What every step does around its own statements. @return 0 or as db_run() */
#ifndef PRUNER_STEP_H
#define PRUNER_STEP_H

#include "postgres_store.h"

/** The numbers are $1 and so on, then comes the text unless it is NULL. */
int step_run(struct postgres_store *store, const char *sql, int n, const int64_t *numbers,
	const char *text);

/** The same for one number as an answer. @return 1, 0 it is NULL (out unchanged), error */
int step_ask(struct postgres_store *store, const char *sql, int n, const int64_t *numbers,
	const char *text, int64_t *out);

/** Begin a transaction, with the schema's version looked at. */
int step_begin(struct postgres_store *store, const char *how);
#define STEP_PLAIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
/*
 * All statements see the same instant; no partition is made since then, to which rows
 * move that are still looked for in the default one.
 */
#define STEP_SNAPSHOT                                                                      \
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;"                                \
	"LOCK TABLE reading_default IN ACCESS SHARE MODE"

/** Read the row; step_state() also keeps others from changing it in this transaction. */
int step_look(struct postgres_store *store, struct postgres_state *state);
int step_state(struct postgres_store *store, struct postgres_state *state);

/** Commit, or roll back after an error, which is handed on. */
int step_end(struct postgres_store *store, int err);

/** Roll back what was only tried. */
int step_undo(struct postgres_store *store);

/** Run statements that keep others waiting and commit, without a word in between. */
int step_end_with(struct postgres_store *store, const char *sql);

#endif
