/* What the services that store in PostgreSQL have in common, but for their sessions. */
#ifndef DP_POSTGRES_H
#define DP_POSTGRES_H

#include <stddef.h>

/** The schema's version that all of them know: services/ingest/postgres/schema*.sql. */
#define DP_POSTGRES_SCHEMA 3

/** To change what all replicas share: schema, sensors, partitions. "DPbw" */
#define DP_POSTGRES_LOCK "SELECT pg_advisory_xact_lock(1146118775)"

/**
 * Who stores holds this one shared to the end of its transaction; who moves
 * retention.late_before holds it alone.
 */
#define DP_POSTGRES_STORING "1146118776"

/** A statement's parameter of microseconds since 1970, as a time: $1 to $4. */
#define DP_POSTGRES_TIME(us) "timestamptz 'epoch' + " us " * interval '1 microsecond'"
#define DP_TIME_1 DP_POSTGRES_TIME("$1")
#define DP_TIME_2 DP_POSTGRES_TIME("$2")
#define DP_TIME_3 DP_POSTGRES_TIME("$3")
#define DP_TIME_4 DP_POSTGRES_TIME("$4")

/** What STORE_URL may be, when the value is none; else NULL. For config tables. */
const char *dp_postgres_check_url(const char *value);

/** A checked URL without user, password and parameters. */
void dp_postgres_name(const char *url, char *name, size_t size);

#define DP_POSTGRES_PARAMS 64

/** What a session is opened with: PQconnectStartParams(). */
struct dp_postgres_params {
	const char *names[DP_POSTGRES_PARAMS],
		*values[DP_POSTGRES_PARAMS]; /**< NULL ends */
	size_t n;
	void *options; /**< what the strings point into */
};

/** Of a checked URL. Ours come first, as what the URL says of the same wins. */
void dp_postgres_params(
	struct dp_postgres_params *params, const char *url, const char *application);

/** One more, which wins; neither is copied. */
void dp_postgres_param(
	struct dp_postgres_params *params, const char *name, const char *value);

/** What the URL says, "" when nothing; lives until dp_postgres_params_free(). */
const char *dp_postgres_param_of(const struct dp_postgres_params *params, const char *name);

void dp_postgres_params_free(struct dp_postgres_params *params);

/** The first line of the server's or libpq's words, fit for a quoted field of the log. */
void dp_postgres_line(char *to, size_t size, const char *text);

/**
 * @param state  an SQLSTATE, or NULL
 * @return -ENOTCONN the session is gone; -ENOSPC, -EROFS, -EACCES, -EBUSY, -EAGAIN (worth
 *         trying again at once), -EUCLEAN (damaged), -EDOM (refused for what the data are),
 *         -EIO
 */
int dp_postgres_error(const char *state);

#endif
