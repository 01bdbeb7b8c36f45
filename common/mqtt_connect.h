/*
 * A connection is made on the work queue, as libmosquitto resolves names and waits for TCP
 * in one call. Only bus.c uses it.
 */
#ifndef DP_MQTT_CONNECT_H
#define DP_MQTT_CONNECT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <mosquitto.h>
#include <uv.h>

#include "mqtt_tls.h"
#include "url.h"

#define DP_MQTT_CONNECT_MS 10000
#define DP_MQTT_NUDGE_MS 200

struct dp_mqtt_connect {
	/* The caller's; from dp_mqtt_connect_begin() to `done` nobody else touches mosq. */
	struct mosquitto *mosq;
	const struct dp_mqtt_url *url;
	const struct dp_tls_files *files; /**< for mqtts:// */
	uint32_t session_expiry_s;
	int keepalive_s; /* 0: 30 */
	void *data;
	/**
	 * On the loop's thread. @param code  of libmosquitto; MOSQ_ERR_TLS: a file is bad
	 * @param error  errno where the code is MOSQ_ERR_ERRNO
	 */
	void (*done)(void *data, int code, int error);
	/* Its own. */
	uv_work_t work;
	int code, error;
	struct dp_mqtt_tls tls; /**< of the connection, also after `done` */
	int64_t since_ms;
	pthread_t worker;
	atomic_int worker_state; /* 0 not yet in connect, 1 in it, 2 done */
};

/** Once in a process, before the first connection; more often is harmless. */
void dp_mqtt_connect_prepare(void);

/** Start; `done` is called in any case. */
void dp_mqtt_connect_begin(struct dp_mqtt_connect *connect, uv_loop_t *loop);

/**
 * To be called each DP_MQTT_NUDGE_MS until `done`: connect() waits two minutes for a host
 * that drops packets, and a signal ends it, after DP_MQTT_CONNECT_MS or when `hurry` is
 * set. The signal may arrive just before the system call, so it is sent again until it is
 * heard.
 */
void dp_mqtt_connect_nudge(struct dp_mqtt_connect *connect, uv_loop_t *loop, bool hurry);

#endif
