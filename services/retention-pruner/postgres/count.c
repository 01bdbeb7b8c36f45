/*
 * Counting readings in their buckets, each once.
 *
 * A reading older than late_before that is stored from then on is in `reading` and, by the
 * same transaction, in `late`. A step counts a span of time: what its snapshot has of
 * `reading` there, and it forgets what the same snapshot has of `late` there, which is
 * among it. Whatever comes into that span afterwards is in `late` only as far as counting
 * is concerned, and is merged from there. So no reading need be looked at twice, and raw
 * readings may go once they are counted.
 */
#include "count.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "../bucket.h"
#include "days.h"
#include "isolate.h"
#include "postgres.h"
#include "step.h"

#define SQL_MAX 8192
/* bucket_may_count()'s; no number is above it, and NaN is above all of them. */
#define VALUE_MAX "1e288"
#define SUM_MAX "1.7e308" /* 2^63 such values more are a number still */
#define READING_VALUES "temperature, humidity, v2, v3, v4, v5, v6, v7"

struct text {
	char at[SQL_MAX];
	size_t len;
};

static void append(struct text *sql, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct text *sql, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	sql->len += (size_t)vsnprintf(
		sql->at + sql->len, sizeof(sql->at) - sql->len, format, arguments);
	va_end(arguments);
}

/* ---- the statement that counts ---- */

/*
 * Of several values at one instant the least is the first and the greatest the last, so
 * that it does not matter what comes when: (time, value) are compared as arrays are.
 */
static const char values[] =
	", value AS (SELECT sensor, col, ts, v, ARRAY[date_part('epoch', ts), v] AS at"
	"  FROM raw CROSS JOIN LATERAL (VALUES ";
static const char fine[] =
	") AS cell (col, v) WHERE abs(v) <= " VALUE_MAX " OFFSET 0)"
	", size0 AS (SELECT sensor, col,"
	"  date_bin(interval '%lld s', ts, timestamptz 'epoch') AS start,"
	"  count(*) AS n, min(v) AS lo, max(v) AS hi, sum(v) AS total,"
	"  min(ts) AS since, max(ts) AS until, min(at) AS f, max(at) AS l"
	"  FROM value GROUP BY 1, 2, 3)";

static const char *const columns[BUCKET_COLUMNS] = {
	"temperature", "humidity", "v2", "v3", "v4", "v5", "v6", "v7"};

/* Up to which column there are any: each takes its time. @return how many, or an error */
static int used_columns(struct postgres_store *store)
{
	int64_t last = 0;
	int found = step_ask(store, "SELECT max(col) FROM channel", 0, NULL, NULL, &last);
	if (found < 0)
		return found;
	return last < BUCKET_COLUMNS ? (int)last + 1 : BUCKET_COLUMNS;
}

/* From the next finer one, which rounds less. */
static const char coarse[] =
	", size%u AS (SELECT sensor, col,"
	"  date_bin(interval '%lld s', start, timestamptz 'epoch') AS start,"
	"  sum(n)::bigint AS n, min(lo) AS lo, max(hi) AS hi, sum(total) AS total,"
	"  min(since) AS since, max(until) AS until, min(f) AS f, max(l) AS l"
	"  FROM size%u GROUP BY 1, 2, 3)";

static const char put[] =
	", put%u AS (INSERT INTO rollup AS old SELECT %lld, sensor, col, start, n, lo, hi,"
	"  total, f[2], l[2], since, until FROM size%u"
	"  ON CONFLICT (size, sensor, col, ts) DO UPDATE SET"
	"  count = old.count + excluded.count, min = least(old.min, excluded.min),"
	"  max = greatest(old.max, excluded.max),"
	/* What older versions have added up may be near the end of the numbers. */
	"  sum = CASE WHEN abs(old.sum) <= " SUM_MAX
	"   THEN old.sum + excluded.sum ELSE old.sum END,"
	"  first = CASE WHEN old.first_ts < excluded.first_ts THEN old.first"
	"   WHEN old.first_ts > excluded.first_ts THEN excluded.first"
	"   ELSE least(old.first, excluded.first) END,"
	"  last = CASE WHEN old.last_ts > excluded.last_ts THEN old.last"
	"   WHEN old.last_ts < excluded.last_ts THEN excluded.last"
	"   ELSE greatest(old.last, excluded.last) END,"
	"  first_ts = least(old.first_ts, excluded.first_ts),"
	"  last_ts = greatest(old.last_ts, excluded.last_ts))";

