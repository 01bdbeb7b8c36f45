/*
 * One bit of the broker's database is flipped, of each byte in turn: what ingest then does
 * with it. It stores on as if nothing were wrong, sets the file aside, or refuses it with a
 * reason; and what it accepts of readings is stored, once. It does not crash and does not
 * hang. Only what has no checksum may be another afterwards: readings of the page in which
 * the bit was flipped, or a dead letter.
 *
 *     store_flips DIRECTORY EVERY [FROM [UNTIL]]
 *
 * EVERY: a bit of each so many bytes; 0: all eight of every byte. FROM, UNTIL: bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "log.h"
#include "number.h"
#include "store_scene.h"

#define LIMIT_S 60 /* for one flip; it takes milliseconds */
#define PAGE 512   /* small pages: less of the file is empty */

struct tally {
	unsigned fine, altered, unread, aside, refused, by_error[256];
};

static void make_small(struct scene *scene)
{
	sqlite3 *db = NULL;
	scene_clear(scene);
	if (sqlite3_open(scene->path, &db) != SQLITE_OK ||
		sqlite3_exec(db,
			"PRAGMA page_size=512; PRAGMA auto_vacuum=INCREMENTAL;"
			"CREATE TABLE t (x); DROP TABLE t; VACUUM",
			NULL, NULL, NULL) != SQLITE_OK)
		exit(2);
	sqlite3_close(db);
}

/* The file has them all: readings by their numbers, which a damaged file may have lost. */
static void send_again(struct scene *scene)
{
	memset(scene->accepted, 0, sizeof(scene->accepted));
	scene->last_error = 0;
	scene->again = true;
	scene_run(scene, 2);
}

static void judge(struct scene *scene, bool in_readings, struct tally *tally)
{
	bool aside = scene_aside(scene) > 0;
	if (aside)
		scene_judge(scene, false);
	if (scene->last_error == 0) {
		struct scene_damage damage = {.altered = false};
		if (!aside)
			damage = scene_judge_damaged(scene, in_readings);
		tally->unread += damage.unread;
		tally->altered += damage.altered && !damage.unread;
		tally->fine += !aside && !damage.altered && !damage.unread;
		tally->aside += aside;
		return;
	}
	tally->refused++;
	tally->by_error[-scene->last_error & 0xff]++;
	/* Damage that is seen is set aside, and nothing else may be blamed for it. */
	if (aside || scene->last_error == -EUCLEAN || scene->last_error == -ENOMEM ||
		scene->last_error == -EBUSY)
		scene_wrong(scene, "refused for the wrong reason", scene->last_error);
}

/* A file, and of which table each page is. */
struct whole {
	uint8_t *bytes;
	size_t size;
	bool is_reading[1024];
};

static void read_whole(struct scene *scene, struct whole *whole)
{
	char sql[96];
	scene_judge(scene, true);
	whole->bytes = scene_read(scene->path, &whole->size);
	for (size_t page = 0; page < whole->size / PAGE; page++) {
		snprintf(sql, sizeof(sql),
			"SELECT name = 'reading' FROM dbstat WHERE pageno = %zu", page + 1);
		whole->is_reading[page] = scene_ask(scene, sql) == 1;
	}
}

static void flip(struct scene *scene, struct whole *whole, size_t at, unsigned bit,
	struct tally *tally)
{
	snprintf(scene->what, sizeof(scene->what), "byte %zu bit %u", at, bit);
	scene_clear(scene);
	whole->bytes[at] ^= (uint8_t)(1u << bit);
	scene_write(scene->path, whole->bytes, whole->size);
	whole->bytes[at] ^= (uint8_t)(1u << bit);
	fprintf(stderr, "---- %s\n", scene->what);
	alarm(LIMIT_S);
	send_again(scene);
	alarm(0);
	judge(scene, whole->is_reading[at / PAGE], tally);
}

int main(int argc, char **argv)
{
	static struct scene scene;
	static struct tally tally;
	static struct whole whole;
	int64_t every, from = 0, until = INT32_MAX;
	if (argc < 3 || dp_parse_i64(argv[2], 0, 1000000, &every) != 0 ||
		(argc > 3 && dp_parse_i64(argv[3], 0, INT32_MAX, &from) != 0) ||
		(argc > 4 && dp_parse_i64(argv[4], 0, INT32_MAX, &until) != 0)) {
		fputs("usage: store_flips DIRECTORY EVERY [FROM [UNTIL]]\n", stderr);
		return 2;
	}
	dp_log_init("store_flips", DP_LOG_ERROR);
	scene_init(&scene, argv[1]);
	make_small(&scene);
	snprintf(scene.what, sizeof(scene.what), "no flip");
	if (scene_run(&scene, 1) != 0)
		return 2;
	read_whole(&scene, &whole);
	for (size_t at = (size_t)from; at < whole.size && at < (size_t)until;
		at += every > 0 ? (size_t)every : 1) {
		for (unsigned bit = 0; bit < (every > 0 ? 1 : 8); bit++)
			flip(&scene, &whole, at,
				every > 0 ? (unsigned)(at / (size_t)every % 8) : bit,
				&tally);
	}
	free(whole.bytes);
	scene_clear(&scene);
	printf("store_flips bytes=%zu flips=%u unaffected=%u altered=%u unread=%u aside=%u "
	       "refused=%u",
		whole.size,
		tally.fine + tally.altered + tally.unread + tally.aside + tally.refused,
		tally.fine, tally.altered, tally.unread, tally.aside, tally.refused);
	for (int i = 0; i < 256; i++) {
		if (tally.by_error[i] > 0)
			printf(" %s=%u", strerrorname_np(i), tally.by_error[i]);
	}
	printf("\n");
	return scene.failures == 0 ? 0 : 1;
}
