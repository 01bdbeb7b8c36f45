/*
 * Longer than other files, as it alone knows libpq and its traps. libpq waits for name
 * servers while it connects, so it is given addresses (hosts.h). It may close a socket and
 * open the next one under the same number, so a dup() of the socket is polled. It cannot
 * COPY in pipeline mode, so each request enters that mode and leaves it again.
 */
#include "pg.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "hosts.h"
#include "log.h"
#include "postgres.h"
#include "random.h"
#include "timer.h"
#include "watch.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_LIMIT_MS 5000
#define CONNECT_MS 10000
#define ANSWER_MS 30000
#define COPY_CHUNK 65536

enum pg_state { PG_WAITING, PG_RESOLVING, PG_CONNECTING, PG_UP, PG_CLOSED };

struct pg {
	uv_loop_t *loop;
	const char *url;
	struct pg_events events;
	enum pg_state state;
	PGconn *conn;
	uv_poll_t *poll;
	int watched;	  /* UV_READABLE, UV_WRITABLE */
	uv_timer_t timer; /* the next attempt, or the end of patience */
	uint64_t backoff_ms;
	uint64_t end_ms; /* when patience ends with all requests, 0: each has its own */
	size_t attempts;
	uv_work_t work; /* looks names up */
	struct hosts hosts;
	char *host, *port; /* of the URL; NULL when it has addresses */
	int looked_up;
	char name[256], error[512];
	/* the request */
	bool active, pipeline, broken, copying;
	bool undoing; /* it has failed, and its transaction is being rolled back */
	pg_on_rows *rows;
	pg_on_done *done;
	void *data;
	int statement, err;
	const char *copy;
	size_t copy_len;
};

static void connect_later(struct pg *pg);
static void on_poll(uv_poll_t *handle, int status, int events);

/* ---- words ---- */

static void note_error(struct pg *pg, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (pg->err != 0)
		return;
	dp_postgres_line(pg->error, sizeof(pg->error),
		text != NULL ? text : PQerrorMessage(pg->conn));
	pg->err = dp_postgres_error(PQresultErrorField(result, PG_DIAG_SQLSTATE));
}

/* Messages that the server sends on its own. FATAL says why it ends the session. */
static void on_notice(void *data, const PGresult *result)
{
	struct pg *pg = data;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (text != NULL && severity != NULL && strcmp(severity, "FATAL") == 0)
		dp_postgres_line(pg->error, sizeof(pg->error), text);
}

/* ---- the socket ---- */

static int watch(struct pg *pg, int events)
{
	if (pg->poll == NULL) {
		int err = dp_watch(pg->loop, PQsocket(pg->conn), pg, &pg->poll);
		if (err != 0)
			return err;
		pg->watched = 0;
	}
	if (pg->watched == events)
		return 0;
	pg->watched = events;
	return uv_poll_start(pg->poll, events, on_poll);
}

/* ---- the end of a request, the end of a session ---- */

static void finish_request(struct pg *pg, int err)
{
	pg_on_done *done = pg->done;
	if (!pg->active)
		return;
	pg->active = false;
	pg->copying = pg->undoing = false;
	if (pg->state == PG_UP)
		uv_timer_stop(&pg->timer);
	if (done != NULL)
		done(pg->data, err);
}

static void end_session(struct pg *pg)
{
	dp_unwatch(&pg->poll);
	PQfinish(pg->conn);
	pg->conn = NULL;
	uv_timer_stop(&pg->timer);
}

void pg_drop(struct pg *pg, const char *why)
{
	char reason[sizeof(pg->error)];
	if (pg->state == PG_CLOSED || pg->state == PG_WAITING)
		return;
	dp_postgres_line(reason, sizeof(reason), why);
	snprintf(pg->error, sizeof(pg->error), "%s", reason);
	end_session(pg);
	pg->state = PG_WAITING;
	connect_later(pg);
	finish_request(pg, -ENOTCONN);
	if (pg->state != PG_CLOSED)
		pg->events.lost(pg->events.data, reason);
}

/* The reason is what the server said last, or else what libpq says. */
static void drop_broken(struct pg *pg)
{
	char why[sizeof(pg->error)];
	dp_postgres_line(why, sizeof(why),
		pg->error[0] != '\0' ? pg->error : PQerrorMessage(pg->conn));
	pg_drop(pg, why);
}

