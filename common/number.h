/* Checked parsing of numbers. Pure. The whole string must be the number. */
#ifndef DP_NUMBER_H
#define DP_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Decimal integer within [min, max]. @return 0, -EINVAL no number, -ERANGE outside */
int dp_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out);

/** Decimal unsigned, digits only. @return 0, -EINVAL, -ERANGE (above UINT64_MAX) */
int dp_parse_u64(const char *text, uint64_t *out);

/** Finite decimal number in the C locale's form. @return 0, -EINVAL, -ERANGE */
int dp_parse_double(const char *text, double *out);

/** `30d`, `1h`, `15m`, `10s`, `250ms`. @return 0 and milliseconds > 0, or -EINVAL, -ERANGE
 */
int dp_parse_duration_ms(const char *text, int64_t *out);

/** The same or `0`, and most_ms at most. @return 0, -EINVAL, -ERANGE */
int dp_parse_wait_ms(const char *text, int64_t most_ms, int64_t *out);

/**
 * Shortest decimal that reads back as the same double.
 * @param buf  at least 32 bytes
 * @return its length
 */
size_t dp_format_double(char *buf, double value);

/** Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool dp_utf8_valid(const char *bytes, size_t len);

/**
 * Bytes of the longest beginning of a well-formed text that has at most `most` bytes and
 * ends with a whole character.
 */
size_t dp_utf8_cut(const char *text, size_t most);

/** Bytes as lower-case hexadecimal; hex has room for 2 * n + 1. */
void dp_hex_encode(const uint8_t *bytes, size_t n, char *hex);

/** Exactly n bytes from exactly 2 * n lower-case digits. @return 0 or -EINVAL */
int dp_hex_decode(const char *hex, size_t hex_len, uint8_t *bytes, size_t n);

#endif
