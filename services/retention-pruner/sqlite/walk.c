#include "walk.h"

#include "statements.h"

void walk_rewind(void *data)
{
	struct sqlite_store *store = data;
	store->sensor = store->size_s = 0;
}

/* A row has a sensor's id, topic and name first. @return 1, 0 no row, or an error */
static int go_on(struct sqlite_store *store, sqlite3_stmt *statement, int64_t *sensor,
	int64_t *column)
{
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		*sensor = sqlite3_column_int64(statement, 0);
		store->policy = policies_of(store->job->run.policies,
			sql_text(statement, 1), sql_text(statement, 2));
		if (column != NULL)
			*column = sqlite3_column_int64(statement, 3);
	}
	sqlite3_reset(statement);
	return code == SQLITE_ROW ? 1 : dp_sqlite_error(code);
}

int walk_sensor(struct sqlite_store *store)
{
	return go_on(store, sql_bind(store, NEXT_SENSOR, 1, &store->sensor), &store->sensor,
		NULL);
}

int walk_note_sensors(struct sqlite_store *store)
{
	sqlite3_stmt *statement = sql_bind(store, ALL_SENSORS, 0, NULL);
	int code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		policies_note(store->job->run.policies, sql_text(statement, 0),
			sql_text(statement, 1));
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

int walk_set_aside(struct sqlite_store *store, int err)
{
	const int64_t before = store->uncounted - 1;
	sqlite3_stmt *statement = sql_bind(store, NEXT_SENSOR, 1, &before);
	int code = sqlite3_step(statement);
	bool added = code == SQLITE_ROW &&
		     aside_add(&store->job->aside, store->uncounted, sql_text(statement, 1),
			     sql_text(statement, 2), store->uncounted_why);
	sqlite3_reset(statement);
	if (added)
		store->job->report.reason = store->job->aside.reason;
	return added ? 0 : err;
}

static int next_series_of_size(struct sqlite_store *store)
{
	const int64_t after[] = {store->size_s, store->series_sensor, store->series_col};
	return go_on(store, sql_bind(store, NEXT_SERIES, 3, after), &store->series_sensor,
		&store->series_col);
}

int walk_series(struct sqlite_store *store)
{
	int found = store->size_s > 0 ? next_series_of_size(store) : 0;
	while (found == 0) {
		found = sql_row(store, NEXT_SIZE, 1, &store->size_s, 1, &store->size_s);
		if (found <= 0)
			return found;
		store->series_sensor = store->series_col = -1;
		found = next_series_of_size(store);
	}
	return found;
}
