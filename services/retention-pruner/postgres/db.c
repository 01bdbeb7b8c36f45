#include "db.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "log.h"
#include "postgres.h"

#define CONNECT_MS 10000
#define MARGIN_MS 5000 /* for the server to end a statement, and to say so */
#define PATIENCE_MS 3600000
#define HURRY_MS 500
#define VALUES_MAX 8
#define CANCELED "57014" /* the SQLSTATE of a statement that took too long */
#define INT8 20		 /* the type's number, which is part of the protocol */

struct db {
	const char *url;
	PGconn *conn;
	PGresult *result;
	int bell; /* rings when time gets short */
	_Atomic int64_t hurry_ms;
	int64_t limit_ms, answer_ms; /* of any call, of the next one */
	bool too_long;
	char name[256], why[512];
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void db_open(struct db **out, const char *url)
{
	struct db *db = calloc(1, sizeof(*db));
	if (db == NULL)
		dp_log_out_of_memory("the store");
	db->url = url;
	db->hurry_ms = INT64_MAX;
	db->limit_ms = db->answer_ms = CONNECT_MS;
	db->bell = eventfd(0, EFD_CLOEXEC);
	if (db->bell < 0)
		dp_log_out_of_memory("a descriptor");
	dp_postgres_name(url, db->name, sizeof(db->name));
	*out = db;
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	db_disconnect(db);
	close(db->bell);
	free(db);
}

void db_hurry(struct db *db)
{
	const uint64_t one = 1;
	atomic_store(&db->hurry_ms, now_ms() + HURRY_MS);
	/* It cannot fail: the counter is far from full. */
	if (write(db->bell, &one, sizeof(one)) != sizeof(one))
		dp_log(DP_LOG_ERROR, "cannot wake the work queue", NULL);
}

static void clear(struct db *db)
{
	PQclear(db->result);
	db->result = NULL;
}

void db_disconnect(struct db *db)
{
	clear(db);
	PQfinish(db->conn);
	db->conn = NULL;
}

void db_say_why(struct db *db, const char *why)
{
	dp_postgres_line(db->why, sizeof(db->why), why);
}

static int give_up(struct db *db, const char *why)
{
	db_say_why(db, why);
	db_disconnect(db);
	return -ENOTCONN;
}

static int give_up_broken(struct db *db)
{
	char why[sizeof(db->why)];
	dp_postgres_line(why, sizeof(why), PQerrorMessage(db->conn));
	return give_up(db, why);
}

/* Until the socket is ready. @return 0, or -ENOTCONN when it takes too long */
static int wait_for(struct db *db, short events, int64_t until_ms)
{
	for (;;) {
		int64_t hurry_ms = atomic_load(&db->hurry_ms), now = now_ms();
		int64_t end_ms = hurry_ms < until_ms ? hurry_ms : until_ms;
		/* Who is in a hurry knows it already. */
		struct pollfd fds[] = {{.fd = PQsocket(db->conn), .events = events},
			{.fd = hurry_ms == INT64_MAX ? db->bell : -1, .events = POLLIN}};
		int ready = now < end_ms ? poll(fds, 2, (int)(end_ms - now)) : 0;
		if (ready > 0 && fds[0].revents != 0)
			return 0;
		if (ready == 0) {
			db->too_long = hurry_ms == INT64_MAX;
			return give_up(db, "no answer in time");
		}
		if (ready < 0 && errno != EINTR)
			return give_up(db, "the connection cannot be polled");
	}
}

static PGconn *start_connecting(const char *url)
{
	struct dp_postgres_params params;
	dp_postgres_params(&params, url, "dewpoint-pruner");
	PGconn *conn = PQconnectStartParams(params.names, params.values, 0);
	dp_postgres_params_free(&params);
	if (conn == NULL)
		dp_log_out_of_memory("a connection");
	return conn;
}

static void ignore_notice(void *data, const PGresult *result)
{
	(void)data, (void)result;
}

int db_connect(struct db *db, bool *fresh)
{
	int64_t until_ms = now_ms() + CONNECT_MS;
	*fresh = false;
	db->why[0] = '\0';
	if (db->conn != NULL && PQstatus(db->conn) == CONNECTION_OK)
		return 0;
	db_disconnect(db);
	*fresh = true;
	db->limit_ms = db->answer_ms = CONNECT_MS;
	db->conn = start_connecting(db->url);
	PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	if (PQstatus(db->conn) == CONNECTION_BAD)
		status = PGRES_POLLING_FAILED;
	while (status != PGRES_POLLING_OK) {
		if (status == PGRES_POLLING_FAILED)
			return give_up_broken(db);
		int err = wait_for(
			db, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms);
		if (err != 0)
			return err;
		status = PQconnectPoll(db->conn);
	}
	return PQsetnonblocking(db->conn, 1) == 0 ? 0 : give_up_broken(db);
}

int db_server_version(const struct db *db)
{
	return PQserverVersion(db->conn);
}

const char *db_name(const struct db *db)
{
	return db->name;
}

const char *db_why(const struct db *db)
{
	return db->why;
}

void db_limit(struct db *db, int64_t ms)
{
	db->limit_ms = db->answer_ms = ms + MARGIN_MS;
}

bool db_took_too_long(const struct db *db)
{
	return db->too_long;
}

void db_patience(struct db *db)
{
	db->answer_ms = PATIENCE_MS;
}

/* ---- statements ---- */

static int send(struct db *db, const char *sql, const struct db_values *values)
{
	char digits[VALUES_MAX][24];
	const char *at[VALUES_MAX];
	Oid types[VALUES_MAX] = {0};
	int n = 0;
	if (values == NULL)
		return PQsendQuery(db->conn, sql);
	for (int i = 0; i < values->n_numbers; i++) {
		snprintf(digits[n], sizeof(digits[n]), "%lld",
			(long long)values->numbers[i]);
		types[n] = INT8;
		at[n] = digits[n];
		n++;
	}
	for (int i = 0; i < values->n_texts; i++)
		at[n++] = values->texts[i];
	return PQsendQueryParams(db->conn, sql, n, types, at, NULL, NULL, 0);
}

/* Send what is queued, and take in what comes, until there is a whole result. */
static int exchange(struct db *db, int64_t until_ms)
{
	for (;;) {
		int left = PQflush(db->conn);
		if (left < 0)
			return give_up_broken(db);
		if (left == 0 && PQisBusy(db->conn) == 0)
			return 0;
		int err = wait_for(
			db, left > 0 ? (short)(POLLIN | POLLOUT) : POLLIN, until_ms);
		if (err != 0)
			return err;
		if (PQconsumeInput(db->conn) == 0)
			return give_up_broken(db);
	}
}

/* The last good result is kept. @return 0 or the error it stands for */
static int keep_result(struct db *db, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
		status == PGRES_EMPTY_QUERY) {
		clear(db);
		db->result = result;
		return 0;
	}
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	int err = dp_postgres_error(state);
	db->too_long = state != NULL && strcmp(state, CANCELED) == 0;
	db_say_why(db, text != NULL ? text : PQerrorMessage(db->conn));
	PQclear(result);
	return err;
}

