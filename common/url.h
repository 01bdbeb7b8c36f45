/* mqtt://user:password@host:port and mqtts://...: taken apart; others told apart. Pure. */
#ifndef DP_URL_H
#define DP_URL_H

#include <stdbool.h>

struct dp_mqtt_url {
	bool tls;
	char host[256]; /**< name or address; IPv6 without its brackets */
	int port;	/**< 1883, or 8883 for mqtts, when the URL has none */
	char user[128]; /**< empty when there is none; percent-decoded */
	char password[256];
};

/**
 * @return 0; -EINVAL when it is not such a URL, with *why (a literal) saying
 *         what is wrong
 */
int dp_mqtt_url_parse(const char *text, struct dp_mqtt_url *url, const char **why);

/**
 * Whether only this machine is meant: a loopback address, localhost, or
 * host.docker.internal. Any other name may be another machine's, also one without a dot.
 */
bool dp_mqtt_url_is_here(const struct dp_mqtt_url *url);

/** Whether it begins as the URL of a PostgreSQL database. */
bool dp_url_is_postgres(const char *text);

#endif
