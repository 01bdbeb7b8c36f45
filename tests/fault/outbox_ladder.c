/*
 * The ladder: the k-th call fails, for every k until a scenario runs through. The
 * publisher's own code above fail_vfs.h, with its brokers, samplers and centre as in
 * model/model.h. After each rung it must have recovered by itself once calls succeed: all
 * is accepted and stored, nothing is lost, no reading has another one's content, it is
 * healthy, and it neither spun nor ended again and again. What it could not do while calls
 * failed it must have said.
 *
 *     outbox_ladder DIRECTORY EVERY [MODE [K]]
 *
 * EVERY: 1 for all rungs, else each so-manieth, and fewer where there are many. With MODE
 * and K: that rung alone, with its log.
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
#include "publisher/outbox/outbox_db.h"

#define SETTLE_MS 400000
#define RUNG_S 60

struct mode {
	const char *name;
	void (*scenario)(void);
	unsigned kinds;
	uint64_t n;
	enum fail_as as;
	uint64_t every; /* times EVERY, unless that is 1 */
};

static char directory[200], path[240];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "outbox_ladder: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void copy(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n;
	must(in >= 0 && out >= 0, to);
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		must(write(out, buffer, (size_t)n) == n, to);
	close(in);
	close(out);
}

/* Also what was set aside; the base only when it is to be made anew. */
static void remove_files(bool base)
{
	char pattern[sizeof(path) + 8];
	glob_t found;
	snprintf(pattern, sizeof(pattern), "%s*", path);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *end = found.gl_pathv[i] + strlen(path);
		if (base || (strcmp(end, ".base") != 0 && strcmp(end, ".lock0") != 0))
			unlink(found.gl_pathv[i]);
	}
	globfree(&found);
}

static void sql(const char *text)
{
	sqlite3 *db = NULL;
	must(sqlite3_open(path, &db) == SQLITE_OK, path);
	must(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, text);
	sqlite3_close(db);
}

/* ---- scenarios ---- */

static void sample(unsigned n, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		model_sample(n);
}

/* An outbox of a node that was switched off while its centre was away. */
static void make_base(void)
{
	char base[sizeof(path) + 8];
	remove_files(true);
	model_reset(path);
	model_start();
	model_sampler_begin(0, 1);
	model_run(200);
	sample(0, 30);
	model_run(4000);
	must(model_stop() == 0, "the base");
	/* Pages to be given back. */
	sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
	    " INSERT INTO reading SELECT 99, i, 0, zeroblob(4000), 0, NULL FROM n;"
	    "DELETE FROM reading WHERE stream = 99; PRAGMA wal_checkpoint(TRUNCATE)");
	snprintf(base, sizeof(base), "%s.base", path);
	copy(path, base);
	snprintf(base, sizeof(base), "%s.lock0", path);
	char lock[sizeof(path) + 8];
	snprintf(lock, sizeof(lock), "%s-lock", path);
	copy(lock, base);
}

static void lay_out(void)
{
	char from[sizeof(path) + 8], to[sizeof(path) + 8];
	remove_files(false);
	snprintf(from, sizeof(from), "%s.base", path);
	copy(from, path);
	snprintf(from, sizeof(from), "%s.lock0", path);
	snprintf(to, sizeof(to), "%s-lock", path);
	copy(from, to);
	model_reset(path);
	model_sampler_begin(0, 31);
	for (unsigned seq = 1; seq <= 30; seq++)
		model.samplers[0].accepted[seq] = true;
}

/* Streams in the file, new ones, readings without a time, a last word, pages, removals. */
static void work(void)
{
	model.clock_set = false;
	model_start();
	model_sampler_begin(1, 1);
	model_sampler_begin(2, 1);
	model.samplers[2].undated = true;
	model_run(300);
	sample(0, 10);
	sample(1, 10);
	sample(2, 10);
	model_run(3000);
	model_close(1);
	model_run(3000);
	model.clock_set = true;
	model_run(2000);
	model.centre_up = true;
	model_run(5000);
	sample(0, 5);
	model_run(1000);
	model.centre_answers = false;
	sample(0, 5);
	model_run(3000);
	model.centre_answers = true;
	model_run(8000);
	sample(0, 3);
	model_stop();
	model_start();
	model_run(3000);
	model_sampler_begin(3, 1);
	sample(3, 5);
	model_run(3000);
}

