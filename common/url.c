#include "url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "number.h"

static int percent_decode(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			uint8_t byte;
			char hex[2];
			if (len - i < 3)
				return -EINVAL;
			hex[0] = (char)tolower((unsigned char)text[i + 1]);
			hex[1] = (char)tolower((unsigned char)text[i + 2]);
			if (dp_hex_decode(hex, 2, &byte, 1) != 0 || byte == 0)
				return -EINVAL;
			c = (char)byte;
			i += 2;
		}
		if (n + 1 >= size)
			return -EINVAL;
		out[n++] = c;
	}
	out[n] = '\0';
	return 0;
}

static int parse_user(const char *text, size_t len, struct dp_mqtt_url *url)
{
	const char *colon = memchr(text, ':', len);
	size_t user_len = colon == NULL ? len : (size_t)(colon - text);
	int err = percent_decode(text, user_len, url->user, sizeof(url->user));
	if (err == 0 && colon != NULL)
		err = percent_decode(colon + 1, len - user_len - 1, url->password,
			sizeof(url->password));
	return err;
}

int dp_mqtt_url_parse(const char *text, struct dp_mqtt_url *url, const char **why)
{
	*url = (struct dp_mqtt_url){.tls = false};
	*why = "must begin with mqtt:// or mqtts://";
	if (strncmp(text, "mqtt://", 7) == 0)
		text += 7;
	else if (strncmp(text, "mqtts://", 8) == 0)
		text += 8, url->tls = true;
	else
		return -EINVAL;

	size_t len = strlen(text);
	if (len > 0 && text[len - 1] == '/')
		len--;
	const char *at = memrchr(text, '@', len);
	if (at != NULL) {
		*why = "has a malformed or overlong user or password";
		if (parse_user(text, (size_t)(at - text), url) != 0)
			return -EINVAL;
		len -= (size_t)(at + 1 - text);
		text = at + 1;
	}

	const char *host = text;
	size_t host_len = len;
	const char *rest = text + len;
	if (len > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', len);
		*why = "has an IPv6 address without its closing bracket";
		if (close == NULL)
			return -EINVAL;
		host = text + 1;
		host_len = (size_t)(close - host);
		rest = close + 1;
	} else {
		const char *colon = memchr(text, ':', len);
		if (colon != NULL) {
			host_len = (size_t)(colon - text);
			rest = colon;
		}
	}
	*why = "needs a host name or address after ://";
	if (host_len == 0 || host_len >= sizeof(url->host))
		return -EINVAL;
	for (size_t i = 0; i < host_len; i++) {
		if (!isalnum((unsigned char)host[i]) && strchr("-._:%", host[i]) == NULL)
			return -EINVAL;
	}
	memcpy(url->host, host, host_len);

	url->port = url->tls ? 8883 : 1883;
	size_t rest_len = (size_t)(text + len - rest);
	if (rest_len == 0)
		return 0;
	*why = "needs a port from 1 to 65535 after the host, and nothing behind it";
	char digits[8] = "";
	int64_t port;
	if (rest[0] != ':' || rest_len > sizeof(digits))
		return -EINVAL;
	memcpy(digits, rest + 1, rest_len - 1);
	if (dp_parse_i64(digits, 1, 65535, &port) != 0)
		return -EINVAL;
	url->port = (int)port;
	return 0;
}

bool dp_mqtt_url_is_here(const struct dp_mqtt_url *url)
{
	static const char *const names[] = {"localhost", "host.docker.internal"};
	const char *host = url->host;
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_aton(host, &v4) != 0)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(host, names[i]) == 0)
			return true;
	}
	return false;
}

bool dp_url_is_postgres(const char *text)
{
	return strncmp(text, "postgresql://", 13) == 0 ||
	       strncmp(text, "postgres://", 11) == 0;
}
