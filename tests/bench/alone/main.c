/*
 * SQLite alone: the rows that ingest would write, into the same schema with the same
 * settings, in commits of the same size, and nothing else. Also fills a database with a
 * history, and writes the same rows into the layout that was not chosen: by number, with
 * an index of sensor and time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "log.h"
#include "number.h"
#include "sqlite.h"
#include "store.h"

#define HISTORY_US 1600000000000000 /* history ends before what is measured */
#define STEP_US 10000

struct options {
	int64_t rows, commit, batch, sensors;
	bool history, by_number;
};

static const char by_number_schema[] =
	"CREATE TABLE IF NOT EXISTS by_number ("
	" id INTEGER PRIMARY KEY, sensor INTEGER NOT NULL, ts INTEGER NOT NULL,"
	" clock INTEGER NOT NULL, temperature REAL, humidity REAL,"
	" v2 REAL, v3 REAL, v4 REAL, v5 REAL, v6 REAL, v7 REAL);"
	"CREATE INDEX IF NOT EXISTS by_sensor ON by_number (sensor, ts)";

struct probe {
	struct dp_store store;
	struct options options;
	sqlite3_stmt *add;
	int64_t *sensor_ids;
	int64_t id, ts_us;
};

static void must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "alone: %s: %s\n", what, strerror(-err));
	exit(EXIT_FAILURE);
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_s(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The sensors of `load`, of which the first nodes have one each. */
static void make_sensors(struct probe *probe)
{
	char sql[256];
	must(dp_store_begin(&probe->store), "begin");
	for (int64_t i = 0; i < probe->options.sensors; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT OR IGNORE INTO sensor (topic, name)"
			" VALUES ('/data/node-%" PRId64 "', 'sensor0')",
			i);
		must(dp_sqlite_exec(probe->store.db, sql), "a sensor");
		snprintf(sql, sizeof(sql),
			"SELECT id FROM sensor WHERE topic = '/data/node-%" PRId64
			"' AND name = 'sensor0'",
			i);
		must(dp_sqlite_int(probe->store.db, sql, &probe->sensor_ids[i]),
			"a sensor");
		snprintf(sql, sizeof(sql),
			"INSERT OR IGNORE INTO channel VALUES (%" PRId64
			", 0, 'temperature', 'Cel'), (%" PRId64 ", 1, 'humidity', '%%RH')",
			probe->sensor_ids[i], probe->sensor_ids[i]);
		must(dp_sqlite_exec(probe->store.db, sql), "a channel");
	}
	must(dp_store_commit(&probe->store), "commit");
}

static void add_row(struct probe *probe, int64_t sensor, int64_t ts_us, int64_t n)
{
	sqlite3_stmt *add = probe->add;
	sqlite3_bind_int64(add, 1, sensor);
	sqlite3_bind_int64(add, 2, ts_us);
	sqlite3_bind_int64(add, 3, probe->id++);
	sqlite3_bind_double(add, 4, (double)(200 + n % 100) / 10);
	sqlite3_bind_double(add, 5, (double)(400 + n % 300) / 10);
	must(dp_sqlite_run(add), "a row");
}

static void finish_commit(struct probe *probe)
{
	char sql[64];
	snprintf(sql, sizeof(sql), "UPDATE next_id SET reading = %" PRId64, probe->id);
	must(dp_sqlite_exec(probe->store.db, sql), "the next id");
	must(dp_store_commit(&probe->store), "commit");
}

/* The nodes take turns, a batch each. @return seconds */
static double add_rows(struct probe *probe)
{
	const struct options *o = &probe->options;
	int64_t in_commit = 0;
	double begin = now_s();
	for (int64_t done = 0, turn = 0; done < o->rows; turn++) {
		int64_t ts_us = probe->ts_us + turn / o->sensors * o->batch * STEP_US;
		for (int64_t i = 0; i < o->batch && done < o->rows; i++, done++) {
			if (in_commit++ == 0)
				must(dp_store_begin(&probe->store), "begin");
			add_row(probe, probe->sensor_ids[turn % o->sensors],
				ts_us + i * STEP_US, i);
			if (in_commit < o->commit)
				continue;
			finish_commit(probe);
			in_commit = 0;
		}
	}
	if (in_commit > 0)
		finish_commit(probe);
	return now_s() - begin;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	int64_t *const numbers[] = {&o->rows, &o->commit, &o->batch, &o->sensors};
	for (int i = 6; i < argc; i++) {
		if (strcmp(argv[i], "history") == 0)
			o->history = true;
		else if (strcmp(argv[i], "by-number") == 0)
			o->by_number = true;
		else
			return -EINVAL;
	}
	if (argc < 6)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		if (dp_parse_i64(argv[i + 2], 1, INT32_MAX, numbers[i]) != 0)
			return -EINVAL;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct probe probe = {.id = 1};
	if (parse_options(&probe.options, argc, argv) != 0) {
		fprintf(stderr,
			"Usage: alone sqlite:///FILE ROWS ROWS_A_COMMIT ROWS_A_BATCH "
			"SENSORS [history] [by-number]\n");
		return EXIT_FAILURE;
	}
	dp_log_init("alone", DP_LOG_WARN);
	must(dp_store_open(&probe.store, argv[1]), "open");
	probe.sensor_ids = calloc((size_t)probe.options.sensors, sizeof(int64_t));
	if (probe.sensor_ids == NULL)
		must(-ENOMEM, "sensors");
	make_sensors(&probe);
	char sql[160];
	const char *table = probe.options.by_number ? "by_number" : "reading";
	if (probe.options.by_number)
		must(dp_sqlite_exec(probe.store.db, by_number_schema), "the other layout");
	snprintf(sql, sizeof(sql),
		"INSERT INTO %s (sensor, ts, id, clock, temperature, humidity)"
		" VALUES (?, ?, ?, 0, ?, ?)",
		table);
	must(dp_sqlite_prepare(probe.store.db, sql, &probe.add), "prepare");
	must(dp_sqlite_int(probe.store.db, "SELECT reading FROM next_id", &probe.id),
		"next id");
	if (probe.options.history) {
		/* Nobody waits for a history to be on disk. */
		must(dp_sqlite_exec(probe.store.db, "PRAGMA synchronous=OFF"), "history");
		probe.ts_us =
			HISTORY_US - probe.options.rows / probe.options.sensors * STEP_US;
	} else {
		probe.ts_us = (int64_t)time(NULL) * 1000000;
	}
	double cpu = cpu_s(), seconds = add_rows(&probe);
	printf("alone rows=%" PRId64 " seconds=%.4f cpu_us=%.4f\n", probe.options.rows,
		seconds, (cpu_s() - cpu) * 1e6 / (double)probe.options.rows);
	sqlite3_finalize(probe.add);
	free(probe.sensor_ids);
	dp_store_close(&probe.store);
	return EXIT_SUCCESS;
}