static void on_no_answer(uv_timer_t *timer)
{
	pg_drop(timer->data, "no answer in time");
}

static void expect_answer(struct pg *pg)
{
	uint64_t now = uv_now(pg->loop), wait_ms = ANSWER_MS;
	if (pg->end_ms != 0)
		wait_ms = pg->end_ms > now ? pg->end_ms - now : 0;
	timer_start(&pg->timer, on_no_answer, wait_ms);
}

/* ---- a session ---- */

static void flush(struct pg *pg)
{
	int left = PQflush(pg->conn);
	if (left < 0 || watch(pg, UV_READABLE | (left > 0 ? UV_WRITABLE : 0)) != 0)
		drop_broken(pg);
}

static void feed_copy(struct pg *pg)
{
	while (pg->copy_len > 0) {
		size_t len = pg->copy_len < COPY_CHUNK ? pg->copy_len : COPY_CHUNK;
		int put = PQputCopyData(pg->conn, pg->copy, (int)len);
		if (put < 0) {
			drop_broken(pg);
			return;
		}
		if (put > 0) {
			pg->copy += len;
			pg->copy_len -= len;
			expect_answer(pg);
		}
		/* Wait until the socket is writable, or libpq would keep a second copy. */
		if (put == 0 || PQflush(pg->conn) > 0) {
			flush(pg);
			return;
		}
	}
	pg->copying = PQputCopyEnd(pg->conn, NULL) == 0;
	flush(pg);
}

/*
 * The server has ended a request. If it failed inside a transaction, that is rolled back
 * here, for all callers: left open, it would swallow the next BEGIN and everything after.
 */
static void end_request(struct pg *pg)
{
	PGTransactionStatusType open = PQtransactionStatus(pg->conn);
	if (pg->err == 0 && open == PQTRANS_INERROR)
		pg->err = -EIO;
	if (pg->err == 0 || open == PQTRANS_IDLE) {
		finish_request(pg, pg->err);
		return;
	}
	if (pg->undoing) {
		pg_drop(pg, "a failed transaction cannot be rolled back");
		return;
	}
	pg->undoing = true;
	pg->pipeline = pg->copying = false;
	if (PQsendQuery(pg->conn, "ROLLBACK") != 1) {
		drop_broken(pg);
		return;
	}
	expect_answer(pg);
	flush(pg);
}

static void read_result(struct pg *pg, PGresult *result)
{
	switch (PQresultStatus(result)) {
	case PGRES_PIPELINE_SYNC:
		if (PQexitPipelineMode(pg->conn) != 1)
			drop_broken(pg);
		else
			end_request(pg);
		break;
	case PGRES_TUPLES_OK:
		if (pg->rows != NULL && pg->err == 0)
			pg->rows(pg->data, pg->statement, (const struct pg_rows *)result);
		break;
	case PGRES_COPY_IN:
		pg->copying = true;
		feed_copy(pg);
		break;
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
	case PGRES_PIPELINE_ABORTED:
		break;
	default:
		note_error(pg, result);
	}
}

static void read_results(struct pg *pg)
{
	while (pg->state == PG_UP && pg->active && PQisBusy(pg->conn) == 0) {
		/* During COPY, PQgetResult() returns the same result again and again. */
		if (pg->copying)
			return;
		PGresult *result = PQgetResult(pg->conn);
		if (result != NULL) {
			read_result(pg, result);
			PQclear(result);
		} else if (pg->pipeline) {
			pg->statement++;
		} else {
			end_request(pg);
		}
		if (pg->state == PG_UP &&
			(pg->err == -ENOTCONN || PQstatus(pg->conn) == CONNECTION_BAD))
			drop_broken(pg);
	}
}

static void on_session(struct pg *pg, int events)
{
	bool gone = (events & UV_READABLE) != 0 && PQconsumeInput(pg->conn) == 0;
	if (!pg->active)
		PQisBusy(pg->conn); /* handles what the server has sent on its own */
	read_results(pg);
	if (pg->state != PG_UP)
		return;
	if (gone)
		drop_broken(pg);
	else if (pg->copying)
		feed_copy(pg);
	else
		flush(pg);
}

/* ---- connecting ---- */

