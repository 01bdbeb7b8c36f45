/*
 * The parts of a run, among themselves: prune.c has the order of the phases, prune_db.c the
 * statements, guard.c looks at what would go, rollup.c counts, prune_rows.c deletes,
 * prune_space.c gives space back.
 */
#ifndef PRUNER_PRUNE_STEPS_H
#define PRUNER_PRUNE_STEPS_H

#include "aside.h"
#include "cut.h"
#include "prune.h"
#include "sqlite.h"
#include "store.h"
#include "stride.h"

/* In this order; a step says whether its phase is over. */
enum phase {
	PHASE_CHECK, /* the clock */
	PHASE_DUE,   /* what would go of the last policy period */
	PHASE_KEPT,  /* and what would stay */
	PHASE_LOOK,  /* dry run: all that would go */
	PHASE_MARK,  /* up to where is counted */
	PHASE_COUNT,
	PHASE_LATE,
	PHASE_READINGS,
	PHASE_ROLLUPS,
	PHASE_STREAMS,
	PHASE_SIZE, /* too large: more readings or rollups */
	PHASE_VACUUM,
	PHASE_END,
	PHASE_DONE,
};
#define PHASES (PHASE_DONE + 1)

/* The prepared statements; their texts are in prune_db.c. */
enum prune_statement {
	NEXT_SENSOR,
	ALL_SENSORS,
	READ_STATE,
	SET_MARK,
	SET_CURSOR,
	SET_RUN,
	ADD_REMOVED,
	WIDTH,
	SCAN,
	SCAN_WIDE,
	ADD_BUCKET,
	NEXT_LATE,
	LEAVE_LATE,
	SET_LATE,
	DROP_LATE,
	FORGET_LATE,
	FIND_BOUND,
	DELETE_BEFORE,
	DELETE_TO,
	DELETE_AHEAD,
	COUNT_DUE,
	COUNT_KEPT,
	OLDEST,
	NEWEST,
	NEXT_SIZE,
	NEXT_SERIES,
	FIND_ROLLUP_BOUND,
	DELETE_ROLLUPS,
	COUNT_ROLLUPS_DUE,
	COUNT_ROLLUPS_KEPT,
	OLDEST_ROLLUP,
	STREAM_KEPT,
	PRUNE_STATEMENTS
};

#define LEVELS (POLICY_SIZES + 1) /* readings, and the rollups of each size */

/* The row of `retention`, and the next reading's id. */
struct state {
	int64_t since_us, until_us, before_id;
	int64_t sensor, ts_us, id;
	int64_t removed, run_wall_us, run_boot_us;
	char run_boot_id[40];
	int64_t next_id;
};

struct prune {
	struct dp_store store;
	sqlite3_stmt *statements[PRUNE_STATEMENTS];
	int wal_pages; /* of the log, after our last commit */
	int wal_seen;  /* when it was last written into the file */

	struct prune_run run;
	struct prune_report report;
	enum phase phase;
	enum phase stepped; /* of the last step */
	struct stride strides[PHASES];

	struct aside aside;
	int64_t uncounted;	       /* the sensor with which counting failed */
	int64_t sensor;		       /* at hand, 0 before the first */
	const struct policy *policy;   /* of it */
	int64_t size_s, series_sensor; /* rollups at hand */
	int64_t series_col;
	int64_t cut_raw_us, cut_rollup_us; /* to make space: older ones go */
	struct cut_gain gain;		   /* of this run */
	int64_t held_us; /* when cutting for free space last gained nothing; 0: it does */
	int held_pages;	 /* of the log then */
	char held[112];	 /* that, for the report */
	int64_t reference_us; /* when the last run was, as far as known */
	int64_t due[LEVELS], kept[LEVELS];
};

/* prune_db.c */
int prune_prepare(struct prune *prune);
void prune_finalize(struct prune *prune);
sqlite3_stmt *prune_bind(
	struct prune *prune, enum prune_statement which, int n, const int64_t *values);
int prune_run(struct prune *prune, enum prune_statement which);
/* Bind, and read one row of integers. @return 1, 0 no row (out unchanged), or an error */
int prune_row(struct prune *prune, enum prune_statement which, int n, const int64_t *values,
	int columns, int64_t *out);
int prune_state(struct prune *prune, struct state *state);
/* Commit, or roll back after an error, which is handed on. */
int prune_end(struct prune *prune, int err);
/* Tell the policies which names there are. @return 0 or an error */
int prune_note_sensors(struct prune *prune);
/* Take the next sensor and its policy. @return 1, 0 there is none, or an error */
int prune_next_sensor(struct prune *prune);
/* Take the next series of rollups, of all sizes. @return as above */
int prune_next_series(struct prune *prune);
/* The age of what is at hand, or 0 when RETENTION has no such size. */
int64_t prune_age_us(const struct policy *policy, int64_t size_us);

/* Set aside the sensor with which counting failed. @return 0, or err: there are too many */
int prune_set_aside(struct prune *prune, int err);

/*
 * One step of a phase. @return 0 the phase goes on; 1 it is over; or an error, with
 * nothing done. rows: deleted.
 */
int guard_check(struct prune *prune);
int guard_due(struct prune *prune);
int guard_kept(struct prune *prune);
int guard_look(struct prune *prune);
int rollup_mark(struct prune *prune);
int rollup_count(struct prune *prune);
int rollup_late(struct prune *prune);
int prune_readings(struct prune *prune, int64_t *rows);
int prune_rollups(struct prune *prune, int64_t *rows);
int prune_streams(struct prune *prune, int64_t *rows);
int space_check(struct prune *prune, int64_t *rows);
int space_vacuum(struct prune *prune);
int space_sizes(struct prune *prune, int64_t *used, int64_t *whole);

/* Within a transaction. @return 0 or an error */
int prune_tell_planner(struct prune *prune, int64_t readings);

/*
 * Within a transaction: count some late readings. @return 1 none are left but those of
 * sensors that are set aside, 0, or an error: -EBADMSG is about prune->uncounted
 */
int rollup_late_some(struct prune *prune);

#endif
