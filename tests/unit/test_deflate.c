/* Payloads deflated and inflated: what is damaged is never taken for something else. */
#include "deflate.h"
#include "support.h"

#define ZLIB_CONST
#include <zlib.h>

#define MOST 262144

static struct dp_deflater deflater;
static struct dp_inflater inflater;

static int setup(void **state)
{
	(void)state;
	return dp_deflater_init(&deflater);
}

static int teardown(void **state)
{
	(void)state;
	dp_deflater_finish(&deflater);
	dp_inflater_finish(&inflater);
	return 0;
}

/* A batch of n readings. @return its length */
static size_t batch(char *text, size_t size, unsigned n, uint64_t *random)
{
	size_t len = 0;
	for (unsigned i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, size - len,
			"%c{\"bn\":\"climate/\",\"bt\":%u.%06u,\"n\":\"temperature\",\"u\":"
			"\"Cel\",\"v\":2%u.%u},{\"n\":\"humidity\",\"u\":\"%%RH\",\"v\":52."
			"%u}",
			i == 0 ? '[' : ',', 1732312345 + 2 * i,
			(unsigned)random_below(random, 1000000),
			(unsigned)random_below(random, 2),
			(unsigned)random_below(random, 10),
			(unsigned)random_below(random, 10));
		assert_true(len < size - 1);
	}
	text[len++] = ']';
	return len;
}

static int inflate_some(const void *at, size_t len, const char **why)
{
	*why = NULL;
	return dp_inflate(&inflater, at, len, MOST, why);
}

static void assert_inflates_to(
	const void *at, size_t len, const char *expected, size_t expected_len)
{
	const char *why;
	assert_int_equal(inflate_some(at, len, &why), 0);
	assert_int_equal(inflater.len, expected_len);
	assert_memory_equal(inflater.at, expected, expected_len);
}

static void test_what_is_deflated_is_inflated(void **state)
{
	(void)state;
	static char text[MOST], deflated[MOST];
	uint64_t random = 3;
	/* One after the other with the same memory, in any order of sizes. */
	static const unsigned sizes[] = {1, 30, 1000, 2, 1000, 1, 150};
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		size_t len = batch(text, sizeof(text), sizes[i], &random);
		size_t n = dp_deflate(&deflater, text, len, deflated, len);
		assert_in_range(n, 1, sizes[i] < 30 ? len : len / 6);
		assert_inflates_to(deflated, n, text, len);
	}
}

static void test_what_another_zlib_writes_is_inflated(void **state)
{
	(void)state;
	static char text[MOST];
	static Bytef deflated[MOST];
	uint64_t random = 4;
	size_t len = batch(text, sizeof(text), 2000, &random);
	for (int level = 0; level <= 9; level++) {
		uLongf n = sizeof(deflated);
		assert_int_equal(
			compress2(deflated, &n, (const Bytef *)text, len, level), Z_OK);
		assert_inflates_to(deflated, n, text, len);
	}
}

static void test_there_is_nothing_to_gain_from_noise(void **state)
{
	(void)state;
	unsigned char noise[512], deflated[512];
	uint64_t random = 5;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)random_below(&random, 256);
	assert_int_equal(
		dp_deflate(&deflater, noise, sizeof(noise), deflated, sizeof(noise)), 0);
	/* It is none the worse for it. */
	memset(noise, 'a', sizeof(noise));
	size_t n = dp_deflate(&deflater, noise, sizeof(noise), deflated, sizeof(noise));
	assert_in_range(n, 1, 30);
	assert_inflates_to(deflated, n, (const char *)noise, sizeof(noise));
	assert_int_equal(dp_deflate(&deflater, noise, sizeof(noise), deflated, n - 1), 0);
}

static void test_what_is_cut_anywhere_is_refused(void **state)
{
	(void)state;
	char text[8192], deflated[8192];
	const char *why;
	uint64_t random = 6;
	size_t len = batch(text, sizeof(text), 5, &random);
	size_t n = dp_deflate(&deflater, text, len, deflated, sizeof(deflated));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(inflate_some(deflated, i, &why), -EBADMSG);
		assert_string_equal(why, "the deflated payload is cut short");
	}
	assert_inflates_to(deflated, n, text, len);
}

