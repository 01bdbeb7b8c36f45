#include "desk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define RUN_TOPIC "retention/run"
#define REPORT_TOPIC "retention/report"

static void publish(struct desk *desk, const struct dp_bus_message *message)
{
	int err = dp_bus_publish(desk->bus, message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish", "topic=%s error=\"%s\"",
			message->topic, strerror(-err));
}

static void answer(
	struct desk *desk, const struct desk_order *order, const char *text, size_t len)
{
	const struct dp_bus_message message = {.topic = order->response_topic,
		.payload = text,
		.len = len,
		.qos = 1,
		.content_type = "application/json",
		.correlation = order->correlation,
		.correlation_len = order->correlation_len};
	if (*order->response_topic != '\0')
		publish(desk, &message);
}

static void refuse(struct desk *desk, const struct desk_order *order, const char *why)
{
	char text[192];
	int n = snprintf(text, sizeof(text), "{\"error\":\"%s\"}", why);
	dp_log(DP_LOG_WARN, "an order is refused", "topic=%s allowed=\"%s\"", RUN_TOPIC,
		why);
	answer(desk, order, text, (size_t)n);
}

void desk_connected(void *data)
{
	struct desk *desk = data;
	int err = dp_bus_subscribe(desk->bus, RUN_TOPIC);
	if (err != 0)
		dp_log(DP_LOG_WARN, "cannot subscribe", "topic=%s error=\"%s\"", RUN_TOPIC,
			strerror(-err));
}

void desk_message(void *data, const struct dp_bus_message *message)
{
	struct desk *desk = data;
	struct desk_order order = {.correlation_len = 0};
	const char *why;
	/* A retained one would be carried out again at each start. */
	if (message->retain || strcmp(message->topic, RUN_TOPIC) != 0)
		return;
	if (order_may_answer(message->response_topic) &&
		strlen(message->response_topic) < sizeof(order.response_topic))
		snprintf(order.response_topic, sizeof(order.response_topic), "%s",
			message->response_topic);
	if (message->correlation_len <= sizeof(order.correlation)) {
		order.correlation_len = message->correlation_len;
		if (order.correlation_len > 0)
			memcpy(order.correlation, message->correlation,
				order.correlation_len);
	}
	if (order_parse(message->payload, message->len, &order.order, &why) != 0) {
		refuse(desk, &order, why);
		return;
	}
	if (desk->waiting) {
		refuse(desk, &order, "one order at a time; another one waits");
		return;
	}
	desk->next = order;
	desk->waiting = true;
	desk->on_order(desk->data);
}

bool desk_take(struct desk *desk, struct desk_order *out)
{
	bool waited = desk->waiting;
	if (waited)
		*out = desk->next;
	else
		*out = (struct desk_order){.correlation_len = 0};
	desk->waiting = false;
	return waited;
}

void desk_report(struct desk *desk, const struct desk_order *order,
	const struct prune_report *report, const struct order_times *times)
{
	char text[ORDER_REPORT_MAX];
	size_t len = order_report(report, times, text);
	answer(desk, order, text, len);
	const struct dp_bus_message message = {.topic = REPORT_TOPIC,
		.payload = text,
		.len = len,
		.qos = 1,
		.retain = true,
		.content_type = "application/json"};
	if (report->outcome != PRUNE_LOOKED)
		publish(desk, &message);
}
