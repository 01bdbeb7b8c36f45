/*
 * Of two pruners at one store, whatever fails: every order is answered once, and nothing is
 * done that nobody ordered.
 */
#include "pruner_world.h"

enum kind { PLAIN, DRY_RUN, CONFIRM, BAD, KINDS };

static void post(enum kind kind)
{
	static const char *const texts[KINDS] = {
		"", "{\"dry_run\":true}", "{\"confirm\":true}", "{\"confirm\":1}"};
	int which = world.posted++;
	char topic[32];
	snprintf(topic, sizeof(topic), "answers/%d", which);
	world.dry_run[which] = kind == DRY_RUN;
	world.confirm[which] = kind == CONFIRM;
	world.heard[which] = false;
	for (int i = 0; i < PRUNERS; i++)
		world.heard[which] |= world.at[i].pruner != NULL && !world.at[i].stopping;
	const struct dp_bus_message message = {.topic = "retention/run",
		.payload = texts[kind],
		.len = strlen(texts[kind]),
		.response_topic = topic};
	world.heard[which] = world.heard[which] && world.broker;
	if (world.broker)
		deliver(&message);
	deliver_told();
}

static void stop(int i)
{
	struct replica *r = &world.at[i];
	r->stopping = true;
	pruner_stop(r->pruner);
	deliver_told();
	end_if_closed(r);
	pass(SECOND_NS);
}

static void broker_is(bool there)
{
	bool back = there && !world.broker;
	world.broker = there;
	for (int i = 0; i < PRUNERS && back; i++) {
		if (world.at[i].pruner != NULL)
			world.at[i].bus.options.on_connect(world.at[i].bus.options.data);
	}
}

/* What may happen besides orders and a store that is busy. */
enum besides { NONE, STOPS, BROKER };

static void play(unsigned seed, enum besides besides)
{
	memset(&world, 0, sizeof(world));
	world.seed = seed;
	world.now_ns = SECOND_NS;
	world.broker = true;
	start(0);
	/* Without a broker two of them cannot know of each other. */
	if (besides != BROKER)
		start(1);
	for (int i = 0; i < 30; i++) {
		int which = chance(PRUNERS);
		world.failing = chance(3) == 0 ? 100 : chance(50);
		pass(chance(2) == 0 ? chance(1000) * (SECOND_NS / 1000)
				    : chance(100) * SECOND_NS);
		if (chance(2) == 0)
			post((enum kind)chance(KINDS));
		if (besides == BROKER)
			broker_is(chance(2) == 0);
		if (besides != STOPS || chance(5) != 0)
			continue;
		world.failing = 0;
		if (world.at[0].pruner != NULL && world.at[1].pruner != NULL)
			stop(which);
	}
	world.failing = 0;
	broker_is(true);
	pass(300 * SECOND_NS);
	for (int i = 0; i < world.posted; i++) {
		if (world.answers[i] != world.heard[i])
			fail_msg("seed %u: order %d (dry_run %d) was answered %d times",
				seed, i, world.dry_run[i], world.answers[i]);
	}
	for (int i = 0; i < PRUNERS; i++) {
		if (world.at[i].pruner != NULL)
			stop(i);
		assert_null(world.at[i].pruner);
	}
}

static void play_many(enum besides besides)
{
	for (unsigned seed = 1; seed <= 300; seed++)
		play(seed, besides);
}

static void test_every_order_is_answered_once_whatever_the_store_does(void **state)
{
	(void)state;
	play_many(NONE);
}

static void test_also_when_one_of_two_pruners_stops(void **state)
{
	(void)state;
	play_many(STOPS);
}

static void test_also_when_the_broker_comes_and_goes(void **state)
{
	(void)state;
	play_many(BROKER);
}

static void test_an_order_waits_for_a_busy_store_as_what_it_is(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.seed = 1;
	world.now_ns = SECOND_NS;
	world.broker = true;
	start(0);
	pass(60 * SECOND_NS);
	world.failing = 100;
	post(DRY_RUN);
	pass(20 * SECOND_NS);
	assert_int_equal(world.answers[0], 0);
	world.failing = 0;
	pass(20 * SECOND_NS);
	assert_int_equal(world.answers[0], 1);
	stop(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order_is_answered_once_whatever_the_store_does),
		cmocka_unit_test(test_also_when_one_of_two_pruners_stops),
		cmocka_unit_test(test_also_when_the_broker_comes_and_goes),
		cmocka_unit_test(test_an_order_waits_for_a_busy_store_as_what_it_is),
	};
	dp_log_init("test", DP_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
