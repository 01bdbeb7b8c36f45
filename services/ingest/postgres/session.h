/*
 * What a session needs before it is of use: settings, a server that may be written to,
 * the schema of our version, and which partitions there are.
 */
#ifndef INGEST_POSTGRES_SESSION_H
#define INGEST_POSTGRES_SESSION_H

#include "intervals.h"
#include "pg.h"

/* Named, as the server may have other defaults. */
#define SESSION_BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

/* Reading the table locks it until the transaction ends, so nobody migrates meanwhile. */
#define SESSION_VERSION_AND(more)                                                          \
	"SELECT coalesce(max(version), 0)" more " FROM dewpoint_schema"
#define SESSION_VERSION SESSION_VERSION_AND("")

struct session {
	struct pg *pg;
	struct dp_intervals *days; /* that have a partition, since 1970 */
	void (*done)(void *data);
	void (*outdated)(void *data);
	void *data;
	int step;
	int64_t version, migrated_from;
	const char *refusal;
	char store[33]; /* which store it is, hexadecimal; once done */
};

/**
 * Prepare a session that is connected. What fails drops it: it comes back.
 * @param done      all is well
 * @param outdated  a newer version has changed the database, which is logged
 */
void session_prepare(struct session *session, struct pg *pg, struct dp_intervals *days,
	void (*done)(void *data), void (*outdated)(void *data), void *data);

/** Whether a version is newer than ours; logs it, naming both. */
bool session_is_newer(const struct pg *pg, int64_t version);

#endif