int db_run(struct db *db, const char *sql, const struct db_values *values)
{
	int64_t until_ms = now_ms() + db->answer_ms;
	int err = 0;
	db->answer_ms = db->limit_ms;
	db->too_long = false;
	if (db->conn == NULL)
		return -ENOTCONN;
	db->why[0] = '\0';
	clear(db);
	if (send(db, sql, values) != 1)
		return give_up_broken(db);
	for (;;) {
		int code = exchange(db, until_ms);
		if (code != 0)
			return code;
		PGresult *result = PQgetResult(db->conn);
		if (result == NULL)
			break;
		code = keep_result(db, result);
		if (err == 0)
			err = code;
	}
	if (err == -ENOTCONN || PQstatus(db->conn) == CONNECTION_BAD) {
		db_disconnect(db);
		return -ENOTCONN;
	}
	return err;
}

int db_restore_limit(struct db *db)
{
	char sql[64];
	snprintf(sql, sizeof(sql), "SET statement_timeout = %lld",
		(long long)(db->limit_ms - MARGIN_MS));
	return db_run(db, sql, NULL);
}

size_t db_rows(const struct db *db)
{
	return (size_t)PQntuples(db->result);
}

const char *db_text(const struct db *db, size_t row, int column)
{
	return PQgetvalue(db->result, (int)row, column);
}

bool db_is_null(const struct db *db, size_t row, int column)
{
	return PQgetisnull(db->result, (int)row, column) != 0;
}

int64_t db_int(const struct db *db, size_t row, int column)
{
	return strtoll(db_text(db, row, column), NULL, 10);
}

int64_t db_changed(const struct db *db)
{
	return strtoll(PQcmdTuples(db->result), NULL, 10);
}
