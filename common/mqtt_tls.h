/*
 * TLS of one connection to a broker, and in words what goes wrong in it. The library says
 * no more than a code, so OpenSSL is asked while it works. Only bus.c and mqtt_connect.c
 * use it: what the files come to is made on the work queue, all else is on the loop.
 */
#ifndef DP_MQTT_TLS_H
#define DP_MQTT_TLS_H

#include <stdbool.h>

#include <openssl/types.h>

#include "tls_files.h"

#define DP_MQTT_TLS_WORDS 288

/** Of one attempt; lives as long as its connection. All zero at first. */
struct dp_mqtt_tls {
	const char *host; /**< whom the broker's certificate must be for */
	const struct dp_tls_files *files;
	char ours[64];	  /**< whose our certificate is; empty: we have none */
	char doubts[200]; /**< why the broker may refuse it, as far as we can see */
	SSL *ssl;	  /**< ours as well as the library's; NULL: nobody answers */
	bool spoke;	  /**< the broker has answered in TLS */
	bool finished;	  /**< the handshake, as far as we can see */
	char words[DP_MQTT_TLS_WORDS]; /**< what went wrong first */
};

/**
 * Read the files and make what the connection is encrypted with.
 * @return a context for the library, which the caller frees; NULL: dp_mqtt_tls_fault()
 *         says why
 */
SSL_CTX *dp_mqtt_tls_begin(
	struct dp_mqtt_tls *tls, const char *host, const struct dp_tls_files *files);

/** TCP is connected: the handshake begins, of which each step is noted. */
void dp_mqtt_tls_connected(struct dp_mqtt_tls *tls, SSL *ssl);

/**
 * Why there is no connection, once it is lost before the broker has answered to CONNECT.
 * @param fd  another descriptor of its socket, for the library closes its own; -1: none
 * @return NULL: it is not about TLS, which has not begun
 */
const char *dp_mqtt_tls_fault(struct dp_mqtt_tls *tls, int fd);

/** The connection is gone; what was said of it stays. */
void dp_mqtt_tls_end(struct dp_mqtt_tls *tls);

#endif
