#include "store_scene.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#define BASE_S 1700000000
#define NONE (-1)
#define WIDE 4 /* the stream whose readings are two rows each */

/* stream 0: a plain message, whose value is `first`; count 0: it cannot be read. */
struct sent {
	unsigned stream;
	uint64_t first;
	uint32_t count;
	uint64_t low;
	int after; /* sent only when this one was accepted, as a publisher does */
	bool broken;
};

static const struct sent messages[SCENE_MESSAGES] = {
	{1, 1, 5, 1, NONE, false},
	{2, 1, 5, 1, NONE, false},
	{1, 11, 5, 1, NONE, false}, /* 6 to 10 are on their way */
	{3, 1, 2, 1, NONE, true},
	{1, 1, 5, 1, 0, false},	  /* again: the answer was lost */
	{2, 15, 2, 15, 1, false}, /* 6 to 14 are lost */
	{0, 1, 1, 0, NONE, false},
	{3, 3, 4, 1, NONE, false},
	{0, 2, 1, 0, NONE, false},
	{0, 0, 0, 0, NONE, true},
	{1, 6, 5, 1, NONE, false}, /* the gap closes */
	{4, 1, 9, 1, NONE, false},
	{0, 3, 1, 0, NONE, false},
	{2, 17, 3, 17, 5, false},
};

/* Which go together in a transaction: the end of each. */
static const int transactions[] = {3, 5, 8, 11, SCENE_MESSAGES};

void scene_init(struct scene *scene, const char *directory)
{
	*scene = (struct scene){.last_error = 0};
	snprintf(scene->path, sizeof(scene->path), "%s/broker.db", directory);
	snprintf(scene->url, sizeof(scene->url), "sqlite://%s", scene->path);
}

void scene_wrong(struct scene *scene, const char *what, int64_t number)
{
	if (scene->failures++ < 10)
		printf("%s: %s (%" PRId64 ")\n", scene->what, what, number);
}

static size_t each_beside(struct scene *scene, const char *pattern, bool delete)
{
	char path[272];
	glob_t found;
	snprintf(path, sizeof(path), "%s%s", scene->path, pattern);
	if (glob(path, 0, NULL, &found) != 0)
		return 0;
	size_t n = found.gl_pathc;
	for (size_t i = 0; i < n && delete; i++)
		unlink(found.gl_pathv[i]);
	if (n > 0 && !delete)
		snprintf(scene->aside, sizeof(scene->aside), "%s", found.gl_pathv[0]);
	globfree(&found);
	return n;
}

static void end_look(struct scene *scene)
{
	sqlite3_close(scene->db);
	scene->db = NULL;
}

void scene_clear(struct scene *scene)
{
	end_look(scene);
	each_beside(scene, "*", true);
	memset(scene->accepted, 0, sizeof(scene->accepted));
	scene->last_error = 0;
	scene->aside[0] = '\0';
}

unsigned scene_aside(struct scene *scene)
{
	scene->aside[0] = '\0';
	return (unsigned)each_beside(scene, ".corrupt-*Z", false);
}

/* ---- messages ---- */

static struct incoming *copy(const struct dp_bus_message *message, bool plain)
{
	static struct condenser condenser = {.most = 262144};
	struct incoming *in = incoming_copy(
		message, plain, "/data", SCENE_NOW_US, DP_CLOCK_SYNCED, &condenser);
	if (in == NULL)
		exit(2);
	return in;
}

static struct incoming *plain_message(const struct sent *sent)
{
	char text[64];
	snprintf(text, sizeof(text), sent->broken ? "nonsense" : "{\"value\":%" PRIu64 "}",
		sent->first);
	const struct dp_bus_message message = {
		.topic = "/data/plain", .payload = text, .len = strlen(text)};
	return copy(&message, true);
}

static struct incoming *native_message(const struct sent *sent)
{
	char payload[4096];
	size_t len = 0;
	const struct dp_identity identity = {
		.stream = {{[DP_STREAM_BYTES - 1] = (uint8_t)sent->stream}},
		.first = sent->first,
		.count = sent->count,
		.low = sent->low};
	struct dp_identity_text text;
	dp_identity_encode(&identity, &text);
	/* Each stream has quantities of its own: so columns are made. */
	for (uint64_t seq = sent->first; seq < sent->first + sent->count; seq++) {
		len += (size_t)snprintf(payload + len, sizeof(payload) - len,
			"%c{\"bn\":\"s%u/\",\"bt\":%" PRIu64
			".000000,\"n\":\"temperature\",\"u\":\"Cel\",\"v\":20}",
			seq == sent->first ? '[' : ',', sent->stream, BASE_S + seq);
		for (unsigned i = 0; i < (sent->stream == WIDE ? 7 : 1); i++)
			len += (size_t)snprintf(payload + len, sizeof(payload) - len,
				",{\"n\":\"q%u.%u\",\"v\":1}", sent->stream, i);
	}
	payload[len++] = sent->broken ? ',' : ']';
	const struct dp_bus_message message = {.topic = "/data/n/batch",
		.payload = payload,
		.len = len,
		.response_topic = "ack/n/1",
		.properties = text.properties,
		.n_properties = text.n};
	return copy(&message, false);
}

