/* An open outbox, for the files that are its parts: outbox.c writes, outbox_read.c reads.
 */
#ifndef PUBLISHER_OUTBOX_DB_H
#define PUBLISHER_OUTBOX_DB_H

#include "outbox.h"
#include "sqlite.h"

struct outbox {
	sqlite3 *db;
	sqlite3_stmt *append, *remove, *load, *add_stream, *set_low, *set_closed, *oldest,
		*begin, *commit, *rollback;
	char instance[OUTBOX_INSTANCE + 1];
	int64_t floor_us;
};

/**
 * As dp_sqlite_error(), for an outbox: what our own statements cannot run into in a file
 * of ours, such as a constraint or a missing column, is damage as well (-EUCLEAN).
 */
int outbox_error(int code);
/** dp_sqlite_exec() and dp_sqlite_prepare() with such errors; nothing is logged. */
int outbox_exec(struct outbox *outbox, const char *sql);
int outbox_prepare(struct outbox *outbox, const char *sql, sqlite3_stmt **statement);

/** Read name and floor. @return 0; -ENOENT it has none; -EUCLEAN; other errno */
int outbox_read_instance(struct outbox *outbox);

#endif
