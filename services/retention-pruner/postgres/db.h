/*
 * A session with PostgreSQL whose calls wait, each with a deadline: for the work queue,
 * one call at a time. db.c alone knows libpq.
 */
#ifndef PRUNER_DB_H
#define PRUNER_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

/**
 * Make one that is not connected; memory that is missing ends the process.
 * @param url  checked; outlives it
 */
void db_open(struct db **out, const char *url);

/** Disconnect and free; NULL is fine. No db_hurry() may be under way. */
void db_close(struct db *db);

/** From any thread, once: this call and all that follow end within half a second. */
void db_hurry(struct db *db);

/**
 * Connect, unless it is connected.
 * @param fresh  whether this is another session than before
 * @return 0, or -ENOTCONN, and db_why() says why
 */
int db_connect(struct db *db, bool *fresh);

/** Without a word to the server; harmless when it is not connected. */
void db_disconnect(struct db *db);

/** Of the server, while it is connected: 170012 is 17.12. */
int db_server_version(const struct db *db);

/** The database without user and password; db's own, as the next. */
const char *db_name(const struct db *db);

/** Why the last call failed, or what the caller has made of it; empty: it did not. */
const char *db_why(const struct db *db);

/** Say it in other words, of which the first line is copied. */
void db_say_why(struct db *db, const char *why);

/** Parameters of a statement: numbers are $1 and so on, texts follow. */
struct db_values {
	int n_numbers, n_texts;
	const int64_t *numbers;
	const char *const *texts;
};

/**
 * Run a statement; without values it may be several in one text. Its rows (of the last
 * one) are there until the next call.
 * @return 0; -ENOTCONN the session is gone; or as dp_postgres_error()
 */
int db_run(struct db *db, const char *sql, const struct db_values *values);

/**
 * After so many milliseconds the server ends a statement of this session: a call that has
 * no answer some seconds later gives the session up. Until it is said, that is after ten.
 */
void db_limit(struct db *db, int64_t ms);

/** Whether the last call failed as it took too long, here or by the server's word. */
bool db_took_too_long(const struct db *db);

/** Say the limit to the server again, whose own was changed. @return as db_run() */
int db_restore_limit(struct db *db);

/** The next call may take longer than others: it has an hour. */
void db_patience(struct db *db);

/* Of the rows of the last statement, which was run without an error. */
size_t db_rows(const struct db *db);
const char *db_text(const struct db *db, size_t row, int column); /**< "" for NULL */
bool db_is_null(const struct db *db, size_t row, int column);
int64_t db_int(const struct db *db, size_t row, int column); /**< 0 for NULL */

/** How many rows the last statement has inserted, updated or deleted. */
int64_t db_changed(const struct db *db);

#endif