/* What a statement has counted. */
struct counted {
	int64_t readings, odd;
};

/*
 * Count what `raw` gives, in a snapshot: of the sensors from $3 to $4, but for those of the
 * array $5. @return 0 or an error
 */
static int count_raw(struct postgres_store *store, const char *raw,
	const int64_t numbers[4], const char *aside, struct counted *counted)
{
	const struct policy *policy = store->job->all;
	struct text sql = {.len = 0};
	int n_columns = used_columns(store);
	if (n_columns < 0)
		return n_columns;
	append(&sql, "WITH raw AS %s%s", raw, values);
	for (int i = 0; i < n_columns; i++)
		append(&sql, "%s(%d, %s)", i > 0 ? ", " : "", i, columns[i]);
	for (unsigned i = 0; i < policy->n; i++) {
		long long size_s = (long long)(policy->sizes[i].size_us / 1000000);
		if (i == 0)
			append(&sql, fine, size_s);
		else
			append(&sql, coarse, i, size_s, i - 1);
		append(&sql, put, i, size_s, i);
	}
	append(&sql, " SELECT count(*), 0");
	for (int i = 0; i < n_columns; i++)
		append(&sql, " + count(*) FILTER (WHERE abs(%s) > " VALUE_MAX ")",
			columns[i]);
	append(&sql, " FROM raw");
	int found = step_ask(store, sql.at, 4, numbers, aside, &counted->readings);
	if (found == 1)
		counted->odd = db_int(store->db, 0, 1);
	return found < 0 ? found : 0;
}

/* ---- up to where ---- */

int count_mark(void *data)
{
	struct postgres_store *store = data;
	char sql[256];
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	if (store->job->all->n == 0) {
		/* Nobody wants to know any more. */
		err = step_end_with(store, "DELETE FROM late");
		return err != 0 ? err : 1;
	}
	/* Who is in the middle of storing does not know the new mark: not meanwhile. */
	snprintf(sql, sizeof(sql),
		"SELECT pg_advisory_xact_lock(" DP_POSTGRES_STORING ");"
		"UPDATE retention SET late_before = greatest(late_before, %lld)",
		(long long)store->job->mark_us);
	err = step_end_with(store, sql);
	return err != 0 ? err : 1;
}

#define SPAN                                                                               \
	"MATERIALIZED (SELECT r.* FROM sensor AS s CROSS JOIN LATERAL"                     \
	" (SELECT sensor, ts, " READING_VALUES " FROM reading WHERE sensor = s.id"         \
	" AND ts >= " DP_TIME_1 " AND ts < " DP_TIME_2 ") AS r"                            \
	" WHERE s.id BETWEEN $3 AND $4 AND s.id <> ALL ($5::integer[]))"

/*
 * Up to where a step that begins at a time counts: within the day, and by whole buckets,
 * unless one is too much for a step. Then its parts are merged.
 */
static int64_t span_end_us(
	const struct postgres_store *store, int64_t start_us, int64_t until_us)
{
	int64_t day_us = bucket_start(start_us, DAY_US) + DAY_US;
	int64_t most_us = start_us + store->job->strides[PHASE_COUNT].amount * 1000000;
	int64_t end_us = bucket_start(most_us, store->job->all->sizes[0].size_us);
	if (end_us <= start_us)
		end_us = most_us;
	if (end_us > day_us)
		end_us = day_us;
	return end_us < until_us ? end_us : until_us;
}

