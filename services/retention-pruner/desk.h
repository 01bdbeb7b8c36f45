/*
 * The pruner's side of MQTT: orders come in on retention/run, reports go out. All of it on
 * the loop's thread; the struct is the caller's, and only these calls write it.
 */
#ifndef PRUNER_DESK_H
#define PRUNER_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "order.h"

#define DESK_CORRELATION_MAX 256
#define DESK_ORDERS 8

/** An order and who wants to know of it. */
struct desk_order {
	struct order order;
	const char *bad;	  /**< why it is none, to be answered; else NULL */
	uint64_t since_ns;	  /**< uv_hrtime() when it came */
	char response_topic[256]; /**< empty: nobody */
	char correlation[DESK_CORRELATION_MAX];
	size_t correlation_len;
};

/**
 * Every pruner at a store hears every order; the one that has the lease answers, and says
 * so to the others, which keep the order until then: should it be gone, one of them is
 * next.
 */
struct desk {
	struct dp_bus *bus;
	const char *name; /**< of this pruner, to the others */
	bool taken;	  /**< `current` is, and not yet answered */
	struct desk_order current;
	unsigned n; /**< orders that wait */
	struct desk_order next[DESK_ORDERS];
	/** Answers that were due while the broker was away; the oldest give way. */
	unsigned n_unsent;
	struct desk_answer {
		struct desk_order order;
		char text[ORDER_REPORT_MAX];
		size_t len;
	} unsent[DESK_ORDERS];
	/** The last report, when the broker was away; 0 bytes: it is published. */
	char report[ORDER_REPORT_MAX];
	size_t report_len;
	void (*on_order)(void *data);
	void *data;
};

/** Strings outlive the desk. */
struct desk_options {
	const char *url;
	const struct dp_tls_files *tls; /**< as of a bus */
	const char *name;		/**< of this pruner: the client id */
	void (*on_order)(void *data);	/**< one more waits */
	void *data;
};

/** Connect, and keep connecting. Ends the process when there is no memory. */
void desk_open(struct desk *desk, uv_loop_t *loop, const struct desk_options *options);

/** Disconnect. on_order() is not called after this. */
void desk_close(struct desk *desk);

/** @return NULL while orders can come in and reports go out; else what is wrong, in words
 */
const char *desk_health(const struct desk *desk);

/**
 * Take the order that waits, unless one is taken and not answered: it stays at hand until
 * desk_report() or desk_refuse(), however often the run has to be tried.
 * @return what is ordered; nothing special when nobody has ordered anything
 */
struct order desk_take(struct desk *desk);

/** Whether an order is taken and not answered yet. */
bool desk_taken(const struct desk *desk);

/** Whether orders wait to be taken. */
bool desk_waits(const struct desk *desk);

/** Since when the oldest order is not answered, by uv_hrtime(); 0: there is none. */
uint64_t desk_owes_since(const struct desk *desk);

/**
 * Answer the order that was taken, and tell everybody if something was done or is asked.
 */
void desk_report(struct desk *desk, const struct prune_report *report,
	const struct order_times *times);

/** Answer all that was taken or waits: it is not done. Harmless without. */
void desk_refuse(struct desk *desk, const char *why);

/** Forget what was taken and what waits: another pruner answers it. */
void desk_leave(struct desk *desk);

#endif