/*
 * Two samplers whose readings go straight to the centre, so that the outbox has no more of
 * them than their rows; then one reading of the slow one is spilled, the fast one ends, and
 * the publisher is killed. What the fast one's end says must not be taken for the slow
 * one's.
 */
static void rows(void)
{
	model.centre_up = true;
	model_start();
	model_run(300);
	model_sampler_begin(1, 1);
	sample(1, 50);
	model_run(500);
	model_sampler_begin(3, 1);
	sample(3, 2);
	model_run(2500);
	model.centre_up = false;
	model_run(100);
	sample(3, 1);
	model_run(4000);
	model_close(1);
	model_run(4000);
	model_kill();
	model_start();
	model_run(2000);
	model.centre_up = true;
	model_run(5000);
	sample(3, 20);
	model_run(3000);
}

/* Noise all over the file and its log. */
static void damage(void)
{
	static const char *const parts[] = {"", "-wal"};
	uint8_t noise[4096];
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 31 + 7);
	for (unsigned i = 0; i < 2; i++) {
		char name[sizeof(path) + 8];
		snprintf(name, sizeof(name), "%s%s", path, parts[i]);
		int fd = open(name, O_RDWR | O_CLOEXEC);
		off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
		for (off_t at = 0; at < size; at += (off_t)sizeof(noise))
			must(pwrite(fd, noise, sizeof(noise), at) == (ssize_t)sizeof(noise),
				name);
		if (fd >= 0)
			close(fd);
	}
	/* What was in it may be gone; in memory is nothing of it. */
	for (struct stream *s = model.relay->streams.first; s != NULL; s = s->next) {
		struct model_sampler *sampler = &model.samplers[s->id.bytes[0] - 1];
		for (uint64_t seq = 1; seq < sampler->next; seq++)
			sampler->forgiven[seq] = dp_intervals_contains(&s->stored, seq) ||
						 dp_intervals_contains(&s->answered, seq);
	}
	if (model.relay->queue.outbox != NULL)
		sqlite3_db_release_memory(model.relay->queue.outbox->db);
}

/* What is armed fails from the damage on. */
static unsigned armed_kinds;
static uint64_t armed_k, armed_n;

static void damaged(void)
{
	model_start();
	model_sampler_begin(1, 1);
	model_run(300);
	sample(0, 10);
	sample(1, 10);
	model_run(3000);
	damage();
	fail_arm(armed_kinds, armed_k, armed_n);
	sample(0, 3);
	model.centre_up = true;
	model_run(5000);
	model_close(1);
	model_run(3000);
	sample(0, 3);
	model_stop();
	model_start();
	model_run(5000);
}

/* ---- rungs ---- */

static const struct mode modes[] = {
	{"files-once", work, FAIL_FILES, 1, FAIL_AS_BROKEN, 1},
	{"files-full-once", work, FAIL_FILES, 1, FAIL_AS_FULL, 2},
	{"files-some", work, FAIL_FILES, 25, FAIL_AS_FULL, 3},
	{"files-for-good", work, FAIL_FILES, UINT64_MAX, FAIL_AS_FULL, 5},
	{"memory-once", work, FAIL_MEMORY, 1, FAIL_AS_BROKEN, 7},
	{"memory-for-good", work, FAIL_MEMORY, UINT64_MAX, FAIL_AS_BROKEN, 29},
	{"rows-once", rows, FAIL_FILES, 1, FAIL_AS_FULL, 1},
	{"rows-some", rows, FAIL_FILES, 6, FAIL_AS_FULL, 1},
	{"rows-memory", rows, FAIL_MEMORY, 1, FAIL_AS_BROKEN, 7},
	{"calls-once", work, FAIL_CALLS, 1, FAIL_AS_BROKEN, 1},
	{"calls-for-good", work, FAIL_CALLS, UINT64_MAX, FAIL_AS_BROKEN, 1},
	{"damaged-once", damaged, FAIL_FILES | FAIL_CALLS, 1, FAIL_AS_FULL, 1},
	{"damaged-for-good", damaged, FAIL_FILES | FAIL_CALLS, UINT64_MAX, FAIL_AS_FULL, 1},
	{"damaged-calls-for-good", damaged, FAIL_CALLS, UINT64_MAX, FAIL_AS_BROKEN, 1},
	{"damaged-memory-once", damaged, FAIL_MEMORY, 1, FAIL_AS_BROKEN, 7},
};

