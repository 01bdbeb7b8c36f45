/* All readings that were ever stored, and what must be left of them: by brute force. */
#ifndef TEST_RETENTION_MODEL_H
#define TEST_RETENTION_MODEL_H

#include <math.h>

#include "retention-pruner/policies.h"
#include "support.h"

#define MODEL_MAX 200000
#define MODEL_COLUMNS 3
#define NODES 3
#define SENSORS 2 /* of a node */

struct model_reading {
	int node, sensor;
	int64_t ts_us;
	bool has[MODEL_COLUMNS];
	double values[MODEL_COLUMNS];
};

struct model {
	size_t n;
	struct model_reading at[MODEL_MAX];
};

struct model_counts {
	size_t readings, buckets;
};

static inline const struct policy *model_policy(
	const struct policies *policies, int node, int sensor)
{
	char topic[32], name[16];
	snprintf(topic, sizeof(topic), "/data/n%d", node);
	snprintf(name, sizeof(name), "s%d", sensor);
	return policies_of(policies, topic, name);
}

static inline int64_t sensor_id(const char *path, int node, int sensor)
{
	char sql[160], text[32];
	snprintf(sql, sizeof(sql),
		"SELECT id FROM sensor WHERE topic = '/data/n%d' AND name = 's%d'", node,
		sensor);
	db_text(path, sql, text, sizeof(text));
	return *text != '\0' ? strtoll(text, NULL, 10) : -1;
}

static inline bool is_of(const struct model_reading *r, int node, int sensor)
{
	return r->node == node && r->sensor == sensor;
}

/* Every reading of a sensor that is still due is there once, and no other. */
static inline size_t check_readings(const struct model *model, sqlite3 *db, int64_t id,
	int node, int sensor, int64_t from_us)
{
	sqlite3_stmt *find = NULL, *count = NULL;
	size_t due = 0;
	assert_int_equal(sqlite3_prepare_v2(db,
				 "SELECT count(*) FROM reading WHERE sensor = ? AND ts = ?"
				 " AND temperature IS ? AND humidity IS ? AND v2 IS ?",
				 -1, &find, NULL),
		SQLITE_OK);
	for (size_t i = 0; i < model->n; i++) {
		const struct model_reading *r = &model->at[i];
		if (!is_of(r, node, sensor) || r->ts_us < from_us)
			continue;
		due++;
		sqlite3_bind_int64(find, 1, id);
		sqlite3_bind_int64(find, 2, r->ts_us);
		for (int c = 0; c < MODEL_COLUMNS; c++) {
			if (r->has[c])
				sqlite3_bind_double(find, 3 + c, r->values[c]);
			else
				sqlite3_bind_null(find, 3 + c);
		}
		assert_int_equal(sqlite3_step(find), SQLITE_ROW);
		assert_int_equal(sqlite3_column_int64(find, 0), 1);
		sqlite3_reset(find);
	}
	sqlite3_finalize(find);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT count(*) FROM reading WHERE sensor = ?", -1,
			&count, NULL),
		SQLITE_OK);
	sqlite3_bind_int64(count, 1, id);
	assert_int_equal(sqlite3_step(count), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int64(count, 0), due);
	sqlite3_finalize(count);
	return due;
}

