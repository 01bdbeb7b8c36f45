/* Replicas of a service, and who of them has the lease of their database. */
#ifndef TEST_LEASE_REPLICA_H
#define TEST_LEASE_REPLICA_H

#include "store_lease.h"
#include "support.h"

#define TTL_US INT64_C(15000000)
#define NOW_US INT64_C(1800000000000000)

/* A replica: a file of its own, so its locks are its own. */
struct replica {
	struct dp_store store;
	struct dp_lease lease;
	char url[PATH_SIZE + 16];
};

static inline void open_replica(void **state, struct replica *replica, const char *holder)
{
	char path[PATH_SIZE];
	snprintf(replica->url, sizeof(replica->url), "sqlite://%s",
		path_in(state, "broker.db", path));
	assert_int_equal(dp_store_open(&replica->store, replica->url), 0);
	replica->lease =
		(struct dp_lease){.name = "plain", .holder = holder, .ttl_us = TTL_US};
}

static inline bool renew_at(struct replica *replica, int64_t now_us)
{
	int err = dp_lease_renew(&replica->store, &replica->lease, now_us);
	if (err == -ESTALE) {
		assert_int_equal(dp_store_reopen(&replica->store), 0);
		err = dp_lease_renew(&replica->store, &replica->lease, now_us);
	}
	assert_int_equal(err, 0);
	return replica->lease.held;
}

static inline bool renew(struct replica *replica)
{
	return renew_at(replica, NOW_US);
}

/* As SIGKILL does: the kernel closes its files. */
static inline void kill_replica(struct replica *replica)
{
	dp_store_close(&replica->store);
}

/* As if it had been seen so a ttl ago. */
static inline void let_pass(struct replica *replica)
{
	assert_true(replica->lease.seen_ns > 0);
	replica->lease.seen_ns -= TTL_US * 1000 + 1;
}

static inline void open_two(void **state, struct replica *a, struct replica *b)
{
	open_replica(state, a, "a");
	open_replica(state, b, "b");
}

/* a has the lease, and b waits for it. */
static inline void open_pair(void **state, struct replica *a, struct replica *b)
{
	open_two(state, a, b);
	assert_true(renew(a));
	assert_false(renew(b));
}

static inline void kill_two(struct replica *a, struct replica *b)
{
	kill_replica(a);
	kill_replica(b);
}

#define ROW "SELECT holder, number FROM lease WHERE name = 'plain'"
#define ROW_IS(replica, text) assert_db_text((replica).store.path, ROW, text)

#endif
