#include "quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CUT "...\""

static bool is_plain(const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._:/+#$@";
	return value[0] != '\0' && value[strspn(value, plain)] == '\0';
}

/* One byte as it stands between quotes: 1 to 4 characters. */
static size_t escape(char byte, char out[5])
{
	unsigned char c = (unsigned char)byte;
	if (c < 0x20 || c > 0x7e)
		return (size_t)snprintf(out, 5, "\\x%02x", c);
	return (size_t)snprintf(out, 5, c == '"' || c == '\\' ? "\\%c" : "%c", c);
}

size_t quote(const char *value, char *out, size_t size)
{
	if (is_plain(value) && strlen(value) < size)
		return (size_t)snprintf(out, size, "%s", value);
	size_t len = 0, whole = 1;
	out[len++] = '"';
	for (const char *at = value; *at != '\0'; at++) {
		char escaped[5];
		size_t n = escape(*at, escaped);
		/* The closing quote and the NUL. */
		if (len + n + 2 > size) {
			memcpy(out + whole, CUT, sizeof(CUT));
			return whole + sizeof(CUT) - 1;
		}
		memcpy(out + len, escaped, n);
		len += n;
		/* Up to here it can be cut. */
		if (len + sizeof(CUT) <= size)
			whole = len;
	}
	out[len++] = '"';
	out[len] = '\0';
	return len;
}