/* @return NULL or what is wrong */
static const char *climb(const struct mode *mode, uint64_t k)
{
	lay_out();
	armed_kinds = mode->kinds;
	armed_k = k;
	armed_n = mode->n;
	fail_as(mode->as);
	fail_arm(mode->scenario == damaged ? 0 : mode->kinds, k, mode->n);
	mode->scenario();
	fail_disarm();
	bool silent = fail_happened() && !model_settled() && model.errors == 0;
	for (int64_t ms = 0; ms < SETTLE_MS && model.strange[0] == '\0' &&
			     (!model_settled() || relay_health(model.relay) != NULL);
		ms += 5000)
		model_run(5000);
	static char text[512];
	const char *wrong = model_judge(), *health = relay_health(model.relay);
	if (wrong == NULL && silent)
		wrong = "it did not say what it could not do";
	if (wrong == NULL && !model_settled())
		wrong = "it stands still";
	if (wrong == NULL && health != NULL) {
		snprintf(text, sizeof(text), "it stays unhealthy: %s", health);
		wrong = text;
	}
	if (model_stop() != 0 && wrong == NULL)
		wrong = "it does not stop cleanly";
	return wrong;
}

/* For a rung that ends the process: at its death the file says which it was. */
static void note_rung(const struct mode *mode, uint64_t k)
{
	char name[sizeof(path) + 8], text[80];
	snprintf(name, sizeof(name), "%s/rung", directory);
	int n = snprintf(text, sizeof(text), "%s %" PRIu64 "\n", mode->name, k);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, text, (size_t)n) == n, name);
	close(fd);
}

/* @return how many rungs were wrong */
static unsigned ladder(const struct mode *mode, uint64_t every)
{
	unsigned wrong = 0;
	uint64_t k = 1, rungs = 0;
	do {
		alarm(RUNG_S);
		note_rung(mode, k);
		const char *what = climb(mode, k);
		rungs++;
		if (what != NULL && wrong++ < 5)
			printf("%s: call %" PRIu64 " (%s) fails: %s\n", mode->name, k,
				fail_name(), what);
		k += every == 1 ? 1 : every * mode->every;
	} while (fail_happened() && wrong < 20);
	printf("%s rungs=%" PRIu64 " calls=%" PRIu64 " wrong=%u\n", mode->name, rungs,
		fail_count(), wrong);
	fflush(stdout);
	return wrong;
}

int main(int argc, char **argv)
{
	int64_t every = 1, k = 0;
	unsigned wrong = 0;
	if (argc < 3 || dp_parse_i64(argv[2], 1, 100000, &every) != 0 ||
		(argc > 4 && dp_parse_i64(argv[4], 1, INT64_MAX, &k) != 0)) {
		fputs("usage: outbox_ladder DIRECTORY EVERY [MODE [K]]\n", stderr);
		return 2;
	}
	snprintf(directory, sizeof(directory), "%s", argv[1]);
	snprintf(path, sizeof(path), "%s/outbox.db", directory);
	fail_vfs_install();
	make_base();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (argc > 3 && strcmp(argv[3], modes[i].name) != 0)
			continue;
		if (k == 0) {
			wrong += ladder(&modes[i], (uint64_t)every);
			continue;
		}
		model.verbose = true;
		const char *what = climb(&modes[i], (uint64_t)k);
		printf("%s\n", what == NULL ? "fine" : what);
		wrong += what != NULL;
	}
	return wrong == 0 ? 0 : 1;
}
