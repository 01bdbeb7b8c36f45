/*
 * A short life of the broker's database: streams with gaps and losses, plain messages
 * under the lease, dead letters; and what must be true of the file afterwards. Shared by
 * store_ladder.c, whose calls fail, and store_flips.c, whose bytes are damaged.
 */
#ifndef STORE_SCENE_H
#define STORE_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/sqlite/sqlite_store.h"

#define SCENE_MESSAGES 14
#define SCENE_NOW_US INT64_C(1800000000000000)

/* What may come of a damaged file that was taken for whole. */
struct scene_damage {
	bool in_readings; /* a page of `reading`, which has no checksums, is damaged */
	bool altered; /* readings of that page, or a dead letter, are not what they were */
	bool unread;  /* some of it cannot be read: whoever tries hears of it */
};

struct scene {
	struct sqlite3 *db; /* looks at the file; or NULL */
	char path[256], url[272];
	char aside[320];	       /* what was set aside counts as well; or empty */
	bool accepted[SCENE_MESSAGES]; /* answered as stored, or acknowledged */
	bool again; /* all was sent before: what has no number may be there twice */
	struct scene_damage *damage; /* not NULL: this is forgiven */
	int last_error;		     /* the last error of a call that was not tried again */
	unsigned failures;
	char what[256]; /* the run at hand, for messages */
};

/** In a directory that exists. */
void scene_init(struct scene *scene, const char *directory);

/** Print what is wrong. */
void scene_wrong(struct scene *scene, const char *what, int64_t number);

/** Remove the database and whatever is beside it. */
void scene_clear(struct scene *scene);

/** How many files were set aside; scene->aside is one of them. */
unsigned scene_aside(struct scene *scene);

/**
 * Open, send what is not accepted yet in a few transactions, each tried `tries` times as
 * ingest does, and close. @return 0, or why it could not be opened
 */
int scene_run(struct scene *scene, int tries);

/**
 * What was accepted must be stored, once; with `all` everything was, and nothing else. What
 * cannot be read of a file that was set aside is forgiven.
 */
void scene_judge(struct scene *scene, bool all);

/**
 * Everything was sent again to a damaged file that was taken for whole: all is there,
 * nothing twice, but for what is returned.
 */
struct scene_damage scene_judge_damaged(struct scene *scene, bool in_readings);

/** Read or write a whole file; exits when it cannot. */
uint8_t *scene_read(const char *path, size_t *size);
void scene_write(const char *path, const uint8_t *bytes, size_t size);

/** One integer of the database; -1 when it cannot be read. */
int64_t scene_ask(struct scene *scene, const char *sql);

#endif
