/* Streams from before the node was renamed: services/publisher/uplink/ungranted. */
#include "publisher/uplink/ungranted.h"
#include "uplink_owner.h"

#define NAME_REFUSED 0x87

struct world {
	struct owner *owner;
	struct stream *old[2], *own;
};

static struct owner *begin(struct world *world)
{
	struct publisher_config config = test_config("");
	struct owner *owner = open_uplink(&config);
	*world = (struct world){.owner = owner,
		.old = {owner->stream, add_stream(&owner->streams, 2)},
		.own = add_stream(&owner->streams, 3)};
	for (size_t i = 0; i < LENGTH(world->old); i++)
		snprintf(world->old[i]->node, sizeof(world->old[i]->node), "old");
	world->old[1]->heard_low = world->own->heard_low = 1;
	return owner;
}

/* What was sent since, as `topic first+count ` of each batch. */
static void assert_sent(const char *expected)
{
	char text[512] = "";
	for (size_t i = 0; i < fake_bus.n; i++) {
		const struct fake_sent *sent = &fake_bus.sent[i];
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s %d+%d ", sent->topic,
			(int)sent->identity.first, (int)sent->identity.count);
	}
	fake_bus_clear();
	assert_string_equal(text, expected);
}

static void send_all(struct world *world)
{
	uplink_send(&world->owner->uplink, false);
}

static void refuse(const char *topic, int reason)
{
	fake_bus.options.on_refused(fake_bus.options.data, topic, reason);
}

static void answer(struct world *world, uint64_t first, uint64_t count)
{
	answer_taking(world->owner, DP_ACK_STORED, first, count, false);
}

/* Both old streams and the new one have sent, and the old name is refused. */
static struct owner *begin_refused(struct world *world)
{
	struct owner *owner = begin(world);
	add_live(world->old[0], 1, 2, 0);
	add_live(world->old[1], 1, 3, 0);
	add_live(world->own, 1, 4, 0);
	send_all(world);
	assert_sent("/data/old/batch 1+2 /data/old/batch 1+3 /data/pi/batch 1+4 ");
	refuse("/data/old/batch", NAME_REFUSED);
	return owner;
}

static int64_t pause_ms(const struct world *world)
{
	return world->old[0]->uplink.ungranted_until_ms -
	       (int64_t)uv_now(&world->owner->loop);
}

static void end_pause(struct world *world)
{
	for (size_t i = 0; i < LENGTH(world->old); i++)
		world->old[i]->uplink.ungranted_until_ms = 0;
}

static void test_a_refused_name_holds_up_no_other(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin_refused(&world);
	/* Nobody will answer them: they do not fill the window, nor time out. */
	assert_int_equal(uplink_in_flight(&owner->uplink), 1);
	assert_true(uplink_has_in_flight(&owner->uplink, world.own, 4));
	add_live(world.own, 5, 5, 0);
	add_live(world.old[1], 4, 4, 0);
	send_all(&world);
	assert_sent("/data/pi/batch 5+1 ");
	assert_int_equal(world.old[0]->n_live + world.old[1]->n_live, 6);
	const char *health = uplink_health(&owner->uplink);
	assert_non_null(health);
	assert_non_null(strstr(health, "make provision-node NODE=pi WAS=old"));
	assert_true(uplink_deadline(&owner->uplink) < INT64_MAX);
	close_uplink(owner);
}

static void test_one_message_asks_again_and_less_and_less_often(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin_refused(&world);
	int64_t last_ms = pause_ms(&world);
	assert_in_range(last_ms, 1, 10000);
	/* The rest of the volley says nothing new. */
	refuse("/data/old/batch", NAME_REFUSED);
	assert_int_equal(pause_ms(&world), last_ms);
	for (int i = 0; i < 8; i++) {
		end_pause(&world);
		send_all(&world);
		assert_sent("/data/old/batch 1+1 ");
		send_all(&world);
		assert_sent("");
		refuse("/data/old/batch", NAME_REFUSED);
	}
	assert_true(pause_ms(&world) > 20 * last_ms);
	assert_in_range(pause_ms(&world), 1, 400000);
	close_uplink(owner);
}

static void test_an_answer_grants_the_name_to_all_its_streams(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin_refused(&world);
	end_pause(&world);
	send_all(&world);
	assert_sent("/data/old/batch 1+1 ");
	answer(&world, 1, 1);
	assert_null(uplink_health(&owner->uplink));
	send_all(&world);
	assert_sent("/data/old/batch 2+1 /data/old/batch 1+3 ");
	/* Refused once more later: it is said again. */
	refuse("/data/old/batch", NAME_REFUSED);
	assert_non_null(uplink_health(&owner->uplink));
	assert_in_range(pause_ms(&world), 1, 10000);
	close_uplink(owner);
}

