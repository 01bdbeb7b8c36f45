/*
 * A PostgreSQL session on a libuv loop, that comes back by itself. pg.c alone knows
 * libpq. One request at a time: pg_begin(), pg_add()..., pg_end(); or pg_script(); or
 * pg_copy(). Its `done` is called once, from the loop or from within the call.
 */
#ifndef INGEST_POSTGRES_PG_H
#define INGEST_POSTGRES_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "wire.h"

/* What the server knows a session by, unless the URL says otherwise. */
#define PG_APPLICATION "dewpoint-ingest"

struct pg;

struct pg_events {
	void *data;
	/** The server lets us in: settings and schema are the caller's to look at. */
	void (*connected)(void *data);
	/**
	 * There is no session, and why; a request that was under way has ended with
	 * -ENOTCONN before. It is tried again, later and later until pg_good().
	 */
	void (*lost)(void *data, const char *why);
};

/** Begin to connect. */
void pg_open(
	struct pg **out, uv_loop_t *loop, const char *url, const struct pg_events *events);

/** Close the handles; no `lost` follows. */
void pg_close(struct pg *pg);

/** When the loop has ended. Accepts NULL. */
void pg_free(struct pg *pg);

/** The session is of use: the next reconnection does not wait long. */
void pg_good(struct pg *pg);

/** End the session as if the server had: `lost` hears this reason, and it is tried again.
 */
void pg_drop(struct pg *pg, const char *why);

/** What it is connected to or tries, without a password. */
const char *pg_name(const struct pg *pg);

/** Of the server: 170012 is 17.12. */
int pg_server_version(const struct pg *pg);

/** Whether no transaction is open; between requests, in a session. */
bool pg_idle(const struct pg *pg);

/** Why the last request failed, in the server's words. */
const char *pg_error(const struct pg *pg);

/* ---- requests ---- */

/** A statement's rows, in text form. */
struct pg_rows;
size_t pg_count(const struct pg_rows *rows);
const char *pg_text(const struct pg_rows *rows, size_t row, int column); /**< "" for NULL */
int64_t pg_int(const struct pg_rows *rows, size_t row, int column);	 /**< 0 for NULL */

typedef void pg_on_rows(void *data, int statement, const struct pg_rows *rows);

/**
 * @param err  0; -ENOTCONN the session is gone; another one of dp_postgres_error(): the
 *             session is there, what has failed is rolled back, and no transaction is open
 */
typedef void pg_on_done(void *data, int err);

/** A parameter of a statement. */
struct pg_value {
	enum wire_type type;
	const void *at; /**< NULL: NULL */
	int len;	/**< of a binary value; 0: it is a string */
};

#define PG_VALUES_MAX 12 /**< of one statement */

static inline struct pg_value pg_string(const char *text)
{
	return (struct pg_value){WIRE_TEXT, text, 0};
}

/** A number as text, which is the caller's until the statement is added. */
struct pg_value pg_number(char text[24], int64_t number);

static inline struct pg_value pg_array(const struct wire_array *array)
{
	return (struct pg_value){array->type, array->wire.at, (int)array->wire.len};
}

/**
 * Begin a group of statements that go out together.
 * @param rows  called for each statement's rows, counted from 0; may be NULL
 */
void pg_begin(struct pg *pg, pg_on_rows *rows, pg_on_done *done, void *data);
void pg_add(struct pg *pg, const char *sql, const struct pg_value *values, int n);
void pg_end(struct pg *pg);

/** The request under way and all that follow have this much time together. */
void pg_hurry(struct pg *pg, uint64_t ms);

/** Statements in one text, without parameters and rows. */
void pg_script(struct pg *pg, const char *sql, pg_on_done *done, void *data);

/** COPY ... FROM STDIN; `at` lives until done. */
void pg_copy(struct pg *pg, const char *sql, const char *at, size_t len, pg_on_done *done,
	void *data);

#endif
