#include "ingest_store.h"

#define READINGS                                                                           \
	"SELECT topic, name, ts, temperature, humidity FROM reading"                       \
	" JOIN sensor ON sensor.id = sensor ORDER BY reading.id"

/* Plain messages are stored by who holds the lease. */
static void open_with_lease(
	void **state, struct store *store, const struct sink_options *options)
{
	store_open_with(state, store, options);
	assert_int_equal(sqlite_store_lease(store->sqlite, &store->fence, NOW_US), 0);
	assert_true(store->fence.held);
}

static void store_plain_bytes(
	struct store *store, const char *topic, const char *payload, size_t len)
{
	assert_int_equal(
		store_commit(store, plain_message(topic, payload, len), NOW_US), 0);
	assert_string_equal(store->answers, "");
}

static void store_plain(struct store *store, const char *payload)
{
	store_plain_bytes(store, "/data/kitchen", payload, strlen(payload));
}

static const struct sink_options defaults = {.print = false};

static void test_the_papers_text_is_stored_with_the_time_it_came(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store, "Temp=24.8\xc2\xb0"
			    "C, Humidity=60.6%");
	assert_db_text(store.path, READINGS, "/data/kitchen||1800000000000000|24.8|60.6");
	assert_db_text(store.path, "SELECT * FROM dht", "1|/data/kitchen|24.8|60.6");
	assert_db_text(store.path, "SELECT clock FROM reading", "0");
	sqlite_store_close(store.sqlite);
}

static void test_a_json_object_is_stored_with_its_own_time(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store, "{\"temperature\":24.8,\"humidity\":60.6,\"time\":1732300001}");
	store_plain(&store, "{\"temperature\":24.9,\"device\":\"esp\"}");
	assert_db_text(store.path, READINGS,
		"/data/kitchen||1732300001000000|24.8|60.6 "
		"/data/kitchen||1800000000000000|24.9|NULL");
	sqlite_store_close(store.sqlite);
}

static void test_senml_is_stored_by_sensor_and_time(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store,
		"[{\"bn\":\"wall/"
		"\",\"n\":\"temperature\",\"u\":\"Cel\",\"v\":1,\"t\":1732300001},"
		"{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":2,\"t\":1732300001},"
		"{\"n\":\"temperature\",\"u\":\"Cel\",\"v\":3,\"t\":-5},"
		"{\"bn\":\"\",\"n\":\"temperature\",\"u\":\"Cel\",\"v\":4}]");
	assert_db_text(store.path, READINGS,
		"/data/kitchen|wall|1732300001000000|1.0|2.0 "
		"/data/kitchen|wall|1799999995000000|3.0|NULL "
		"/data/kitchen||1800000000000000|4.0|NULL");
	sqlite_store_close(store.sqlite);
}

static void test_senml_without_units_is_stored(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store, "[{\"n\":\"count\",\"v\":7}]");
	assert_db_text(store.path, "SELECT v2 FROM reading", "7.0");
	sqlite_store_close(store.sqlite);
}

static void test_the_worth_of_our_clock_is_stored(void **state)
{
	struct store store;
	static const char text[] = "Temp=1", pack[] = "[{\"n\":\"t\",\"u\":\"V\",\"v\":1}]";
	open_with_lease(state, &store, &defaults);
	struct incoming *list =
		plain_message_by(DP_CLOCK_UNSYNCED, "/data/k", text, strlen(text));
	list->next = plain_message_by(DP_CLOCK_GUESSED, "/data/k", pack, strlen(pack));
	assert_int_equal(store_commit(&store, list, NOW_US), 0);
	assert_db_text(store.path, "SELECT clock FROM reading ORDER BY id", "1 2");
	sqlite_store_close(store.sqlite);
}

static void test_the_same_message_twice_is_two_readings(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store, "Temp=1");
	store_plain(&store, "Temp=1");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 2);
	sqlite_store_close(store.sqlite);
}

