/*
 * Power cuts, at random instants, under the publisher's outbox and the broker's
 * database: the services' own code above cut_vfs.h. After each cut the file must open,
 * be whole, and hold what was accepted: what a commit had returned for.
 *
 *     power_cut outbox|database DIRECTORY CUTS SEED [--ignore-sync]
 *
 * With --ignore-sync the disk lies about syncs: a check that finds nothing then finds
 * nothing ever.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "cut_vfs.h"
#include "ingest/sqlite/sqlite_store.h"
#include "log.h"
#include "number.h"
#include "publisher/outbox/outbox.h"

#define STREAMS 3
#define SEQ_MAX 400000
#define NOW_US INT64_C(1800000000000000)
#define OPERATIONS UINT64_C(400) /* between power on and the cut, at most */
#define BATCH 60

/* What is known of a reading. */
enum state { NEVER, PERHAPS, ACCEPTED, REMOVED_PERHAPS, REMOVED };

struct run {
	const char *directory;
	char path[256], url[272];
	unsigned cut, cuts;
	uint64_t seed, random;
	uint8_t state[STREAMS][SEQ_MAX];
	uint64_t next[STREAMS], removed[STREAMS]; /* to be appended, to be removed */
	uint64_t sent, accepted, duplicates, missing;
	unsigned failures;
};

static uint64_t draw(struct run *run, uint64_t n)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (run->random >> 11) % n;
}

static void wrong(struct run *run, const char *what, int64_t number)
{
	if (run->failures++ < 10)
		printf("seed %" PRIu64 " cut %u: %s (%" PRId64 ")\n", run->seed, run->cut,
			what, number);
}

static struct dp_stream_id id_of(unsigned stream)
{
	return (struct dp_stream_id){{[0] = (uint8_t)(stream + 1)}};
}

/* ---- looking at the file from outside ---- */

/* @return whether the query yields exactly this text */
static bool says(struct run *run, const char *sql, const char *expected)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	bool same = sqlite3_open(run->path, &db) == SQLITE_OK &&
		    sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
		    sqlite3_step(statement) == SQLITE_ROW &&
		    strcmp((const char *)sqlite3_column_text(statement, 0), expected) == 0;
	if (!same)
		printf("%s: %s\n", sql, sqlite3_errmsg(db));
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return same;
}

/* Note what is there, and hold it against what is known. rows[stream][seq]: how many */
static void judge(struct run *run, uint8_t (*rows)[SEQ_MAX])
{
	for (unsigned s = 0; s < STREAMS; s++) {
		for (uint64_t seq = 1; seq < run->next[s]; seq++) {
			uint8_t *state = &run->state[s][seq];
			unsigned n = rows[s][seq];
			if (n > 1) {
				run->duplicates += n - 1;
				wrong(run, "a reading is there more than once",
					(int64_t)seq);
			}
			if (n == 0 && *state == ACCEPTED) {
				run->missing++;
				wrong(run, "an accepted reading is missing", (int64_t)seq);
			}
			if (n > 0 && *state == REMOVED)
				wrong(run, "a removed reading is there", (int64_t)seq);
			if (n > 0 && *state == NEVER)
				wrong(run, "a reading is there that was never written",
					(int64_t)seq);
			/* From here on what is there is known. */
			if (*state == PERHAPS)
				*state = n > 0 ? ACCEPTED : NEVER;
			if (*state == REMOVED_PERHAPS)
				*state = n > 0 ? ACCEPTED : REMOVED;
			rows[s][seq] = 0;
		}
	}
}

/* ---- the outbox ---- */

static int write_json(char *json, size_t size, unsigned stream, uint64_t seq)
{
	return snprintf(
		json, size, "{\"bn\":\"s%u/\",\"n\":\"t\",\"v\":%" PRIu64 "}", stream, seq);
}

static int append_some(
	struct run *run, struct outbox *outbox, unsigned s, int64_t row, uint64_t n)
{
	int err = 0;
	for (uint64_t seq = run->next[s]; seq < run->next[s] + n && err == 0; seq++) {
		char json[80];
		const struct outbox_reading reading = {.row = row,
			.seq = seq,
			.json = json,
			.len = (uint32_t)write_json(json, sizeof(json), s, seq)};
		run->state[s][seq] = PERHAPS;
		err = outbox_append(outbox, &reading);
	}
	return err;
}

static void mark(struct run *run, unsigned s, uint64_t first, uint64_t end, enum state from,
	enum state to)
{
	for (uint64_t seq = first; seq < end; seq++) {
		if (run->state[s][seq] == from)
			run->state[s][seq] = (uint8_t)to;
	}
}