/* ---- the scenario ---- */

static void send_some(struct scene *scene, struct sqlite_store *insert,
	struct dp_lease *fence, int from, int until, int tries)
{
	struct incoming *list = NULL, **end = &list;
	struct results results = {.n = 0};
	bool sent[SCENE_MESSAGES] = {false};
	for (int i = from; i < until; i++) {
		const struct sent *message = &messages[i];
		if (scene->accepted[i] ||
			(message->after != NONE && !scene->accepted[message->after]) ||
			(message->stream == 0 && !fence->held))
			continue;
		sent[i] = true;
		*end = message->stream == 0 ? plain_message(message)
					    : native_message(message);
		end = &(*end)->next;
	}
	if (list == NULL)
		return;
	int err;
	do
		err = sqlite_store_commit(insert, list, fence, &results, SCENE_NOW_US);
	while (err != 0 && --tries > 0);
	for (int i = from; i < until && err == 0; i++) {
		/* What came while the lease was lost is left out, and comes again. */
		if (sent[i] && (messages[i].stream != 0 || fence->held))
			scene->accepted[i] = true;
	}
	if (err != 0)
		scene->last_error = err;
	incoming_free(list);
	free(results.at);
}

int scene_run(struct scene *scene, int tries)
{
	const struct sink_options options = {
		.url = scene->url, .max_message_bytes = 262144, .dead_letters_max = 10};
	struct dp_lease fence = {
		.name = "plain", .holder = "us", .ttl_us = INT64_C(15000000)};
	struct sqlite_store *insert = NULL;
	uint64_t gaps;
	int from = 0, err, left = tries;
	end_look(scene);
	do
		err = sqlite_store_open(&insert, &options, SCENE_NOW_US);
	while (err != 0 && --left > 0);
	if (err != 0) {
		scene->last_error = err;
		return err;
	}
	for (size_t i = 0; i < sizeof(transactions) / sizeof(transactions[0]); i++) {
		err = sqlite_store_lease(insert, &fence, SCENE_NOW_US);
		if (err != 0)
			scene->last_error = err;
		send_some(scene, insert, &fence, from, transactions[i], tries);
		from = transactions[i];
		sqlite_store_gaps(insert, &gaps);
	}
	sqlite_store_release(insert, &fence);
	sqlite_store_close(insert);
	return 0;
}

/* ---- what is there ---- */

static sqlite3 *look(const char *path)
{
	sqlite3 *db = NULL;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
		return db;
	sqlite3_close(db);
	return NULL;
}