static void test_what_cannot_be_read_is_a_dead_letter(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store, "hello");
	store_plain(&store, "");
	store_plain(&store, "{\"a\":");
	store_plain(&store, "[{\"n\":\"a\"");
	store_plain(&store, "[]");
	store_plain_bytes(&store, "/data/k", "Temp=1\xff", 7);
	store_plain_bytes(&store, "/data/k", "\xff", 1);
	assert_db_text(store.path,
		"SELECT topic, bytes, hex(payload), reason FROM dead_letter",
		"/data/kitchen|5|68656C6C6F|neither JSON nor name=value, comma-separated "
		"/data/kitchen|0||neither JSON nor a short text of name=value "
		"/data/kitchen|5|7B2261223A|not valid JSON "
		"/data/kitchen|9|5B7B226E223A226122|not valid JSON "
		"/data/kitchen|2|5B5D|the pack is empty "
		"/data/k|7|54656D703D31FF|not UTF-8 /data/k|1|FF|not UTF-8");
	assert_db_text(store.path, "SELECT DISTINCT stream, seq, ts FROM dead_letter",
		"NULL|NULL|1800000000000000");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 0);
	assert_int_equal(sqlite_store_counts(store.sqlite)->dead_letters, 7);
	sqlite_store_close(store.sqlite);
}

static void test_a_topic_is_at_most_1024_bytes_long(void **state)
{
	struct store store;
	static char topic[1026 + 1] = "/data/";
	open_with_lease(state, &store, &defaults);
	memset(topic + 6, 'x', 1024 - 6);
	store_plain_bytes(&store, topic, "{\"temperature\":1}", 17);
	topic[1024] = 'y';
	store_plain_bytes(&store, topic, "{\"temperature\":2}", 17);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1);
	assert_db_text(store.path, "SELECT reason, length(topic) FROM dead_letter",
		"the topic is longer than 1024 bytes|1024");
	sqlite_store_close(store.sqlite);
}

static void test_a_bad_reading_of_a_pack_does_not_spoil_the_others(void **state)
{
	struct store store;
	open_with_lease(state, &store, &defaults);
	store_plain(&store, "[{\"bn\":\"a/\",\"n\":\"t\",\"u\":\"V\",\"v\":1},"
			    "{\"bn\":\"b/\",\"n\":\"t\",\"v\":\"x\"},"
			    "{\"bn\":\"c/\",\"n\":\"t\",\"u\":\"V\",\"v\":3}]");
	assert_db_text(store.path, "SELECT name FROM sensor ORDER BY id", "a c");
	assert_db_text(store.path, "SELECT CAST(payload AS TEXT) FROM dead_letter",
		"[{\"bn\":\"b/\",\"n\":\"t\",\"v\":\"x\"}]");
	sqlite_store_close(store.sqlite);
}

static void test_an_oversized_message_is_a_dead_letter_with_its_beginning(void **state)
{
	struct store store;
	const struct sink_options options = {.max_message_bytes = 8};
	open_with_lease(state, &store, &options);
	store_plain(&store, "Temp=1.5");
	store_plain(&store, "Temp=1.55");
	assert_db_text(store.path,
		"SELECT bytes, CAST(payload AS TEXT), reason FROM dead_letter",
		"9|Temp=1.5|larger than MAX_MESSAGE_BYTES");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1);
	sqlite_store_close(store.sqlite);
}

/* A list of a plain message and a batch. */
static struct incoming *both(void)
{
	struct incoming *list = plain_message("/data/kitchen", "Temp=1", 6);
	list->next = batch_message(&(struct batch){.first = 1, .count = 1});
	return list;
}

static void test_without_the_lease_plain_messages_are_left_out(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_int_equal(store_commit(&store, both(), NOW_US), 0);
	assert_string_equal(store.answers, "#1 stored 1+1");
	assert_false(store.fence.held);
	assert_db_text(store.path, "SELECT topic FROM sensor", "/data/n");
	sqlite_store_close(store.sqlite);
}

