/*
 * The parts of a run with PostgreSQL, among themselves: prune_postgres.c has the order of
 * the phases, session.c the session and the lease, step_db.c what every step does around
 * its own statements, groups.c the sensors by their policies, target.c what is looked at
 * and deleted one after the other; look.c sees what would go, count.c counts, days.c drops
 * partitions, remove.c deletes rows, space.c looks at the size.
 */
#ifndef PRUNER_PRUNE_POSTGRES_H
#define PRUNER_PRUNE_POSTGRES_H

#include "../prune.h"
#include "../stride.h"
#include "db.h"
#include "groups.h"
#include "isolate.h"
#include "postgres.h"

#define DAY_US INT64_C(86400000000)
#define EVER_US INT64_C(253402300800000000) /* the year 10000 */
#define EXACT_BYTES 268435456		    /* more readings are not counted one by one */
#define LEVELS (POLICY_SIZES + 1)	    /* readings, and the rollups of each size */

/* A time as whole microseconds since 1970. */
#define MICROSECONDS(ts) "(extract(epoch FROM " ts ") * 1000000)::bigint"

#define STORE_ID_MAX 40

/* In this order; a step says whether its phase is over. */
enum phase {
	PHASE_CHECK, /* the clock */
	PHASE_DUE,   /* what would go of the last policy period */
	PHASE_KEPT,  /* and what would stay */
	PHASE_LOOK,  /* dry run: all that would go */
	PHASE_MARK,  /* what comes from now on, and is older, is late */
	PHASE_COUNT,
	PHASE_LATE,
	PHASE_DAYS,	/* whole partitions */
	PHASE_READINGS, /* others */
	PHASE_ROLLUPS,
	PHASE_STREAMS,
	PHASE_SIZE, /* too large: more days or rollups */
	PHASE_END,
	PHASE_DONE,
};
#define PHASES (PHASE_DONE + 1)

/* The row of `retention`. */
struct state {
	int64_t counted_until_us, late_before_us;
	int64_t run_wall_us, run_boot_us;
	char run_boot_id[40];
};

/* What is deleted at a time: readings (size_s 0) or rollups, of a group of sensors. */
struct target {
	int64_t size_s;
	size_t group; /* counted from 1; 0: before the first */
};

struct prune {
	struct db *db;
	char store_id[STORE_ID_MAX]; /* of the database of the last session */
	struct prune_run run;
	struct prune_report report;
	enum phase phase;
	enum phase stepped; /* of the last step */
	struct stride strides[PHASES];
	int64_t limit_us;   /* a statement is ended after that */
	bool took_too_long; /* the last step: it was ended, and nothing of it is done */

	struct aside aside;

	struct groups groups;
	struct target target;
	int64_t look_us; /* up to where the target is looked at; INT64_MIN: the next one */
	int64_t day_us;	 /* the partition at hand; -1: the default one */
	int64_t cut_raw_us, cut_rollup_us; /* to make space: older ones go */
	bool vacuum;	      /* readings ahead were deleted to make space: give it back */
	bool repack;	      /* rollups were deleted to make space: give it back */
	bool repack_owed;     /* that has failed, in this run or an earlier one */
	int64_t reference_us; /* when the last run was, as far as known */
	int64_t due[LEVELS], kept[LEVELS];
};

/* ---- step_db.c ---- */

/* The numbers are $1 and so on, then comes the text unless it is NULL. */
int step_run(struct prune *prune, const char *sql, int n, const int64_t *numbers,
	const char *text);
/* The same for one number as an answer. @return 1, 0 it is NULL (out unchanged), error */
int step_ask(struct prune *prune, const char *sql, int n, const int64_t *numbers,
	const char *text, int64_t *out);
/* Begin a transaction, with the schema's version looked at. */
int step_begin(struct prune *prune, const char *how);
/* Read the row; step_state() also keeps others from changing it in this transaction. */
int step_look(struct prune *prune, struct state *state);
int step_state(struct prune *prune, struct state *state);
/* Commit, or roll back after an error, which is handed on. */
int step_end(struct prune *prune, int err);
/* Roll back what was only tried. */
int step_undo(struct prune *prune);
/* Run statements that keep others waiting and commit, without a word in between. */
int step_end_with(struct prune *prune, const char *sql);

#define STEP_PLAIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
/*
 * All statements see the same instant; no partition is made since then, to which rows
 * move that are still looked for in the default one.
 */
#define STEP_SNAPSHOT                                                                      \
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;"                                \
	"LOCK TABLE reading_default IN ACCESS SHARE MODE"

/* ---- target.c ---- */

/* Take the next group, then the next size. @return 1, 0 there is none, or an error */
int target_next(struct prune *prune);
const struct group *target_group(const struct prune *prune);
/* The age at which it goes, or 0 when RETENTION has no such size. */
int64_t target_age_us(const struct prune *prune);
/* Which of due[] and kept[] it has. */
unsigned target_level(const struct prune *prune);

/* ---- the phases ---- */

/* One step each. @return 0 the phase goes on; 1 it is over; an error, with nothing done */

int look_check(struct prune *prune);
int look_due(struct prune *prune);
int look_kept(struct prune *prune);
int look_all(struct prune *prune);
int count_mark(struct prune *prune);
int count_some(struct prune *prune);
int count_late(struct prune *prune);
int days_drop(struct prune *prune, int64_t *rows);
int remove_readings(struct prune *prune, int64_t *rows);
int remove_rollups(struct prune *prune, int64_t *rows);
int remove_streams(struct prune *prune, int64_t *rows);
int space_check(struct prune *prune, int64_t *rows);
int space_end(struct prune *prune);

/* ---- days.c ---- */

/* The partitions of days: name, part, begins (in microseconds). OFFSET keeps what is asked
 * of them behind the look at their names. */
#define DAYS                                                                               \
	"(SELECT quote_ident(relname) AS name, pg_class.oid AS part,"                      \
	" (to_date(right(relname, 8), 'YYYYMMDD') - date '1970-01-01')"                    \
	"  * 86400000000 AS begins"                                                        \
	" FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"                       \
	" WHERE inhparent = 'reading'::regclass"                                           \
	"  AND relname ~ '^reading_[0-9]{8}$' OFFSET 0) AS day"

#define DAY_NAME_MAX 64
/* The first partition that begins at a time or later, with its name quoted for SQL.
 * @return 1, 0 there is none, or an error */
int days_next(struct prune *prune, int64_t from_us, int64_t *begins_us, char *name);
/* The first reading from a time on, or a time before it with nothing in between. */
int days_first(struct prune *prune, int64_t from_us, int64_t *first_us);
/* Up to where whole days go. */
int64_t days_until_us(const struct prune *prune, const struct state *state);

/* ---- space.c ---- */

int space_size(struct prune *prune, int64_t *bytes);
/* How many readings there are; of very many the server's estimate. */
int space_rows(struct prune *prune, int64_t *rows);

#endif