/* What is not counted of a span counts as late. */
#define LEAVE_LATE                                                                         \
	"INSERT INTO late (sensor, ts, " READING_VALUES                                    \
	") SELECT sensor, ts, " READING_VALUES                                             \
	" FROM reading WHERE sensor = ANY ($3::integer[])"                                 \
	" AND ts >= " DP_TIME_1 " AND ts < " DP_TIME_2

/* What is new. */
static int count_span(struct postgres_store *store, const struct postgres_state *state,
	struct range sensors, struct counted *counted)
{
	char aside[ISOLATE_TEXT_MAX];
	isolate_ids(&store->job->aside, aside);
	int64_t start_us = EVER_US;
	if (state->counted_until_us >= state->late_before_us)
		return STEP_OVER;
	int err = days_first(store, state->counted_until_us, &start_us);
	if (err < 0)
		return err;
	if (start_us > state->late_before_us)
		start_us = state->late_before_us;
	int64_t end_us = span_end_us(store, start_us, state->late_before_us);
	const int64_t span[] = {start_us, end_us, sensors.first, sensors.last};
	err = count_raw(store, SPAN, span, aside, counted);
	if (err != 0)
		return err;
	err = step_run(store,
		"DELETE FROM late WHERE ts >= " DP_TIME_1 " AND ts < " DP_TIME_2, 2, span,
		NULL);
	if (err == 0 && store->job->aside.n > 0)
		err = step_run(store, LEAVE_LATE, 2, span, aside);
	if (err == 0)
		err = step_run(
			store, "UPDATE retention SET counted_until = $1", 1, &end_us, NULL);
	return err;
}

/* ---- what came too late ---- */

#define SOME_LATE                                                                          \
	"(DELETE FROM late WHERE ctid = ANY (ARRAY(SELECT ctid FROM late"                  \
	" WHERE ts < " DP_TIME_1                                                           \
	" AND sensor BETWEEN $3 AND $4 AND sensor <> ALL ($5::integer[]) LIMIT $2))"       \
	" RETURNING sensor, ts, " READING_VALUES ")"

static int count_from_late(struct postgres_store *store, const struct postgres_state *state,
	struct range sensors, struct counted *counted)
{
	int64_t most = store->job->strides[PHASE_LATE].amount;
	char aside[ISOLATE_TEXT_MAX];
	isolate_ids(&store->job->aside, aside);
	const int64_t some[] = {state->counted_until_us, most, sensors.first, sensors.last};
	int err = count_raw(store, SOME_LATE, some, aside, counted);
	return err != 0 ? err : counted->readings < most;
}

/* ---- a step of either ---- */

/* In a transaction, with the state's row locked. @return an enum step, or an error */
typedef int (*count_in)(struct postgres_store *store, const struct postgres_state *state,
	struct range sensors, struct counted *counted);

/* Of some sensors only to see whether it works: then nothing is kept. */
static int count_of(
	struct postgres_store *store, count_in count, struct range sensors, bool keep)
{
	struct counted counted = {.readings = 0};
	struct postgres_state state;
	int result = step_begin(store, STEP_SNAPSHOT);
	if (result != 0)
		return result;
	result = step_state(store, &state);
	if (result == 0)
		result = count(store, &state, sensors, &counted);
	if (result >= 0 && !keep)
		return step_undo(store);
	int err = step_end(store, result < 0 ? result : 0);
	if (err != 0)
		return err;
	store->job->report.counted += counted.readings;
	store->job->report.odd += counted.odd;
	return result;
}

static int count_all(struct postgres_store *store, count_in count, isolate_try try)
{
	int result = count_of(store, count, ISOLATE_ALL, true);
	return isolate_may(result) ? isolate_find(store, try, result) : result;
}

static int try_span(struct postgres_store *store, struct range sensors)
{
	return count_of(store, count_span, sensors, false);
}

int count_some(void *store)
{
	return count_all(store, count_span, try_span);
}

static int try_late(struct postgres_store *store, struct range sensors)
{
	return count_of(store, count_from_late, sensors, false);
}

int count_late(void *store)
{
	return count_all(store, count_from_late, try_late);
}
