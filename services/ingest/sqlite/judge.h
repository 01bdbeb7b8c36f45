/* SQLite has refused something: is one message at fault, or the database? */
#ifndef INGEST_SQLITE_JUDGE_H
#define INGEST_SQLITE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "sqlite.h"
#include "store.h"

/** Whether the last call failed for what was to be stored (a constraint and the like). */
bool judge_is_refusal(sqlite3 *db);

/**
 * A transaction was refused, and is rolled back. If an ordinary message is refused as well,
 * as when somebody has changed the tables, all wait for the database to be mended, and
 * nobody's readings become dead letters.
 * @param why  what SQLite says of the ordinary message, if it is refused
 * @return -EDOM an ordinary message is taken, so a message of that transaction is at fault;
 *         otherwise what is wrong with the database, as dp_store_begin()
 */
int judge_refusal(struct dp_store *store, char *why, size_t size);

#endif
