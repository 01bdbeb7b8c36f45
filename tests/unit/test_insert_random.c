/*
 * A hundred thousand batches that contradict each other: ranges overlap, numbers jump and
 * end beyond the largest, counts and payloads disagree, nodes send streams of others, `low`
 * is anything. Nothing is stored twice, what was answered as stored is consumed, and no
 * stream gets more intervals than the contract allows.
 */
#include "ingest_store.h"

#define SEED UINT64_C(20261123)
#define BATCHES 100000
#define IN_COMMIT 25
#define STREAMS 4
#define INTERVALS_MAX 1025 /* 1,024 gaps */
#define SEEN_MAX 4096	   /* numbers whose answers are remembered */

struct oracle {
	uint64_t random;
	bool stored[STREAMS][SEEN_MAX];
	uint64_t n[3]; /* readings answered as stored, rejected, later */
	uint64_t whole;
};

static uint64_t below(struct oracle *o, uint64_t n)
{
	return random_below(&o->random, n);
}

/* Somewhere around a power of two, beyond the largest number as well. */
static uint64_t far_away(struct oracle *o)
{
	uint64_t at = UINT64_C(1) << below(o, 64);
	return at + below(o, 5) - below(o, 3);
}

/* Each stream has its own way of going wrong. */
static struct batch draw(struct oracle *o)
{
	static const char *const nodes[STREAMS] = {"n0", "n1", "n2", "n3"};
	static const char *const payloads[] = {"", "[]", "[{}]", "{", "null", "\xff",
		"[{\"n\":\"climate/temperature\",\"u\":\"Cel\",\"v\":1}]"};
	uint8_t stream = (uint8_t)below(o, STREAMS);
	struct batch batch = {.node = nodes[stream],
		.stream = stream,
		.first = 1 + below(o, 4000),
		.count = (uint32_t)(1 + below(o, 6))};
	if (stream == 1) /* sparse: up to the cap of gaps */
		batch.first = 1 + 2 * below(o, 3000);
	else if (stream == 2 && below(o, 2) == 0)
		batch.first = far_away(o);
	else if (stream == 3 && below(o, 4) == 0)
		batch.low = below(o, 2) == 0 ? below(o, 4000) : far_away(o);
	if (below(o, 10) == 0)
		batch.payload = payloads[below(o, LENGTH(payloads))];
	else if (below(o, 20) == 0)
		batch.count = 0;
	if (below(o, 20) == 0)
		batch.node = nodes[below(o, STREAMS)];
	if (below(o, 50) == 0)
		batch.version = below(o, 2) == 0 ? "3" : "one";
	return batch;
}

static void note(struct oracle *o, const struct results *results)
{
	for (size_t i = 0; i < results->n; i++) {
		const struct dp_ack_range *range = &results->at[i].range;
		unsigned stream = range->stream.bytes[DP_STREAM_BYTES - 1];
		o->whole += results->at[i].whole;
		if (results->at[i].whole || results->at[i].heard)
			continue;
		o->n[range->kind] += range->count;
		for (uint64_t seq = range->first;
			range->kind == DP_ACK_STORED && seq < range->first + range->count;
			seq++) {
			if (seq < SEEN_MAX)
				o->stored[stream][seq] = true;
		}
	}
}

static void commit_some(struct store *store, struct oracle *o)
{
	struct results results = {.n = 0};
	struct incoming *list = NULL, **end = &list;
	for (int i = 0; i < IN_COMMIT; i++) {
		const struct batch batch = draw(o);
		*end = batch_message(&batch);
		end = &(*end)->next;
	}
	assert_int_equal(
		sqlite_store_commit(store->sqlite, list, &store->fence, &results, NOW_US),
		0);
	note(o, &results);
	free(results.at);
	incoming_free(list);
}

static void assert_bounded(const struct store *store)
{
	assert_in_range(db_int(store->path, "SELECT max(n) FROM (SELECT count(*) AS n FROM "
					    "stream_interval GROUP BY stream)"),
		1, INTERVALS_MAX);
}

/* What was answered as stored will never be taken again. */
static void assert_consumed(struct store *store, const struct oracle *o)
{
	sqlite3 *db = db_open(store->path);
	sqlite3_stmt *statement;
	assert_int_equal(sqlite3_prepare_v2(db,
				 "SELECT count(*) FROM stream_interval JOIN stream ON "
				 "stream.id = stream_interval.stream WHERE stream.node = "
				 "?1 AND ?2 BETWEEN first AND last",
				 -1, &statement, NULL),
		SQLITE_OK);
	for (unsigned stream = 0; stream < STREAMS; stream++) {
		char node[8];
		snprintf(node, sizeof(node), "n%u", stream);
		for (int seq = 1; seq < SEEN_MAX; seq++) {
			if (!o->stored[stream][seq])
				continue;
			sqlite3_bind_text(statement, 1, node, -1, SQLITE_STATIC);
			sqlite3_bind_int(statement, 2, seq);
			assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
			assert_int_equal(sqlite3_column_int(statement, 0), 1);
			sqlite3_reset(statement);
		}
	}
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

static void test_batches_that_contradict_each_other(void **state)
{
	struct store store;
	struct oracle oracle = {.random = SEED}, *o = &oracle;
	print_message("seed %llu\n", (unsigned long long)SEED);
	store_open(state, &store);
	/* Each stream is known before others claim it. */
	static const struct batch first[STREAMS] = {
		{.node = "n0", .stream = 0, .first = 1, .count = 1},
		{.node = "n1", .stream = 1, .first = 1, .count = 1},
		{.node = "n2", .stream = 2, .first = 1, .count = 1},
		{.node = "n3", .stream = 3, .first = 1, .count = 1}};
	store_batches(&store, first, STREAMS);
	for (int i = 0; i < BATCHES / IN_COMMIT; i++) {
		commit_some(&store, o);
		if (i % 100 == 0)
			assert_bounded(&store);
	}
	assert_bounded(&store);
	assert_consumed(&store, o);
	/* A reading's time is its number, and a node has one stream. */
	assert_int_equal(
		db_int(store.path, "SELECT count(*) - count(DISTINCT sensor || ' ' || ts) "
				   "FROM reading"),
		0);
	/* Everything happened. */
	print_message("stored %llu, rejected %llu, later %llu, whole %llu\n",
		(unsigned long long)o->n[DP_ACK_STORED],
		(unsigned long long)o->n[DP_ACK_REJECTED],
		(unsigned long long)o->n[DP_ACK_LATER], (unsigned long long)o->whole);
	assert_true(db_int(store.path, "SELECT count(*) FROM reading") > 5000);
	assert_true(o->n[DP_ACK_REJECTED] > 1000 && o->n[DP_ACK_LATER] > 1000);
	assert_true(o->whole > 100);
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_batches_that_contradict_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