/* What the centre takes later is not sent sooner because its name is granted, or asked for.
 */
static void test_what_the_centre_postponed_waits_for_both(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin(&world);
	add_live(world.old[0], 1, 2, 0);
	add_live(world.old[1], 1, 3, 0);
	send_all(&world);
	assert_sent("/data/old/batch 1+2 /data/old/batch 1+3 ");
	owner->stream = world.old[1];
	answer_taking(owner, DP_ACK_LATER, 1, 3, false);
	refuse("/data/old/batch", NAME_REFUSED);
	owner->stream = world.old[0];
	fake_bus_set_up(false);
	fake_bus_set_up(true);
	send_all(&world);
	assert_sent("/data/old/batch 1+1 ");
	answer(&world, 1, 1);
	assert_null(uplink_health(&owner->uplink));
	send_all(&world);
	assert_sent("/data/old/batch 2+1 ");
	assert_in_range(uplink_deadline(&owner->uplink), 1, INT64_MAX - 1);
	/* And the other way round: a refusal holds up what the centre would take again. */
	refuse("/data/old/batch", NAME_REFUSED);
	world.old[1]->uplink.parked_until_ms = 0;
	send_all(&world);
	assert_sent("");
	end_pause(&world);
	send_all(&world);
	assert_int_equal(fake_bus.n, 1);
	close_uplink(owner);
}

static void test_a_new_connection_asks_at_once(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin_refused(&world);
	fake_bus_set_up(false);
	fake_bus_set_up(true);
	send_all(&world);
	assert_sent("/data/old/batch 1+1 /data/pi/batch 1+4 ");
	assert_non_null(uplink_health(&owner->uplink));
	close_uplink(owner);
}

/* A refusal is the broker's answer: it is wanted, also where answers may take time. */
static void test_the_broker_answers_who_asks(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin_refused(&world);
	owner->config.metered = true;
	owner->config.answer_ms = 10000;
	/* The centre answers, so that others may take their time. */
	owner->stream = world.own;
	answer(&world, 1, 4);
	for (int i = 0; i < 3; i++) {
		end_pause(&world);
		send_all(&world);
		assert_true(fake_bus.n > 0);
		assert_int_equal(fake_bus.sent[0].qos, 1);
		assert_int_equal(fake_bus.sent[0].identity.wait_ms, 0);
		assert_sent("/data/old/batch 1+1 ");
		refuse("/data/old/batch", NAME_REFUSED);
	}
	close_uplink(owner);
}

/* The page of a refused stream gives way to those of others, also while one asks. */
static void test_a_page_of_a_refused_stream_gives_way(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin(&world);
	owner->config.batch_size = 2;
	assert_int_equal(dp_intervals_add(&world.old[0]->stored, 1, 6), 0);
	assert_int_equal(dp_intervals_add(&world.own->stored, 1, 6), 0);
	const struct outbox_page page = page_of(1, 6);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.old[0]);
	uplink_page(&owner->uplink, world.old[0], &page);
	send_all(&world);
	assert_int_equal(fake_bus.n, 3);
	fake_bus_clear();
	refuse("/data/old/batch", NAME_REFUSED);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.own);
	end_pause(&world);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.old[0]);
	uplink_page(&owner->uplink, world.old[0], &page);
	send_all(&world);
	assert_sent("/data/old/batch 1+1 ");
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.own);
	assert_set(&world.old[0]->stored, "1-6");
	close_uplink(owner);
}

/* Nothing of the page is in flight: it is another stream of its name that was refused. */
static void test_a_page_gives_way_when_another_of_its_name_is_refused(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin(&world);
	assert_int_equal(dp_intervals_add(&world.old[0]->stored, 1, 6), 0);
	assert_int_equal(dp_intervals_add(&world.own->stored, 1, 6), 0);
	const struct outbox_page page = page_of(1, 6);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.old[0]);
	uplink_page(&owner->uplink, world.old[0], &page);
	refuse("/data/old/batch", NAME_REFUSED);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.own);
	close_uplink(owner);
}

