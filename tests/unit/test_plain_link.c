/* The connection of plain messages and its lease, with the test as store and as broker. */
#include "fake_bus.h"
#include "ingest/plain_link.h"
#include "version.h"

struct owner {
	uv_loop_t loop;
	struct dp_clock clock;
	int64_t wall_us;
	int synchronised;
	struct plain_link link;
	struct sink_job job;
	unsigned gone;
};

static struct owner the_owner;

static void on_message(void *data, const struct dp_bus_message *message)
{
	(void)data, (void)message;
}

static int64_t wall_us(void *data)
{
	return ((struct owner *)data)->wall_us;
}

static int synchronised(void *data)
{
	return ((struct owner *)data)->synchronised;
}

static void on_gone(void *data)
{
	((struct owner *)data)->gone++;
}

static struct owner *begin(const char *prefix)
{
	struct owner *owner = &the_owner;
	memset(owner, 0, sizeof(*owner));
	fake_bus = (struct dp_bus){.up = false};
	require(uv_loop_init(&owner->loop) == 0);
	owner->clock = (struct dp_clock){
		.wall_us = wall_us, .synchronised = synchronised, .data = owner};
	const struct plain_link_options options = {.url = "mqtt://broker",
		.prefix = prefix,
		.instance = "a",
		.store = "s",
		.clock = &owner->clock,
		.data = owner,
		.message = on_message,
		.gone = on_gone};
	plain_link_start(&owner->link, &owner->loop, &options);
	uv_run(&owner->loop, UV_RUN_NOWAIT);
	return owner;
}

static void end(struct owner *owner)
{
	if (!owner->link.stopping)
		plain_link_stop(&owner->link);
	plain_link_end(&owner->link);
	uv_run(&owner->loop, UV_RUN_DEFAULT);
	fake_bus_clear();
	assert_int_equal(uv_loop_close(&owner->loop), 0);
}

/* A job of the store, which finds the lease so. */
static void do_job(struct owner *owner, int err, bool held)
{
	owner->job = (struct sink_job){.renewed = err};
	plain_link_begin_job(&owner->link, &owner->job);
	assert_true(owner->job.renew);
	if (err == 0)
		owner->job.lease->held = held;
	plain_link_end_job(&owner->link, &owner->job);
}

static struct owner *begin_connected(void)
{
	struct owner *owner = begin("/data");
	plain_link_allow(&owner->link, true);
	do_job(owner, 0, true);
	fake_bus_set_up(true);
	return owner;
}

/* The lease was taken so long ago that nobody knows whose it is. */
static void let_lease_end(struct owner *owner)
{
	uv_timer_set_repeat(&owner->link.end_timer, 1);
	assert_int_equal(uv_timer_again(&owner->link.end_timer), 0);
	uv_timer_set_repeat(&owner->link.end_timer, 0);
	while (uv_is_active((uv_handle_t *)&owner->link.end_timer))
		uv_run(&owner->loop, UV_RUN_ONCE);
}

static void test_with_the_lease_it_connects(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	assert_string_equal(fake_bus.filters, "/data/+ ");
	assert_string_equal(fake_bus.options.client_id, "dewpoint-ingest-plain");
	assert_true(fake_bus.options.hold_acks && fake_bus.options.live_only);
	assert_null(plain_link_health(&owner->link));
	plain_link_hasten(&owner->link);
	do_job(owner, 0, true);
	assert_int_equal(fake_bus.opened, 1);
	end(owner);
}

static void test_another_prefix_is_another_session(void **state)
{
	(void)state;
	struct owner *owner = begin("/other");
	plain_link_allow(&owner->link, true);
	do_job(owner, 0, true);
	assert_string_equal(fake_bus.options.client_id, "dewpoint-ingest-plain/other");
	end(owner);
}

/* Asked at each connection: the clock may have been set since. */
static void test_the_session_ends_by_a_synchronised_clock_only(void **state)
{
	(void)state;
	const struct {
		int64_t wall_s;
		int synchronised;
		uint32_t expiry_s;
	} rows[] = {
		{86400, 0, DP_SESSION_NEVER_ENDS},
		/* In 1970 the kernel's word is worth nothing. */
		{86400, 1, DP_SESSION_NEVER_ENDS},
		/* As it was when the board was switched off, weeks ago. */
		{dp_build_epoch + 1, 0, DP_SESSION_NEVER_ENDS},
		{dp_build_epoch + 1, 1, 7 * 86400},
	};
	struct owner *owner = begin_connected();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owner->wall_us = rows[i].wall_s * 1000000;
		owner->synchronised = rows[i].synchronised;
		assert_int_equal(fake_bus.options.session_expiry(fake_bus.options.data),
			rows[i].expiry_s);
	}
	end(owner);
}

