/* The messages that wait to be stored, in their order: services/ingest/incoming.h */
#include "incoming_message.h"

static void test_a_list_is_freed_as_a_whole(void **state)
{
	(void)state;
	const struct dp_bus_message message = native_message();
	struct incoming *list = NULL;
	for (int i = 0; i < 10; i++) {
		struct incoming *in = copy(&message, i % 2 == 0);
		in->next = list;
		list = in;
	}
	incoming_free(list);
	incoming_free(NULL);
}

/* The queue's messages in order: p plain, n native; its bytes are theirs. */
static void assert_queue(const struct queue *queue, const char *expected)
{
	char text[64];
	size_t n = 0, bytes = 0;
	for (const struct incoming *in = queue->first; in != NULL; in = in->next) {
		assert_true(n < sizeof(text) - 1);
		text[n++] = in->plain ? 'p' : 'n';
		bytes += incoming_size(in);
	}
	text[n] = '\0';
	assert_string_equal(text, expected);
	assert_int_equal(queue->bytes, bytes);
	assert_null(*queue->end);
}

static void add_all(struct queue *queue, const char *kinds)
{
	const struct dp_bus_message message = native_message();
	for (; *kinds != '\0'; kinds++)
		queue_add(queue, copy(&message, *kinds == 'p'));
}

static void test_a_queue_keeps_its_order_and_counts_its_bytes(void **state)
{
	(void)state;
	struct queue queue;
	queue_init(&queue);
	assert_queue(&queue, "");
	add_all(&queue, "npn");
	assert_queue(&queue, "npn");
	add_all(&queue, "p");
	assert_queue(&queue, "npnp");
	incoming_free(queue.first);
}

static void test_a_queue_is_moved_up_to_a_size(void **state)
{
	(void)state;
	struct queue from, to;
	queue_init(&from);
	queue_move(&from, &to, SIZE_MAX);
	assert_queue(&to, "");
	add_all(&to, "n");
	assert_queue(&to, "n");
	incoming_free(to.first);
	add_all(&from, "pn");
	queue_move(&from, &to, SIZE_MAX);
	assert_queue(&from, "");
	assert_queue(&to, "pn");
	/* Both go on by themselves. */
	add_all(&from, "p");
	add_all(&to, "n");
	assert_queue(&from, "p");
	assert_queue(&to, "pnn");
	incoming_free(to.first);
	incoming_free(from.first);
	queue_init(&from);
	add_all(&from, "nnn");
	size_t one = incoming_size(from.first);
	queue_move(&from, &to, one);
	assert_queue(&to, "n");
	assert_queue(&from, "nn");
	incoming_free(to.first);
	queue_move(&from, &to, one + 1);
	assert_queue(&to, "nn");
	assert_queue(&from, "");
	add_all(&from, "p");
	assert_queue(&from, "p");
	assert_queue(&to, "nn");
	incoming_free(from.first);
	incoming_free(to.first);
}

static void test_a_queue_is_cut_by_number(void **state)
{
	(void)state;
	for (size_t n = 0; n < 6; n++) {
		struct queue queue, rest;
		queue_init(&queue);
		queue_init(&rest);
		add_all(&queue, "pnpnn");
		queue_cut(&queue, n, &rest);
		assert_int_equal(queue.n, n < 5 ? n : 5);
		assert_int_equal(rest.n, n < 5 ? 5 - n : 0);
		/* Together again they are in their order. */
		add_all(&rest, "p");
		queue_prepend(&rest, &queue);
		assert_queue(&rest, "pnpnnp");
		incoming_free(rest.first);
	}
}

static void test_a_message_is_refused_twice_at_most(void **state)
{
	(void)state;
	struct queue queue;
	queue_init(&queue);
	add_all(&queue, "p");
	struct incoming *in = queue.first;
	/* Somebody has cut the words in the middle of a character. */
	assert_true(incoming_refuse(in, "trop chaud: 50 \xc2\xb0\xc2"));
	assert_int_equal(in->refusals, 1);
	assert_string_equal(in->refused, REFUSED ": trop chaud: 50 \xc2\xb0");
	assert_true(incoming_refuse(in, "something else"));
	assert_int_equal(in->refusals, REFUSALS_MAX);
	assert_string_equal(in->refused, REFUSED ": trop chaud: 50 \xc2\xb0");
	assert_false(incoming_refuse(in, "again"));
	assert_int_equal(in->refusals, REFUSALS_MAX);
	queue_forget_plain(&queue);
	assert_queue(&queue, "");
}