/* One transaction of the publisher's kind. */
static int outbox_turn(struct run *run, struct outbox *outbox)
{
	const unsigned s = (unsigned)draw(run, STREAMS);
	const struct dp_stream_id id = id_of(s);
	uint64_t n = 1 + draw(run, BATCH), first = run->next[s], removed = run->removed[s];
	bool remove = draw(run, 3) == 0;
	uint64_t until = removed + draw(run, first - removed + 1);
	int64_t row = 0;
	int err = outbox_begin(outbox);
	if (err == 0)
		err = outbox_add_stream(outbox, &id, "node", &row);
	if (err == 0 && remove && until > removed) {
		mark(run, s, removed, until, ACCEPTED, REMOVED_PERHAPS);
		err = outbox_remove(outbox, row, removed, until - 1);
	} else if (err == 0) {
		err = outbox_set_low(outbox, row, removed);
		if (err == 0)
			err = append_some(run, outbox, s, row, n);
		run->next[s] += n;
		run->sent += n;
	}
	if (err == 0)
		err = outbox_commit(outbox);
	if (err != 0)
		return err;
	run->accepted += run->next[s] - first;
	mark(run, s, first, run->next[s], PERHAPS, ACCEPTED);
	mark(run, s, removed, until, REMOVED_PERHAPS, REMOVED);
	if (remove)
		run->removed[s] = until;
	return 0;
}

static void work_on_outbox(struct run *run)
{
	struct outbox *outbox = NULL;
	int err = outbox_open(&outbox, run->path);
	while (err == 0 && !cut_happened()) {
		err = outbox_turn(run, outbox);
		if (err == 0 && draw(run, 40) == 0)
			err = outbox_shrink(outbox);
	}
	outbox_close(outbox);
}

static uint8_t found[STREAMS][SEQ_MAX];

struct reading_streams {
	struct run *run;
	struct outbox *outbox;
	struct outbox_page page;
};

static void read_stream(void *data, struct outbox_stream *stream)
{
	struct reading_streams *all = data;
	unsigned s = stream->id.bytes[0] - 1u;
	uint64_t seq = 0;
	dp_intervals_finish(&stream->stored);
	while (outbox_load(all->outbox, stream->row, seq, &all->page) == 0 &&
		all->page.n > 0) {
		for (size_t i = 0; i < all->page.n; i++) {
			const struct outbox_reading *reading = &all->page.readings[i];
			char json[80];
			int len = write_json(json, sizeof(json), s, reading->seq);
			seq = reading->seq;
			found[s][seq]++;
			if ((int)reading->len != len ||
				memcmp(reading->json, json, (size_t)len) != 0)
				wrong(all->run, "a reading's content is another one",
					(int64_t)seq);
		}
		seq++;
	}
}

static void check_outbox(struct run *run)
{
	struct reading_streams all = {.run = run};
	int err = outbox_open(&all.outbox, run->path);
	if (err == 0)
		err = outbox_streams(all.outbox, read_stream, &all);
	if (err != 0)
		wrong(run, "the outbox does not open", err);
	outbox_page_finish(&all.page);
	outbox_close(all.outbox);
	judge(run, found);
}

/* ---- the broker's database ---- */

static struct incoming *make_batch(unsigned s, uint64_t first, uint32_t count)
{
	static char payload[BATCH * 100];
	const struct dp_identity identity = {
		.stream = id_of(s), .first = first, .count = count, .low = 1};
	struct dp_identity_text text;
	size_t len = 0;
	dp_identity_encode(&identity, &text);
	for (uint64_t seq = first; seq < first + count; seq++)
		len += (size_t)snprintf(payload + len, sizeof(payload) - len,
			"%c{\"bn\":\"s%u/\",\"bt\":%" PRIu64 ".000000,\"n\":\"t\",\"v\":1}",
			seq == first ? '[' : ',', s, 1700000000 + seq);
	payload[len++] = ']';
	const struct dp_bus_message message = {.topic = "/data/n/batch",
		.payload = payload,
		.len = len,
		.response_topic = "ack/n/1",
		.properties = text.properties,
		.n_properties = text.n};
	static struct condenser condenser = {.most = SIZE_MAX};
	return incoming_copy(&message, false, "/data", NOW_US, DP_CLOCK_SYNCED, &condenser);
}

/* What is not known to be stored is sent again, cut anew, with some of what is new. */
static int store_some(struct run *run, struct sqlite_store *store)
{
	const unsigned s = (unsigned)draw(run, STREAMS);
	struct dp_lease fence = {.name = "plain", .holder = "h"};
	struct results results = {.n = 0};
	uint64_t first = run->removed[s] + 1; /* the first that is not answered */
	uint32_t count = (uint32_t)(1 + draw(run, BATCH - 1));
	uint64_t end = first + count;
	struct incoming *batch = make_batch(s, first, count);
	if (batch == NULL)
		exit(2);
	if (end > run->next[s]) {
		run->sent += end - run->next[s];
		run->next[s] = end;
	}
	mark(run, s, first, end, NEVER, PERHAPS);
	int err = sqlite_store_commit(store, batch, &fence, &results, NOW_US);
	if (err == 0) {
		mark(run, s, first, end, PERHAPS, ACCEPTED);
		run->removed[s] = end - 1;
		run->accepted += count;
	}
	incoming_free(batch);
	free(results.at);
	return err;
}

