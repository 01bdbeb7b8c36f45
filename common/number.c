#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int dp_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
	/* strtoll would skip leading space and accept a plus sign. */
	if (*text != '-' && !isdigit((unsigned char)*text))
		return -EINVAL;
	char *end = NULL;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (errno == ERANGE || value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int dp_parse_u64(const char *text, uint64_t *out)
{
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	char *end = NULL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (*end != '\0')
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*out = value;
	return 0;
}

int dp_parse_double(const char *text, double *out)
{
	/* Excludes what strtod takes beyond decimals: space, hex, inf and nan. */
	size_t span = strspn(text, "0123456789+-.eE");
	if (span == 0 || text[span] != '\0' || *text == '+')
		return -EINVAL;
	char *end = NULL;
	errno = 0;
	double value = strtod(text, &end);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (!isfinite(value))
		return -ERANGE;
	*out = value;
	return 0;
}

int dp_parse_wait_ms(const char *text, int64_t most_ms, int64_t *out)
{
	int64_t ms = 0;
	int err = strcmp(text, "0") == 0 ? 0 : dp_parse_duration_ms(text, &ms);
	if (err == 0 && ms > most_ms)
		err = -ERANGE;
	if (err == 0)
		*out = ms;
	return err;
}

int dp_parse_duration_ms(const char *text, int64_t *out)
{
	static const struct {
		const char *suffix;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
		{"w", 604800000}, {"y", 31536000000}};
	size_t digits = strspn(text, "0123456789");
	char number[20];
	if (digits == 0)
		return -EINVAL;
	if (digits >= sizeof(number))
		return -ERANGE;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + digits, units[i].suffix) != 0)
			continue;
		int64_t count;
		int err = dp_parse_i64(number, 1, INT64_MAX / units[i].ms, &count);
		if (err == 0)
			*out = count * units[i].ms;
		return err;
	}
	return -EINVAL;
}

size_t dp_format_double(char *buf, double value)
{
	for (int digits = 6; digits <= 17; digits += digits < 15 ? 9 : 1) {
		int n = snprintf(buf, 32, "%.*g", digits, value);
		if (digits == 17 || strtod(buf, NULL) == value)
			return (size_t)n;
	}
	return 0;
}

bool dp_utf8_valid(const char *bytes, size_t len)
{
	const unsigned char *p = (const unsigned char *)bytes;
	const unsigned char *end = p + len;
	while (p < end) {
		unsigned char c = *p++;
		if (c < 0x80)
			continue;
		size_t more;
		uint32_t code, least;
		if ((c & 0xe0) == 0xc0) {
			more = 1, code = c & 0x1fu, least = 0x80;
		} else if ((c & 0xf0) == 0xe0) {
			more = 2, code = c & 0x0fu, least = 0x800;
		} else if ((c & 0xf8) == 0xf0) {
			more = 3, code = c & 0x07u, least = 0x10000;
		} else {
			return false;
		}
		if ((size_t)(end - p) < more)
			return false;
		for (size_t i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			code = code << 6 | (*p & 0x3fu);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return false;
	}
	return true;
}

size_t dp_utf8_cut(const char *text, size_t most)
{
	size_t len = strnlen(text, most);
	/* What begins in the middle of a character, begins before. */
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

void dp_hex_encode(const uint8_t *bytes, size_t n, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int dp_hex_decode(const char *hex, size_t hex_len, uint8_t *bytes, size_t n)
{
	if (hex_len != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex[2 * i]);
		int low = hex_digit(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