/* Another replica has seen for a ttl that the holder's lock stands still. */
static void take_from_frozen(struct store *other)
{
	other->fence.holder = "other";
	assert_int_equal(sqlite_store_lease(other->sqlite, &other->fence, NOW_US), 0);
	assert_false(other->fence.held);
	other->fence.seen_ns -= other->fence.ttl_us * 1000 + 1;
	assert_int_equal(sqlite_store_lease(other->sqlite, &other->fence, NOW_US), 0);
	assert_true(other->fence.held);
}

static void test_a_holder_that_was_frozen_stores_nothing_when_it_wakes_up(void **state)
{
	struct store frozen, other;
	open_with_lease(state, &frozen, &defaults);
	store_open(state, &other);
	take_from_frozen(&other);
	/* It believes that it holds the lease; the database knows better. */
	assert_true(frozen.fence.held);
	assert_int_equal(store_commit(&frozen, both(), NOW_US), 0);
	assert_string_equal(frozen.answers, "#1 stored 1+1");
	assert_false(frozen.fence.held);
	assert_int_equal(store_commit(&other, both(), NOW_US), 0);
	assert_true(other.fence.held);
	assert_db_text(frozen.path, "SELECT topic FROM sensor ORDER BY id",
		"/data/n /data/kitchen");
	sqlite_store_close(frozen.sqlite);
	sqlite_store_close(other.sqlite);
}

static void test_an_earlier_holding_of_the_same_name_counts_no_more(void **state)
{
	struct store first, other;
	open_with_lease(state, &first, &defaults);
	store_open(state, &other);
	take_from_frozen(&other);
	assert_int_equal(sqlite_store_release(other.sqlite, &other.fence), 0);
	other.fence.holder = first.fence.holder;
	assert_int_equal(sqlite_store_lease(other.sqlite, &other.fence, NOW_US), 0);
	assert_int_equal(other.fence.number, 3);
	/* The holder is called as before, and is another one. */
	assert_int_equal(store_commit(&first, both(), NOW_US), 0);
	assert_string_equal(first.answers, "#1 stored 1+1");
	assert_false(first.fence.held);
	sqlite_store_close(first.sqlite);
	sqlite_store_close(other.sqlite);
}

static void test_a_released_lease_is_taken_by_another_at_once(void **state)
{
	struct store first, second;
	open_with_lease(state, &first, &defaults);
	store_open(state, &second);
	second.fence.holder = "other";
	assert_int_equal(sqlite_store_lease(second.sqlite, &second.fence, NOW_US), 0);
	assert_false(second.fence.held);
	assert_int_equal(sqlite_store_release(first.sqlite, &first.fence), 0);
	assert_int_equal(sqlite_store_lease(second.sqlite, &second.fence, NOW_US), 0);
	assert_true(second.fence.held);
	sqlite_store_close(first.sqlite);
	sqlite_store_close(second.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_the_papers_text_is_stored_with_the_time_it_came),
		IN_DIRECTORY(test_a_json_object_is_stored_with_its_own_time),
		IN_DIRECTORY(test_senml_is_stored_by_sensor_and_time),
		IN_DIRECTORY(test_senml_without_units_is_stored),
		IN_DIRECTORY(test_the_worth_of_our_clock_is_stored),
		IN_DIRECTORY(test_the_same_message_twice_is_two_readings),
		IN_DIRECTORY(test_what_cannot_be_read_is_a_dead_letter),
		IN_DIRECTORY(test_a_topic_is_at_most_1024_bytes_long),
		IN_DIRECTORY(test_a_bad_reading_of_a_pack_does_not_spoil_the_others),
		IN_DIRECTORY(test_an_oversized_message_is_a_dead_letter_with_its_beginning),
		IN_DIRECTORY(test_without_the_lease_plain_messages_are_left_out),
		IN_DIRECTORY(test_a_holder_that_was_frozen_stores_nothing_when_it_wakes_up),
		IN_DIRECTORY(test_an_earlier_holding_of_the_same_name_counts_no_more),
		IN_DIRECTORY(test_a_released_lease_is_taken_by_another_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