static void work_on_database(struct run *run)
{
	const struct sink_options options = {
		.url = run->url, .max_message_bytes = 262144, .dead_letters_max = 1000};
	struct sqlite_store *store = NULL;
	int err = sqlite_store_open(&store, &options, NOW_US);
	while (err == 0 && !cut_happened())
		err = store_some(run, store);
	sqlite_store_close(err == 0 || store != NULL ? store : NULL);
}

static void read_rows(struct run *run, sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db,
		"SELECT sensor.name, reading.ts / 1000000 - 1700000000 FROM reading"
		" JOIN sensor ON sensor.id = reading.sensor",
		-1, &statement, NULL);
	while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
		unsigned s = (unsigned)(sqlite3_column_text(statement, 0)[1] - '0');
		found[s][sqlite3_column_int64(statement, 1)]++;
	}
	if (sqlite3_finalize(statement) != SQLITE_OK || code != SQLITE_OK)
		wrong(run, "the rows cannot be read", code);
}

/* As many numbers are consumed as there are rows. */
#define CONSUMED                                                                           \
	"SELECT (SELECT coalesce(sum(last - first + 1), 0) FROM stream_interval)"          \
	" = (SELECT count(*) FROM reading)"

static void check_database(struct run *run)
{
	const struct sink_options options = {
		.url = run->url, .max_message_bytes = 262144, .dead_letters_max = 1000};
	struct sqlite_store *store = NULL;
	sqlite3 *db = NULL;
	int err = sqlite_store_open(&store, &options, NOW_US);
	if (err != 0)
		wrong(run, "the database does not open", err);
	sqlite_store_close(err == 0 ? store : NULL);
	if (sqlite3_open(run->path, &db) == SQLITE_OK)
		read_rows(run, db);
	sqlite3_close(db);
	if (!says(run, CONSUMED, "1"))
		wrong(run, "intervals and rows differ", 0);
	judge(run, found);
}

/* ---- */

/* Often, so that power also goes in the middle of a checkpoint. */
static int checkpoint_often(
	sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
	(void)error, (void)api;
	return sqlite3_wal_autocheckpoint(db, 40);
}

static bool room_left(const struct run *run)
{
	for (unsigned s = 0; s < STREAMS; s++) {
		if (run->next[s] + OPERATIONS * BATCH >= SEQ_MAX)
			return false;
	}
	return true;
}

static int usage(void)
{
	fputs("usage: power_cut outbox|database DIRECTORY CUTS SEED [--ignore-sync]\n",
		stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static struct run run;
	int64_t cuts;
	if (argc < 5 || dp_parse_i64(argv[3], 1, 100000, &cuts) != 0 ||
		dp_parse_u64(argv[4], &run.seed) != 0)
		return usage();
	bool database = strcmp(argv[1], "database") == 0;
	run.cuts = (unsigned)cuts;
	run.random = run.seed * UINT64_C(0xbf58476d1ce4e5b9) | 1;
	snprintf(run.path, sizeof(run.path), "%s/%s.db", argv[2], argv[1]);
	snprintf(run.url, sizeof(run.url), "sqlite://%s", run.path);
	for (unsigned s = 0; s < STREAMS; s++)
		run.next[s] = 1;
	dp_log_init("power_cut", DP_LOG_ERROR);
	cut_vfs_install(run.seed, argc > 5 && strcmp(argv[5], "--ignore-sync") == 0);
	sqlite3_auto_extension((void (*)(void))checkpoint_often);
	for (run.cut = 1; run.cut <= run.cuts && run.failures == 0; run.cut++) {
		if (!room_left(&run)) {
			fputs("power_cut: SEQ_MAX is too small for so many cuts\n", stderr);
			return 2;
		}
		cut_arm((unsigned)(1 + draw(&run, OPERATIONS)));
		if (database)
			work_on_database(&run);
		else
			work_on_outbox(&run);
		cut_restore();
		if (!says(&run, "PRAGMA integrity_check", "ok"))
			wrong(&run, "the file is damaged", 0);
		if (database)
			check_database(&run);
		else
			check_outbox(&run);
	}
	uint64_t stored = 0;
	for (unsigned s = 0; s < STREAMS; s++) {
		for (uint64_t seq = 1; seq < run.next[s]; seq++)
			stored += run.state[s][seq] == ACCEPTED ||
				  run.state[s][seq] == REMOVED;
	}
	printf("%s seed=%" PRIu64 " cuts=%u sent=%" PRIu64 " accepted=%" PRIu64
	       " stored=%" PRIu64 " duplicates=%" PRIu64 " missing=%" PRIu64 "\n",
		argv[1], run.seed, run.cut - 1, run.sent, run.accepted, stored,
		run.duplicates, run.missing);
	return run.failures == 0 ? 0 : 1;
}