static void test_without_the_lease_or_the_claim_it_does_not(void **state)
{
	(void)state;
	struct owner *owner = begin("/data");
	do_job(owner, 0, true);
	assert_int_equal(fake_bus.opened, 0);
	plain_link_allow(&owner->link, true);
	do_job(owner, 0, false);
	assert_int_equal(fake_bus.opened, 0);
	assert_null(plain_link_health(&owner->link));
	plain_link_hasten(&owner->link);
	do_job(owner, 0, true);
	assert_int_equal(fake_bus.opened, 1);
	/* Another store is at this broker. */
	plain_link_allow(&owner->link, false);
	assert_int_equal(owner->gone, 1);
	assert_null(owner->link.bus);
	end(owner);
}

static void test_only_what_is_all_stored_is_acknowledged(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_committed(&owner->link, false);
	assert_int_equal(fake_bus.released, 0);
	plain_link_committed(&owner->link, true);
	assert_int_equal(fake_bus.released, 1);
	end(owner);
}

static void test_a_lease_that_a_transaction_finds_lost_acknowledges_nothing(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	owner->link.lease.held = false;
	plain_link_committed(&owner->link, true);
	assert_int_equal(fake_bus.released, 0);
	assert_int_equal(owner->gone, 1);
	assert_null(owner->link.bus);
	end(owner);
}

static void test_a_lease_that_another_has_ends_the_connection(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_hasten(&owner->link);
	do_job(owner, 0, false);
	assert_null(owner->link.bus);
	assert_int_equal(owner->gone, 1);
	/* And comes back with it. */
	plain_link_hasten(&owner->link);
	do_job(owner, 0, true);
	assert_int_equal(fake_bus.opened, 2);
	end(owner);
}

static void test_a_lease_that_cannot_be_renewed_ends_in_time(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_hasten(&owner->link);
	do_job(owner, -ENOTCONN, true);
	/* It has still some time. */
	assert_true(owner->link.lease.held);
	assert_non_null(owner->link.bus);
	let_lease_end(owner);
	assert_false(owner->link.lease.held);
	assert_null(owner->link.bus);
	assert_int_equal(owner->gone, 1);
	end(owner);
}

/* Looking through the file took longer than the lease is for. */
static void test_a_lease_of_too_long_ago_is_renewed_by_the_next_job(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_hasten(&owner->link);
	plain_link_begin_job(&owner->link, &owner->job);
	let_lease_end(owner);
	assert_null(owner->link.bus);
	owner->job.renewed = -EAGAIN;
	plain_link_end_job(&owner->link, &owner->job);
	assert_false(owner->link.lease.held);
	assert_true(owner->link.renew_due);
	do_job(owner, 0, true);
	assert_int_equal(fake_bus.opened, 2);
	end(owner);
}

/* A transaction is under way: it compares the lease's number itself. */
static void test_a_lease_that_ends_during_a_job_is_left_to_the_job(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_hasten(&owner->link);
	plain_link_begin_job(&owner->link, &owner->job);
	let_lease_end(owner);
	assert_null(owner->link.bus);
	assert_true(owner->link.lease.held);
	owner->job.renewed = -ENOTCONN;
	plain_link_end_job(&owner->link, &owner->job);
	assert_false(owner->link.lease.held);
	end(owner);
}

static void test_a_stop_takes_nothing_more_and_gives_the_lease_up(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_hasten(&owner->link);
	plain_link_begin_job(&owner->link, &owner->job);
	plain_link_stop(&owner->link);
	assert_true(fake_bus.paused);
	/* What was being committed is acknowledged; the renewal starts nothing. */
	plain_link_end_job(&owner->link, &owner->job);
	plain_link_committed(&owner->link, true);
	assert_int_equal(fake_bus.released, 1);
	plain_link_hasten(&owner->link);
	assert_false(owner->link.renew_due);
	assert_true(plain_link_end(&owner->link));
	assert_null(owner->link.bus);
	assert_int_equal(fake_bus.opened, 1);
	end(owner);
}

static void test_a_newer_version_gets_the_lease(void **state)
{
	(void)state;
	struct owner *owner = begin_connected();
	plain_link_renounce(&owner->link);
	plain_link_stop(&owner->link);
	assert_false(plain_link_end(&owner->link));
	end(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_with_the_lease_it_connects),
		cmocka_unit_test(test_another_prefix_is_another_session),
		cmocka_unit_test(test_the_session_ends_by_a_synchronised_clock_only),
		cmocka_unit_test(test_without_the_lease_or_the_claim_it_does_not),
		cmocka_unit_test(test_only_what_is_all_stored_is_acknowledged),
		cmocka_unit_test(
			test_a_lease_that_a_transaction_finds_lost_acknowledges_nothing),
		cmocka_unit_test(test_a_lease_that_another_has_ends_the_connection),
		cmocka_unit_test(test_a_lease_that_cannot_be_renewed_ends_in_time),
		cmocka_unit_test(test_a_lease_of_too_long_ago_is_renewed_by_the_next_job),
		cmocka_unit_test(test_a_lease_that_ends_during_a_job_is_left_to_the_job),
		cmocka_unit_test(test_a_stop_takes_nothing_more_and_gives_the_lease_up),
		cmocka_unit_test(test_a_newer_version_gets_the_lease),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