static void on_connecting(struct pg *pg)
{
	PostgresPollingStatusType status = PQconnectPoll(pg->conn);
	/* The socket may be another one now. */
	dp_unwatch(&pg->poll);
	if (status == PGRES_POLLING_FAILED) {
		drop_broken(pg);
		return;
	}
	if (status != PGRES_POLLING_OK) {
		if (watch(pg, status == PGRES_POLLING_READING ? UV_READABLE
							      : UV_WRITABLE) != 0)
			pg_drop(pg, "the connection cannot be polled");
		return;
	}
	uv_timer_stop(&pg->timer);
	if (PQsetnonblocking(pg->conn, 1) != 0 || watch(pg, UV_READABLE) != 0) {
		pg_drop(pg, "the connection cannot be polled");
		return;
	}
	pg->state = PG_UP;
	pg->events.connected(pg->events.data);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct pg *pg = handle->data;
	/* Read: then libpq meets the error and describes it. */
	if (status < 0)
		events = UV_READABLE;
	if (pg->state == PG_CONNECTING)
		on_connecting(pg);
	else
		on_session(pg, events);
}

static void start_connecting(struct pg *pg)
{
	struct dp_postgres_params params;
	dp_postgres_params(&params, pg->url, PG_APPLICATION);
	if (pg->host != NULL) {
		dp_postgres_param(&params, "host", pg->hosts.host);
		dp_postgres_param(&params, "hostaddr", pg->hosts.hostaddr);
		dp_postgres_param(&params, "port", pg->hosts.port);
	}
	pg->error[0] = '\0';
	pg->state = PG_CONNECTING;
	pg->conn = PQconnectStartParams(params.names, params.values, 0);
	dp_postgres_params_free(&params);
	if (pg->conn == NULL)
		dp_log_out_of_memory("a connection");
	PQsetNoticeReceiver(pg->conn, on_notice, pg);
	timer_start(&pg->timer, on_no_answer, CONNECT_MS);
	if (PQstatus(pg->conn) == CONNECTION_BAD || watch(pg, UV_WRITABLE) != 0)
		drop_broken(pg);
}

static void do_look_up(uv_work_t *work)
{
	struct pg *pg = work->data;
	pg->looked_up = hosts_look_up(&pg->hosts, pg->host, pg->port, pg->attempts);
}

static void look_up_done(uv_work_t *work, int status)
{
	struct pg *pg = work->data;
	(void)status;
	if (pg->state == PG_CLOSED) {
		hosts_finish(&pg->hosts);
		return;
	}
	if (pg->looked_up != 0)
		pg_drop(pg, pg->hosts.why);
	else
		start_connecting(pg);
	hosts_finish(&pg->hosts);
}

static void on_attempt(uv_timer_t *timer)
{
	struct pg *pg = timer->data;
	pg->attempts++;
	if (pg->host == NULL) {
		start_connecting(pg);
		return;
	}
	pg->state = PG_RESOLVING;
	pg->work.data = pg;
	int err = uv_queue_work(pg->loop, &pg->work, do_look_up, look_up_done);
	assert(err == 0);
	(void)err;
}

static void connect_later(struct pg *pg)
{
	uint32_t bits;
	dp_random(&bits, sizeof(bits));
	uint64_t wait_ms = pg->backoff_ms / 2 + bits % (pg->backoff_ms / 2 + 1);
	timer_start(&pg->timer, on_attempt, wait_ms);
	pg->backoff_ms *= 2;
	if (pg->backoff_ms > BACKOFF_LIMIT_MS)
		pg->backoff_ms = BACKOFF_LIMIT_MS;
}

/* ---- life ---- */

void pg_open(
	struct pg **out, uv_loop_t *loop, const char *url, const struct pg_events *events)
{
	struct pg *pg = calloc(1, sizeof(*pg));
	struct dp_postgres_params params;
	if (pg == NULL)
		dp_log_out_of_memory("the store");
	dp_postgres_params(&params, url, PG_APPLICATION);
	pg->loop = loop;
	pg->url = url;
	pg->events = *events;
	pg->backoff_ms = BACKOFF_FIRST_MS;
	dp_postgres_name(url, pg->name, sizeof(pg->name));
	if (dp_postgres_param_of(&params, "hostaddr")[0] == '\0') {
		pg->host = strdup(dp_postgres_param_of(&params, "host"));
		pg->port = strdup(dp_postgres_param_of(&params, "port"));
		if (pg->host == NULL || pg->port == NULL)
			dp_log_out_of_memory("the store");
	}
	dp_postgres_params_free(&params);
	timer_init(loop, &pg->timer, pg);
	timer_start(&pg->timer, on_attempt, 0);
	*out = pg;
}

