/*
 * Random readings, late arrivals, policies and kills: afterwards every value still due is
 * there exactly once, rollups equal a recomputation from all readings there ever were, and
 * nothing past its policy remains. RETENTION_SEEDS=n tries more.
 */
#include <signal.h>
#include <sys/wait.h>

#include "ingest_store.h"
#include "retention-pruner/prune.h"
#include "retention-pruner/sqlite/sqlite_ops.h"
#include "retention_model.h"

#define SEEDS 12
#define ROUNDS 14
#define MINUTE INT64_C(60000000)

static struct model model;
static struct {
	size_t stored, late, runs, kills;
	struct model_counts checked;
} total;

static char *const policies_of_seeds[][4] = {
	{"raw:1h,1m:3h,1h:1d", NULL}, {"raw:30m,1m:2h,1h:12h", "RETENTION_N1=raw:2h", NULL},
	{"raw:2h,1m:30m,10m:4h,1h:6h", "RETENTION_N0_S1=1m:5h", "RETENTION_N2=raw:5m",
		NULL},
	{"raw:10m,15s:20m", NULL},
	{"raw:1s,1m:1h,1h:1d", NULL}, /* what is not counted yet stays */
};

static int fuse; /* virtual machine steps of SQLite until the kill, in thousands */

static int burn(void *data)
{
	(void)data;
	if (--fuse <= 0)
		raise(SIGKILL);
	return 0;
}

static int arm(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
	(void)error, (void)api;
	sqlite3_progress_handler(db, 1000, burn, NULL);
	return SQLITE_OK;
}

static int64_t random_time(int64_t now_us, uint64_t *random)
{
	uint64_t kind = random_below(random, 10);
	if (kind < 6)
		return now_us - (int64_t)random_below(random, 2 * MINUTE);
	if (kind < 9)
		return now_us - (int64_t)random_below(random, 200 * MINUTE);
	/* Of whole minutes: buckets' borders, and instants that come twice. */
	return (now_us / MINUTE - (int64_t)random_below(random, 600)) * MINUTE;
}

/* A batch of one node; its readings come in any order of time. */
static void arrive(struct store *store, uint64_t *first, int64_t now_us, int64_t until_us,
	uint64_t *random)
{
	static const char *const names[] = {"temperature\",\"u\":\"Cel",
		"humidity\",\"u\":\"%RH", "pressure\",\"u\":\"Pa"};
	static char text[32768];
	int node = (int)random_below(random, NODES);
	uint32_t count = 1 + (uint32_t)random_below(random, 40);
	char name[8];
	size_t len = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct model_reading *r = &model.at[model.n++];
		assert_true(model.n < MODEL_MAX);
		*r = (struct model_reading){.node = node,
			.sensor = (int)random_below(random, SENSORS),
			.ts_us = random_time(now_us, random)};
		unsigned columns = 1 + (unsigned)random_below(random, MODEL_COLUMNS);
		for (unsigned c = 0; c < columns; c++) {
			r->has[c] = true;
			r->values[c] =
				(double)((int64_t)random_below(random, 1200) - 400) / 10;
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%c{",
				len == 0 ? '[' : ',');
			if (c == 0)
				len += (size_t)snprintf(text + len, sizeof(text) - len,
					"\"bn\":\"s%d/\",\"bt\":%lld.%06lld,", r->sensor,
					(long long)(r->ts_us / 1000000),
					(long long)(r->ts_us % 1000000));
			len += (size_t)snprintf(text + len, sizeof(text) - len,
				"\"n\":\"%s\",\"v\":%.1f}", names[c], r->values[c]);
			assert_true(len < sizeof(text) - 2);
		}
		total.late += r->ts_us < until_us;
	}
	text[len++] = ']';
	snprintf(name, sizeof(name), "n%d", node);
	const struct batch batch = {.node = name,
		.stream = (uint8_t)(1 + node),
		.first = first[node],
		.count = count,
		.payload = text,
		.len = len};
	char expected[64];
	snprintf(expected, sizeof(expected), "#0 stored %llu+%u",
		(unsigned long long)first[node], count);
	assert_string_equal(store_batch(store, &batch), expected);
	first[node] += count;
	total.stored += count;
}

/* What arrives during a run. */
struct arrivals {
	struct store *store;
	uint64_t *first, *random;
};

