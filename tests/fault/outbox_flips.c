/*
 * One bit of the outbox's file is flipped, each byte in turn, and the publisher is started
 * on it, with its brokers, samplers and centre as in model/model.h. It must go on, with the
 * file as it is, without some readings of it, or with a new file after this one was set
 * aside; or end with an error that says why. Never by a signal, never in a loop; and
 * whatever the samplers give it from then on is stored. What it gives up is known to be
 * lost at the centre.
 *
 *     outbox_flips DIRECTORY EVERY [BYTE [BIT]]
 *
 * EVERY: only each so-manieth byte (1: all), from BYTE on. With BIT: that flip alone, with
 * its log.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fail_vfs.h"
#include "model/model.h"
#include "number.h"

#define FLIP_S 60
#define SETTLE_MS 60000
#define OLD 20 /* readings of a stream that are in the file */

enum outcome { UNAFFECTED, PARTLY, ASIDE, REFUSED, OUTCOMES };

static char directory[200], path[240];
static uint8_t *base;
static size_t base_size;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "outbox_flips: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* @return how many files there were that had been set aside */
static size_t remove_files(void)
{
	char pattern[sizeof(path) + 16];
	glob_t found;
	size_t aside = 0;
	snprintf(pattern, sizeof(pattern), "%s*", path);
	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		aside += strstr(found.gl_pathv[i], ".corrupt-") != NULL;
		unlink(found.gl_pathv[i]);
	}
	globfree(&found);
	return aside;
}

static void write_out(const char *name, const void *bytes, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, name);
	close(fd);
}

static void sample(unsigned n, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		model_sample(n);
}

/* Dated readings, readings without a time, and a last word that the centre has not heard.
 */
static void make_base(void)
{
	sqlite3 *db = NULL;
	remove_files();
	model_reset(path);
	model.clock_set = false;
	model_start();
	for (unsigned n = 0; n < 3; n++)
		model_sampler_begin(n, 1);
	model.samplers[1].undated = true;
	model_run(300);
	sample(0, OLD);
	sample(1, OLD);
	sample(2, OLD);
	model_run(4000);
	model_close(2);
	model_run(4000);
	must(model_stop() == 0, "the base");
	must(sqlite3_open(path, &db) == SQLITE_OK &&
			sqlite3_exec(db, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", NULL,
				NULL, NULL) == SQLITE_OK,
		sqlite3_errmsg(db));
	sqlite3_close(db);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	base = size > 0 ? malloc((size_t)size) : NULL;
	must(base != NULL && pread(fd, base, (size_t)size, 0) == size, path);
	close(fd);
	base_size = (size_t)size;
}

/* @return NULL or what is wrong */
static const char *flip(size_t byte, unsigned bit, enum outcome *outcome)
{
	char lock[sizeof(path) + 8];
	remove_files();
	snprintf(lock, sizeof(lock), "%s-lock", path);
	base[byte] ^= (uint8_t)(1u << bit);
	write_out(path, base, base_size);
	write_out(lock, "in use\n", 7);
	base[byte] ^= (uint8_t)(1u << bit);
	model_reset(path);
	for (unsigned n = 0; n < 3; n++) {
		model_sampler_begin(n, OLD + 1);
		for (unsigned seq = 1; seq <= OLD; seq++)
			model.samplers[n].accepted[seq] = model.samplers[n].forgiven[seq] =
				true;
	}
	model.samplers[1].undated = true;
	model.samplers[2].closed = true;
	model.centre_up = true;
	model_start();
	model_run(300);
	if (model.restarts == 0) {
		model_sampler_begin(3, 1);
		sample(0, 3);
		sample(1, 3);
		sample(3, 3);
	}
	for (int64_t ms = 0; ms < SETTLE_MS && model.restarts == 0 && !model_settled() &&
			     model.strange[0] == '\0';
		ms += 5000)
		model_run(5000);
	const char *wrong = NULL;
	if (model.restarts > 0 && model.errors == 0)
		wrong = "it ended without a word";
	if (model.restarts == 0) {
		wrong = model_judge();
		if (wrong == NULL && !model_settled())
			wrong = "it stands still";
		if (wrong == NULL)
			wrong = relay_health(model.relay);
	}
	bool partly = model.relay->queue.damaged > 0 || model.errors > 0;
	if (model_stop() != 0 && model.restarts == 0 && wrong == NULL)
		wrong = "it does not stop cleanly";
	*outcome = model.restarts > 0	? REFUSED
		   : remove_files() > 0 ? ASIDE
		   : partly		? PARTLY
					: UNAFFECTED;
	return wrong;
}

static void note(size_t byte, unsigned bit)
{
	char name[sizeof(directory) + 8], text[80];
	snprintf(name, sizeof(name), "%s/rung", directory);
	int n = snprintf(text, sizeof(text), "byte %zu bit %u\n", byte, bit);
	write_out(name, text, (size_t)n);
}

int main(int argc, char **argv)
{
	int64_t every = 1, byte = 0, bit = 0;
	unsigned count[OUTCOMES] = {0}, wrong = 0, flips = 0;
	enum outcome outcome = UNAFFECTED;
	if (argc < 3 || dp_parse_i64(argv[2], 1, 100000, &every) != 0 ||
		(argc > 3 && dp_parse_i64(argv[3], 0, INT64_MAX, &byte) != 0) ||
		(argc > 4 && dp_parse_i64(argv[4], 0, 7, &bit) != 0)) {
		fputs("usage: outbox_flips DIRECTORY EVERY [BYTE [BIT]]\n", stderr);
		return 2;
	}
	snprintf(directory, sizeof(directory), "%s", argv[1]);
	snprintf(path, sizeof(path), "%s/outbox.db", directory);
	fail_vfs_install();
	make_base();
	if (argc > 4 && (size_t)byte < base_size) {
		model.verbose = true;
		const char *what = flip((size_t)byte, (unsigned)bit, &outcome);
		printf("outcome %d: %s\n", (int)outcome, what == NULL ? "fine" : what);
		return what != NULL;
	}
	for (size_t i = (size_t)byte; i < base_size && wrong < 20; i += (size_t)every) {
		/* Every bit has its turn, at one byte or another. */
		unsigned at = (unsigned)((i / (size_t)every + i / 8) % 8);
		alarm(FLIP_S);
		note(i, at);
		const char *what = flip(i, at, &outcome);
		flips++;
		count[outcome]++;
		if (what != NULL) {
			wrong++;
			printf("byte %zu bit %u: %s\n", i, at, what);
			fflush(stdout);
		}
	}
	printf("flips=%u size=%zu unaffected=%u partly=%u aside=%u refused=%u wrong=%u\n",
		flips, base_size, count[UNAFFECTED], count[PARTLY], count[ASIDE],
		count[REFUSED], wrong);
	return wrong == 0 ? 0 : 1;
}
