/* The pruner's side of MQTT: orders come in on retention/run, reports go out. */
#ifndef PRUNER_DESK_H
#define PRUNER_DESK_H

#include <stdbool.h>
#include <stddef.h>

#include "bus.h"
#include "order.h"

#define DESK_CORRELATION_MAX 256

/** An order and who wants to know of it. */
struct desk_order {
	struct order order;
	char response_topic[256]; /**< empty: nobody */
	char correlation[DESK_CORRELATION_MAX];
	size_t correlation_len;
};

struct desk {
	struct dp_bus *bus;
	bool waiting; /**< an order is there */
	struct desk_order next;
	void (*on_order)(void *data);
	void *data;
};

/** The bus's callbacks, with the desk as their data. */
void desk_connected(void *desk);
void desk_message(void *desk, const struct dp_bus_message *message);

/** Take the order that waits, or an empty one. @return whether one did */
bool desk_take(struct desk *desk, struct desk_order *out);

/** Tell whoever ordered the run, and everybody if something was done or is asked. */
void desk_report(struct desk *desk, const struct desk_order *order,
	const struct prune_report *report, const struct order_times *times);

#endif