static void run_to_end(
	const char *url, const struct prune_run *run, const struct arrivals *arrivals)
{
	struct prune *prune = NULL;
	int64_t rows;
	bool done = false;
	require(prune_open(&prune, &sqlite_ops, url) == 0);
	prune_begin(prune, run);
	for (int steps = 0; !done; steps++) {
		require(steps < 100000);
		require(prune_step(prune, &rows, &done) == 0);
		require(prune_checkpoint(prune) == 0);
		if (arrivals != NULL && random_below(arrivals->random, 8) == 0)
			arrive(arrivals->store, arrivals->first, run->now_us, 0,
				arrivals->random);
		/* Steps of all sizes: mostly small ones. */
		prune_took(prune, steps % 3 == 0 ? 0 : 16000);
	}
	prune_close(prune);
}

/* In a process of its own, killed after some work. @return whether it was */
static bool run_and_kill(const char *url, const struct prune_run *run, uint64_t *random)
{
	int status;
	fuse = 1 + (int)random_below(random, 120);
	pid_t child = fork();
	require(child >= 0);
	if (child == 0) {
		sqlite3_auto_extension((void (*)(void))arm);
		run_to_end(url, run, NULL);
		_exit(0);
	}
	require(waitpid(child, &status, 0) == child);
	require((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
		(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	return WIFSIGNALED(status);
}

static void dump(const char *path, char *text, size_t size)
{
	db_text(path,
		"SELECT count(*), sum(count), sum(min), sum(max), sum(sum), "
		"sum(first_after)"
		" FROM rollup UNION ALL SELECT count(*), sum(ts), sum(id), 0, 0, 0 FROM "
		"reading",
		text, size);
}

static void open_again(struct store *store)
{
	const struct sink_options options = {.url = store->url,
		.max_message_bytes = MESSAGE_MAX,
		.dead_letters_max = 1000};
	assert_int_equal(sqlite_store_open(&store->sqlite, &options, NOW_US), 0);
}

static void try_seed(void **state, unsigned seed)
{
	uint64_t random = 0x9e3779b97f4a7c15u * (seed + 1), first[NODES] = {1, 1, 1};
	int64_t now_us = NOW_US;
	struct store store;
	struct policies policies;
	char *const *policy = policies_of_seeds[seed % LENGTH(policies_of_seeds)];
	char before[512], after[512];
	model.n = 0;
	assert_int_equal(policies_load(&policies, policy[0], policy + 1), 0);
	store_open(state, &store);
	for (int round = 0; round < ROUNDS; round++) {
		int64_t until_us =
			db_int(store.path, "SELECT counted_until FROM retention");
		const struct prune_run run = {
			.policies = &policies, .now_us = now_us, .confirmed = true};
		for (uint64_t n = random_below(&random, 12); n > 0; n--)
			arrive(&store, first, now_us, until_us, &random);
		/* A child must not share the connection. */
		sqlite_store_close(store.sqlite);
		while (random_below(&random, 3) > 0)
			total.kills += run_and_kill(store.url, &run, &random);
		open_again(&store);
		if (random_below(&random, 3) == 0 || round == ROUNDS - 1) {
			run_to_end(store.url, &run,
				&(struct arrivals){&store, first, &random});
			run_to_end(store.url, &run, NULL);
			total.runs += 2;
			check_all(&model, &policies, store.path, now_us, &total.checked);
			dump(store.path, before, sizeof(before));
			run_to_end(store.url, &run, NULL);
			dump(store.path, after, sizeof(after));
			assert_string_equal(before, after);
		}
		now_us += (int64_t)random_below(&random, 40 * MINUTE);
	}
	sqlite_store_close(store.sqlite);
	policies_finish(&policies);
}

static void test_what_is_due_is_there_once_and_rollups_are_exact(void **state)
{
	const char *more = getenv("RETENTION_SEEDS");
	unsigned seeds = more != NULL ? (unsigned)strtoul(more, NULL, 10) : SEEDS;
	char path[PATH_SIZE];
	for (unsigned seed = 0; seed < seeds; seed++) {
		try_seed(state, seed);
		unlink(path_in(state, "broker.db", path));
		unlink(path_in(state, "broker.db-wal", path));
		unlink(path_in(state, "broker.db-shm", path));
		unlink(path_in(state, "broker.db-lock", path));
	}
	print_message("seeds %u: readings stored %zu (late %zu), runs %zu, killed %zu;"
		      " looked at: readings %zu, buckets %zu\n",
		seeds, total.stored, total.late, total.runs, total.kills,
		total.checked.readings, total.checked.buckets);
	assert_true(total.late > 0 && total.kills > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_what_is_due_is_there_once_and_rollups_are_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