/* One row of rollup against all readings of its bucket. */
static inline void check_bucket(const struct model *model, sqlite3_stmt *row, int node,
	int sensor, int column, int64_t size_us, int64_t until_us)
{
	int64_t start = sqlite3_column_int64(row, 0), count = 0, first_us = 0, last_us = 0;
	double min = 0, max = 0, first = 0, last = 0, size = 0;
	long double sum = 0;
	for (size_t i = 0; i < model->n; i++) {
		const struct model_reading *r = &model->at[i];
		double v = r->values[column];
		if (!is_of(r, node, sensor) || !r->has[column] || r->ts_us < start ||
			r->ts_us >= start + size_us || r->ts_us >= until_us)
			continue;
		if (count == 0 || v < min)
			min = v;
		if (count == 0 || v > max)
			max = v;
		if (count == 0 || r->ts_us < first_us) {
			first = v;
			first_us = r->ts_us;
		}
		if (count == 0 || r->ts_us >= last_us) {
			last = v;
			last_us = r->ts_us;
		}
		sum += v;
		size += fabs(v);
		count++;
	}
	assert_true(count > 0);
	assert_int_equal(sqlite3_column_int64(row, 1), count);
	assert_true(sqlite3_column_double(row, 2) == min);
	assert_true(sqlite3_column_double(row, 3) == max);
	/* Relative to what was added: a sum of both signs may be near zero. */
	assert_true(fabsl(sqlite3_column_double(row, 4) - sum) <= 1e-12L * size);
	assert_true(sqlite3_column_double(row, 5) == first);
	assert_true(sqlite3_column_double(row, 6) == last);
	assert_int_equal(sqlite3_column_int64(row, 7), first_us - start);
	assert_int_equal(sqlite3_column_int64(row, 8), last_us - start);
}

/* How many values of a column are in buckets that are still kept. */
static inline int64_t values_due(const struct model *model, int node, int sensor,
	int column, int64_t size_us, int64_t before_us, int64_t until_us)
{
	int64_t n = 0;
	for (size_t i = 0; i < model->n; i++) {
		const struct model_reading *r = &model->at[i];
		int64_t start = r->ts_us - r->ts_us % size_us;
		n += is_of(r, node, sensor) && r->has[column] && r->ts_us < until_us &&
		     start + size_us > before_us;
	}
	return n;
}

static inline size_t check_rollups(const struct model *model, sqlite3 *db, int64_t id,
	int node, int sensor, int64_t size_us, int64_t before_us, int64_t until_us)
{
	sqlite3_stmt *rows = NULL;
	size_t buckets = 0;
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT ts, count, min, max, sum, first, last, first_after,"
			" last_after FROM rollup WHERE size = ? AND sensor = ? AND"
			" col = ? ORDER BY ts",
			-1, &rows, NULL),
		SQLITE_OK);
	for (int column = 0; column < MODEL_COLUMNS; column++) {
		int64_t values = 0;
		sqlite3_bind_int64(rows, 1, size_us / 1000000);
		sqlite3_bind_int64(rows, 2, id);
		sqlite3_bind_int64(rows, 3, column);
		while (sqlite3_step(rows) == SQLITE_ROW) {
			/* Nothing past its policy remains. */
			assert_true(sqlite3_column_int64(rows, 0) + size_us > before_us);
			check_bucket(model, rows, node, sensor, column, size_us, until_us);
			values += sqlite3_column_int64(rows, 1);
			buckets++;
		}
		sqlite3_reset(rows);
		/* Each was in the rows that were looked at, so none is missing. */
		assert_int_equal(values, values_due(model, node, sensor, column, size_us,
						 before_us, until_us));
	}
	sqlite3_finalize(rows);
	return buckets;
}

/* The whole database after a run at now_us. */
static inline void check_all(const struct model *model, const struct policies *policies,
	const char *path, int64_t now_us, struct model_counts *counts)
{
	int64_t until_us = db_int(path, "SELECT counted_until FROM retention");
	sqlite3 *db = db_open(path);
	for (int node = 0; node < NODES; node++) {
		for (int sensor = 0; sensor < SENSORS; sensor++) {
			const struct policy *policy = model_policy(policies, node, sensor);
			int64_t id = sensor_id(path, node, sensor);
			if (id < 0)
				continue;
			int64_t from_us = now_us - policy->raw_us;
			/* What is not counted yet stays. */
			counts->readings += check_readings(model, db, id, node, sensor,
				from_us < until_us ? from_us : until_us);
			for (unsigned i = 0; i < policy->n; i++)
				counts->buckets += check_rollups(model, db, id, node,
					sensor, policy->sizes[i].size_us,
					now_us - policy->sizes[i].age_us, until_us);
		}
	}
	sqlite3_close(db);
}

#endif
