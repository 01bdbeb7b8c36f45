#include "ingest/postgres/wire.h"

#include "support.h"

static void assert_bytes(const struct wire *wire, const char *bytes, size_t len)
{
	assert_int_equal(wire->len, len);
	assert_memory_equal(wire->at, bytes, len);
}

static void test_fields_are_length_and_value(void **state)
{
	(void)state;
	struct wire wire = {.len = 0};
	wire_int16_field(&wire, 0x0102);
	wire_int32_field(&wire, -2);
	wire_null_field(&wire);
	wire_text_field(&wire, "ab");
	static const char expected[] = "\0\0\0\2\1\2"
				       "\0\0\0\4\377\377\377\376"
				       "\377\377\377\377"
				       "\0\0\0\2ab";
	assert_bytes(&wire, expected, sizeof(expected) - 1);
	free(wire.at);
}

static void test_a_double_is_its_bits(void **state)
{
	(void)state;
	struct wire wire = {.len = 0};
	wire_double_field(&wire, -1.5);
	assert_bytes(&wire, "\0\0\0\10\277\370\0\0\0\0\0\0", 12);
	free(wire.at);
}

static void test_a_time_counts_from_2000(void **state)
{
	(void)state;
	struct wire wire = {.len = 0};
	wire_time_field(&wire, INT64_C(946684800000001));
	assert_bytes(&wire, "\0\0\0\10\0\0\0\0\0\0\0\1", 12);
	wire.len = 0;
	wire_time_field(&wire, INT64_C(946684799999999));
	assert_bytes(&wire, "\0\0\0\10\377\377\377\377\377\377\377\377", 12);
	free(wire.at);
}

static void test_copy_has_a_header_and_an_end(void **state)
{
	(void)state;
	struct wire wire = {.len = 0};
	wire_int16(&wire, 7);
	wire_copy_begin(&wire);
	wire_copy_end(&wire);
	assert_bytes(&wire, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\377\377", 21);
	free(wire.at);
}

static void test_an_array_counts_its_elements(void **state)
{
	(void)state;
	struct wire_array array = {.n = 0};
	wire_array_begin(&array, WIRE_INT8_ARRAY);
	static const char empty[] = "\0\0\0\1\0\0\0\1\0\0\0\24\0\0\0\0\0\0\0\1";
	assert_bytes(&array.wire, empty, sizeof(empty) - 1);
	wire_int64_field(wire_array_next(&array), 5);
	wire_null_field(wire_array_next(&array));
	static const char two[] = "\0\0\0\1\0\0\0\1\0\0\0\24\0\0\0\2\0\0\0\1"
				  "\0\0\0\10\0\0\0\0\0\0\0\5\377\377\377\377";
	assert_bytes(&array.wire, two, sizeof(two) - 1);
	wire_array_begin(&array, WIRE_TEXT_ARRAY);
	assert_int_equal(array.n, 0);
	assert_int_equal(array.wire.at[11], WIRE_TEXT);
	free(array.wire.at);
}

static void test_it_grows(void **state)
{
	(void)state;
	struct wire wire = {.len = 0};
	for (int i = 0; i < 100000; i++)
		wire_int32(&wire, i);
	assert_int_equal(wire.len, 400000);
	assert_memory_equal(wire.at + 399996, "\0\1\206\237", 4);
	free(wire.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_length_and_value),
		cmocka_unit_test(test_a_double_is_its_bits),
		cmocka_unit_test(test_a_time_counts_from_2000),
		cmocka_unit_test(test_copy_has_a_header_and_an_end),
		cmocka_unit_test(test_an_array_counts_its_elements),
		cmocka_unit_test(test_it_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