void pg_close(struct pg *pg)
{
	end_session(pg);
	pg->state = PG_CLOSED;
	pg->active = false;
	uv_close((uv_handle_t *)&pg->timer, NULL);
}

void pg_free(struct pg *pg)
{
	if (pg == NULL)
		return;
	free(pg->host);
	free(pg->port);
	free(pg);
}

void pg_good(struct pg *pg)
{
	pg->backoff_ms = BACKOFF_FIRST_MS;
}

const char *pg_name(const struct pg *pg)
{
	return pg->name;
}

int pg_server_version(const struct pg *pg)
{
	return PQserverVersion(pg->conn);
}

bool pg_idle(const struct pg *pg)
{
	return pg->state != PG_UP || PQtransactionStatus(pg->conn) == PQTRANS_IDLE;
}

const char *pg_error(const struct pg *pg)
{
	return pg->error;
}

/* ---- requests ---- */

static void start_request(struct pg *pg, bool pipeline, pg_on_done *done, void *data)
{
	pg->active = true;
	pg->pipeline = pipeline;
	pg->copying = pg->undoing = false;
	pg->rows = NULL;
	pg->done = done;
	pg->data = data;
	pg->statement = pg->err = 0;
	pg->broken = false;
	if (pg->state == PG_UP)
		pg->error[0] = '\0';
}

static void send_request(struct pg *pg)
{
	if (pg->state != PG_UP) {
		finish_request(pg, -ENOTCONN);
		return;
	}
	expect_answer(pg);
	if (pg->broken)
		drop_broken(pg);
	else
		flush(pg);
}

struct pg_value pg_number(char text[24], int64_t number)
{
	snprintf(text, 24, "%lld", (long long)number);
	return (struct pg_value){WIRE_INT8, text, 0};
}

void pg_begin(struct pg *pg, pg_on_rows *rows, pg_on_done *done, void *data)
{
	start_request(pg, true, done, data);
	pg->rows = rows;
	if (pg->state == PG_UP)
		pg->broken = PQenterPipelineMode(pg->conn) != 1;
}

void pg_add(struct pg *pg, const char *sql, const struct pg_value *values, int n)
{
	Oid types[PG_VALUES_MAX];
	const char *at[PG_VALUES_MAX];
	int lengths[PG_VALUES_MAX], formats[PG_VALUES_MAX];
	if (pg->state != PG_UP || pg->broken)
		return;
	for (int i = 0; i < n; i++) {
		types[i] = values[i].type;
		at[i] = values[i].at;
		lengths[i] = values[i].len;
		formats[i] = values[i].len > 0;
	}
	pg->broken =
		PQsendQueryParams(pg->conn, sql, n, types, at, lengths, formats, 0) != 1;
}

void pg_end(struct pg *pg)
{
	if (pg->state == PG_UP && !pg->broken)
		pg->broken = PQpipelineSync(pg->conn) != 1;
	send_request(pg);
}

void pg_script(struct pg *pg, const char *sql, pg_on_done *done, void *data)
{
	start_request(pg, false, done, data);
	if (pg->state == PG_UP)
		pg->broken = PQsendQuery(pg->conn, sql) != 1;
	send_request(pg);
}

void pg_copy(struct pg *pg, const char *sql, const char *at, size_t len, pg_on_done *done,
	void *data)
{
	pg->copy = at;
	pg->copy_len = len;
	pg_script(pg, sql, done, data);
}

void pg_hurry(struct pg *pg, uint64_t ms)
{
	pg->end_ms = uv_now(pg->loop) + ms;
	if (pg->active && pg->state == PG_UP)
		expect_answer(pg);
}

/* ---- rows ---- */

size_t pg_count(const struct pg_rows *rows)
{
	return (size_t)PQntuples((const PGresult *)rows);
}

const char *pg_text(const struct pg_rows *rows, size_t row, int column)
{
	return PQgetvalue((const PGresult *)rows, (int)row, column);
}

int64_t pg_int(const struct pg_rows *rows, size_t row, int column)
{
	return strtoll(pg_text(rows, row, column), NULL, 10);
}