static void test_a_bit_that_is_wrong_is_never_a_wrong_payload(void **state)
{
	(void)state;
	char text[8192], deflated[8192];
	const char *why;
	uint64_t random = 7;
	size_t len = batch(text, sizeof(text), 5, &random), refused = 0;
	size_t n = dp_deflate(&deflater, text, len, deflated, sizeof(deflated));
	for (size_t bit = 0; bit < 8 * n; bit++) {
		deflated[bit / 8] ^= (char)(1 << bit % 8);
		int err = inflate_some(deflated, n, &why);
		if (err == 0) {
			/* Of no meaning: what fills the last byte. */
			assert_int_equal(inflater.len, len);
			assert_memory_equal(inflater.at, text, len);
		} else {
			assert_true(err == -EBADMSG || err == -EMSGSIZE);
			assert_non_null(why);
			refused++;
		}
		deflated[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_true(refused + 8 > 8 * n);
	assert_inflates_to(deflated, n, text, len);
}

static void test_noise_is_refused(void **state)
{
	(void)state;
	unsigned char noise[300] = {0};
	const char *why;
	uint64_t random = 8;
	for (unsigned i = 0; i < 5000; i++) {
		size_t len = random_below(&random, sizeof(noise));
		for (size_t k = 0; k < len; k++)
			noise[k] = (unsigned char)random_below(&random, 256);
		/* Half of them begin as they should. */
		if (i % 2 == 0 && len >= 2)
			memcpy(noise, "\x78\x9c", 2);
		assert_int_equal(inflate_some(noise, len, &why), -EBADMSG);
		assert_non_null(why);
	}
}

static void test_what_follows_is_refused(void **state)
{
	(void)state;
	char deflated[64];
	const char *why;
	size_t n = dp_deflate(&deflater, "[1]", 3, deflated, sizeof(deflated));
	assert_inflates_to(deflated, n, "[1]", 3);
	deflated[n] = '\n';
	assert_int_equal(inflate_some(deflated, n + 1, &why), -EBADMSG);
	assert_string_equal(why, "something follows the deflated payload");
}

static void test_a_dictionary_is_refused(void **state)
{
	(void)state;
	Bytef deflated[64] = {0};
	const char *why;
	z_stream z = {.next_in = (const Bytef *)"climate",
		.avail_in = 7,
		.next_out = deflated,
		.avail_out = sizeof(deflated)};
	assert_int_equal(deflateInit(&z, 9), Z_OK);
	assert_int_equal(deflateSetDictionary(&z, (const Bytef *)"climate", 7), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(inflate_some(deflated, z.total_out, &why), -EBADMSG);
	assert_string_equal(why, "the deflated payload needs a dictionary");
	deflateEnd(&z);
}

static void test_no_more_than_is_allowed_is_inflated(void **state)
{
	(void)state;
	static char zeros[64 << 20];
	static Bytef deflated[1 << 20];
	static const size_t sizes[] = {
		MOST - 1, MOST, MOST + 1, (size_t)2 * MOST, sizeof(zeros)};
	const char *why;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		uLongf n = sizeof(deflated);
		assert_int_equal(
			compress2(deflated, &n, (const Bytef *)zeros, sizes[i], 9), Z_OK);
		if (sizes[i] <= MOST) {
			assert_inflates_to(deflated, n, zeros, sizes[i]);
			continue;
		}
		assert_int_equal(inflate_some(deflated, n, &why), -EMSGSIZE);
		assert_string_equal(why, "larger than MAX_MESSAGE_BYTES when inflated");
		assert_int_equal(inflater.size, MOST + 1);
	}
	size_t n = dp_deflate(&deflater, "[1]", 3, deflated, sizeof(deflated));
	assert_inflates_to(deflated, n, "[1]", 3);
}

/* What cannot be had is asked for below, and not the end of the test. */
/* NOLINTBEGIN(bugprone-reserved-identifier): the sanitizer's own name */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}
/* NOLINTEND(bugprone-reserved-identifier) */

static void test_without_memory_nothing_is_left_half_made(void **state)
{
	(void)state;
	char deflated[64];
	const char *why = NULL;
	size_t n = dp_deflate(&deflater, "[1]", 3, deflated, sizeof(deflated));
	assert_int_equal(dp_inflate(&inflater, deflated, n, SIZE_MAX / 4, &why), -ENOMEM);
	assert_null(why);
	assert_null(inflater.at);
	assert_inflates_to(deflated, n, "[1]", 3);
}

#define WITH_BOTH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_what_is_deflated_is_inflated),
		WITH_BOTH(test_what_another_zlib_writes_is_inflated),
		WITH_BOTH(test_there_is_nothing_to_gain_from_noise),
		WITH_BOTH(test_what_is_cut_anywhere_is_refused),
		WITH_BOTH(test_a_bit_that_is_wrong_is_never_a_wrong_payload),
		WITH_BOTH(test_noise_is_refused),
		WITH_BOTH(test_what_follows_is_refused),
		WITH_BOTH(test_a_dictionary_is_refused),
		WITH_BOTH(test_no_more_than_is_allowed_is_inflated),
		WITH_BOTH(test_without_memory_nothing_is_left_half_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