static int64_t ask_open(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t value = -1;
	if (db != NULL && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
		sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	if (sqlite3_finalize(statement) != SQLITE_OK)
		value = -1;
	return value;
}

static int64_t ask(const char *path, const char *sql)
{
	sqlite3 *db = look(path);
	int64_t value = ask_open(db, sql);
	sqlite3_close(db);
	return value;
}

int64_t scene_ask(struct scene *scene, const char *sql)
{
	if (scene->db == NULL)
		scene->db = look(scene->path);
	return ask_open(scene->db, sql);
}

enum kind { READING, PLAIN, DEAD_LETTER };

static const char *const kinds[] = {
	"an accepted reading", "a plain message", "a dead letter"};

/* Whether it is there once. */
static int64_t count(struct scene *scene, const char *sql)
{
	int64_t n = scene_ask(scene, sql);
	if (n != 0 || scene->aside[0] == '\0')
		return n;
	n = ask(scene->aside, sql);
	return n < 0 ? 1 : n;
}

/* What a page of the damaged table has. */
static bool forgive(struct scene_damage *damage, enum kind kind)
{
	bool forgiven = kind == DEAD_LETTER || damage->in_readings;
	damage->altered = damage->altered || forgiven;
	return forgiven;
}

static void judge_one(struct scene *scene, const char *sql, enum kind kind, bool once)
{
	char text[96];
	int64_t n = count(scene, sql);
	if (n == 1 || (n > 1 && !once))
		return;
	if (scene->damage != NULL) {
		scene->damage->unread = scene->damage->unread || n < 0;
		if (n < 0 || forgive(scene->damage, kind))
			return;
	}
	snprintf(text, sizeof(text), "%s is %s", kinds[kind],
		n < 1 ? "missing" : "there twice");
	scene_wrong(scene, text, n);
}

static void judge_message(struct scene *scene, const struct sent *sent)
{
	char sql[512];
	if (sent->broken) {
		snprintf(sql, sizeof(sql),
			"SELECT count(*) FROM dead_letter WHERE topic = '%s'",
			sent->stream == 0 ? "/data/plain" : "/data/n/batch");
		judge_one(scene, sql, DEAD_LETTER, !scene->again);
		return;
	}
	if (sent->stream == 0) {
		snprintf(sql, sizeof(sql),
			"SELECT count(*) FROM reading JOIN sensor ON sensor.id = sensor"
			" WHERE topic = '/data/plain' AND v2 = %" PRIu64,
			sent->first);
		judge_one(scene, sql, PLAIN, !scene->again);
		return;
	}
	for (uint64_t seq = sent->first; seq < sent->first + sent->count; seq++) {
		snprintf(sql, sizeof(sql),
			"SELECT count(*) FROM reading JOIN sensor ON sensor.id = sensor"
			" WHERE name = 's%u' AND ts = %" PRIu64
			"000000 AND temperature = 20",
			sent->stream, BASE_S + seq);
		judge_one(scene, sql, READING, true);
	}
}

void scene_judge(struct scene *scene, bool all)
{
	for (int i = 0; i < SCENE_MESSAGES; i++) {
		if (scene->accepted[i])
			judge_message(scene, &messages[i]);
		else if (all)
			scene_wrong(scene, "a message is not taken, now that all works", i);
	}
	if (!all)
		return;
	if (scene_ask(scene, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") !=
		1)
		scene_wrong(scene, "the file is damaged", 0);
	static const struct {
		const char *sql;
		int64_t value;
	} facts[] = {
		{"SELECT count(*) FROM reading JOIN sensor ON sensor.id = sensor"
		 " WHERE topic = '/data/n'",
			15 + 10 + 4 + 2 * 9},
		{"SELECT count(*) FROM reading JOIN sensor ON sensor.id = sensor"
		 " WHERE name = 's4' AND part = 1 AND v2 = 1 AND temperature IS NULL",
			9},
		{"SELECT count(*) FROM channel", 4 + 1 + 1 + 1 + 7 + 1},
		{"SELECT count(DISTINCT id) = count(*) FROM reading", 1},
		{"SELECT max(id) < (SELECT reading FROM next_id) FROM reading", 1},
		{"SELECT count(*) FROM stream_interval", 4},
		{"SELECT sum(last - first + 1) FROM stream_interval", 15 + 19 + 6 + 9},
		{"SELECT sum(count) FROM lost", 9},
		{"SELECT sum(lost) FROM stream", 9},
		{"SELECT count(*) FROM sensor", 5 + 1},
		{"SELECT count(*) FROM dead_letter WHERE topic LIKE '%/batch'", 1},
	};
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		int64_t value = scene_ask(scene, facts[i].sql);
		if (value != facts[i].value)
			scene_wrong(scene, facts[i].sql, value);
	}
}

struct scene_damage scene_judge_damaged(struct scene *scene, bool in_readings)
{
	static const char fresh[] =
		"SELECT max(id) < (SELECT reading FROM next_id) FROM reading";
	/* Plain messages were sent again, and are there twice. */
	static const int64_t rows = 15 + 10 + 4 + 2 * 9 + 2 * 3;
	struct scene_damage damage = {.in_readings = in_readings};
	scene->damage = &damage;
	scene_judge(scene, false);
	scene->damage = NULL;
	int64_t n = scene_ask(scene, "SELECT count(*) FROM reading");
	damage.unread = damage.unread || n < 0;
	damage.altered = damage.altered || (in_readings && n != rows);
	if (n >= 0 && n != rows && !in_readings)
		scene_wrong(scene, "more or fewer rows than were stored", n - rows);
	if (n >= 0 && !in_readings && scene_ask(scene, fresh) != 1)
		scene_wrong(scene, "a number that was used comes next", 0);
	return damage;
}

/* ---- files ---- */

uint8_t *scene_read(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(4 << 20);
	if (file == NULL || bytes == NULL)
		exit(2);
	*size = fread(bytes, 1, 4 << 20, file);
	fclose(file);
	return bytes;
}

void scene_write(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
		exit(2);
}