static void test_plain_messages_are_forgotten_and_batches_kept(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"", ""}, {"p", ""}, {"n", "n"}, {"ppp", ""},
		{"pnp", "n"}, {"npn", "nn"}, {"nnp", "nn"}, {"pnnppn", "nnn"}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct queue queue;
		char after[16];
		queue_init(&queue);
		add_all(&queue, cases[i][0]);
		queue_forget_plain(&queue);
		assert_queue(&queue, cases[i][1]);
		/* What comes then is behind what was kept. */
		add_all(&queue, "p");
		snprintf(after, sizeof(after), "%sp", cases[i][1]);
		assert_queue(&queue, after);
		incoming_free(queue.first);
	}
}

static void test_results_are_kept_in_order(void **state)
{
	(void)state;
	struct results results = {.n = 0};
	for (uint64_t i = 0; i < 1000; i++) {
		const struct result result = {.range = {.first = i + 1}};
		assert_int_equal(results_add(&results, &result), 0);
	}
	assert_int_equal(results.n, 1000);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(results.at[i].range.first, i + 1);
	free(results.at);
}

static struct incoming *numbered(const char *stream, const char *first, bool plain)
{
	const struct dp_property of[] = {
		{"v", "1"}, {"stream", stream}, {"first", first}, {"count", "1"}};
	struct dp_bus_message message = native_message();
	message.properties = of;
	return copy(&message, plain);
}

/* A queue's messages in the order they stand: a letter for the stream, its number. */
static void test_messages_of_a_stream_are_brought_together_in_order(void **state)
{
	(void)state;
	static const char a[] = "a0000000000000000000000000000000";
	static const char b[] = "b0000000000000000000000000000000";
	static const struct {
		const char *stream, *first;
	} came[] = {{b, "9"}, {a, "5"}, {b, "3"}, {NULL, "1"}, {a, "4"}, {a, "6"}, {b, "1"},
		{NULL, "2"}, {a, "5"}};
	static const struct {
		uint8_t stream; /* 0: a plain message */
		uint64_t first;
	} stand[] = {{0xa0, 5}, {0xa0, 4}, {0xa0, 6}, {0xa0, 5}, {0xb0, 9}, {0xb0, 3},
		{0xb0, 1}, {0, 0}, {0, 0}};
	struct queue queue;
	queue_init(&queue);
	queue_group(&queue);
	assert_ptr_equal(queue.end, &queue.first);
	const struct incoming *plain[2];
	size_t n_plain = 0, i = 0;
	for (i = 0; i < LENGTH(came); i++) {
		struct incoming *in = numbered(came[i].stream != NULL ? came[i].stream : a,
			came[i].first, came[i].stream == NULL);
		if (in->plain)
			plain[n_plain++] = in;
		queue_add(&queue, in);
	}
	size_t bytes = queue.bytes;
	queue_group(&queue);
	assert_int_equal(queue.bytes, bytes);
	i = 0;
	for (const struct incoming *in = queue.first; in != NULL; in = in->next, i++) {
		assert_in_range(i, 0, LENGTH(stand) - 1);
		assert_int_equal(in->identity.stream.bytes[0], stand[i].stream);
		assert_int_equal(in->identity.first, stand[i].first);
		if (in->plain)
			assert_ptr_equal(in, plain[i - 7]);
	}
	assert_int_equal(i, LENGTH(stand));
	queue_add(&queue, numbered(a, "7", false));
	assert_null((*queue.end));
	incoming_free(queue.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_is_freed_as_a_whole),
		cmocka_unit_test(test_a_queue_keeps_its_order_and_counts_its_bytes),
		cmocka_unit_test(test_a_queue_is_moved_up_to_a_size),
		cmocka_unit_test(test_a_queue_is_cut_by_number),
		cmocka_unit_test(test_a_message_is_refused_twice_at_most),
		cmocka_unit_test(test_plain_messages_are_forgotten_and_batches_kept),
		cmocka_unit_test(test_messages_of_a_stream_are_brought_together_in_order),
		cmocka_unit_test(test_results_are_kept_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