/* What waits to be granted does not make the rest a message's worth. */
static void test_what_is_refused_hurries_nothing(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin(&world);
	owner->config.spill_after_ms = 0;
	pacing_init(&owner->uplink.sender.pacing, 10000, 0);
	assert_int_equal(dp_intervals_add(&world.old[0]->stored, 1, 600), 0);
	assert_int_equal(dp_intervals_add(&world.own->stored, 1, 1), 0);
	refuse("/data/old/batch", NAME_REFUSED);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.own);
	const struct outbox_page page = page_of(1, 1);
	uplink_page(&owner->uplink, world.own, &page);
	send_all(&world);
	assert_sent("/data/pi/batch 1+1 ");
	assert_int_equal(dp_intervals_add(&world.own->stored, 2, 2), 0);
	assert_null(uplink_wants(&owner->uplink).stream);
	assert_int_equal(dp_intervals_add(&world.own->stored, 3, 600), 0);
	assert_ptr_equal(uplink_wants(&owner->uplink).stream, world.own);
	close_uplink(owner);
}

/* All that is left of an old stream is that nothing more will come. */
static void last_words_ask(bool metered)
{
	struct world world;
	struct owner *owner = begin(&world);
	if (metered) {
		owner->config.metered = true;
		owner->config.answer_ms = 10000;
		add_live(world.own, 1, 1, 0);
		send_all(&world);
		owner->stream = world.own;
		answer(&world, 1, 1);
		fake_bus_clear();
	}
	for (size_t i = 0; i < LENGTH(world.old); i++) {
		world.old[i]->heard_low = 9;
		world.old[i]->low_due = true;
	}
	send_all(&world);
	assert_int_equal(fake_bus.sent[0].identity.wait_ms, owner->config.answer_ms);
	/* Else a refusal would not be heard. */
	assert_int_equal(fake_bus.sent[0].qos, 1);
	assert_sent("/data/old/batch 9+0 /data/old/batch 9+0 ");
	refuse("/data/old/batch", NAME_REFUSED);
	for (size_t i = 0; i < LENGTH(world.old); i++)
		world.old[i]->uplink.low_at_ms = 0;
	send_all(&world);
	assert_sent("");
	end_pause(&world);
	send_all(&world);
	assert_int_equal(fake_bus.n, 1);
	const struct dp_bus_message heard = {.topic = "ack/old/0123456789abcdef",
		.payload = "{}",
		.len = 2,
		.correlation = fake_bus.sent[0].correlation,
		.correlation_len = fake_bus.sent[0].correlation_len};
	fake_bus.options.on_message(fake_bus.options.data, &heard);
	assert_null(uplink_health(&owner->uplink));
	fake_bus_clear();
	send_all(&world);
	assert_sent("/data/old/batch 9+0 ");
	close_uplink(owner);
}

static void test_a_last_word_asks_and_is_asked_for(void **state)
{
	(void)state;
	last_words_ask(false);
	last_words_ask(true);
}

/* Another reason, or our own name: all pause, as the broker takes nothing. */
static void test_what_is_not_about_the_name_pauses_all(void **state)
{
	(void)state;
	struct world world;
	struct owner *owner = begin(&world);
	add_live(world.own, 1, 1, 0);
	refuse("/data/old/batch", 0x97);
	send_all(&world);
	assert_sent("");
	assert_non_null(strstr(uplink_health(&owner->uplink), "0x97 (quota exceeded)"));
	/* An answer to a command is nobody's readings. */
	close_uplink(owner);
	owner = begin(&world);
	add_live(world.own, 1, 1, 0);
	refuse("answer/_operator/opi", NAME_REFUSED);
	refuse("", NAME_REFUSED);
	assert_null(uplink_health(&owner->uplink));
	send_all(&world);
	assert_sent("/data/pi/batch 1+1 ");
	close_uplink(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_refused_name_holds_up_no_other),
		cmocka_unit_test(test_one_message_asks_again_and_less_and_less_often),
		cmocka_unit_test(test_an_answer_grants_the_name_to_all_its_streams),
		cmocka_unit_test(test_what_the_centre_postponed_waits_for_both),
		cmocka_unit_test(test_a_new_connection_asks_at_once),
		cmocka_unit_test(test_the_broker_answers_who_asks),
		cmocka_unit_test(test_a_page_of_a_refused_stream_gives_way),
		cmocka_unit_test(test_a_page_gives_way_when_another_of_its_name_is_refused),
		cmocka_unit_test(test_what_is_refused_hurries_nothing),
		cmocka_unit_test(test_a_last_word_asks_and_is_asked_for),
		cmocka_unit_test(test_what_is_not_about_the_name_pauses_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
