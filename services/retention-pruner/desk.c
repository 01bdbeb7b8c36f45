#include "desk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "log.h"

#define RUN_TOPIC "retention/run"
#define REPORT_TOPIC "retention/report"
#define ANSWERED_TOPIC "retention/answered"
#define WHICH_MAX (96 + 8 + 256 + DESK_CORRELATION_MAX)

static int publish(struct desk *desk, const struct dp_bus_message *message)
{
	int err = dp_bus_publish(desk->bus, message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish", "topic=%s error=\"%s\"",
			message->topic, strerror(-err));
	return err;
}

static int say(
	struct desk *desk, const struct desk_order *order, const char *text, size_t len)
{
	const struct dp_bus_message message = {.topic = order->response_topic,
		.payload = text,
		.len = len,
		.qos = 1,
		.content_type = "application/json",
		.correlation = order->correlation,
		.correlation_len = order->correlation_len};
	return *order->response_topic != '\0' ? publish(desk, &message) : 0;
}

/* By what the others know an order. @return its length; text: WHICH_MAX bytes */
static size_t which(const struct desk *desk, const struct desk_order *order, char *text)
{
	int n = snprintf(text, WHICH_MAX, "%s %d%d %s ", desk->name, order->order.dry_run,
		order->order.confirm, order->response_topic);
	memcpy(text + n, order->correlation, order->correlation_len);
	return (size_t)n + order->correlation_len;
}

static void answer(
	struct desk *desk, const struct desk_order *order, const char *text, size_t len)
{
	char told[WHICH_MAX];
	struct dp_bus_message message = {
		.topic = ANSWERED_TOPIC, .payload = told, .qos = 1};
	message.len = which(desk, order, told);
	if (say(desk, order, text, len) != -ENOTCONN) {
		publish(desk, &message);
		return;
	}
	/* The broker is away: said when it is back. */
	if (desk->n_unsent == DESK_ORDERS)
		memmove(desk->unsent, desk->unsent + 1,
			--desk->n_unsent * sizeof(desk->unsent[0]));
	struct desk_answer *unsent = &desk->unsent[desk->n_unsent++];
	*unsent = (struct desk_answer){.order = *order, .len = len};
	memcpy(unsent->text, text, len);
}

static void say_unsent(struct desk *desk)
{
	unsigned n = desk->n_unsent;
	desk->n_unsent = 0;
	for (unsigned i = 0; i < n; i++) {
		struct desk_answer answered = desk->unsent[i];
		answer(desk, &answered.order, answered.text, answered.len);
	}
}

static void refuse(struct desk *desk, const struct desk_order *order, const char *why)
{
	char text[ORDER_REPORT_MAX];
	size_t len = order_refusal(why, text);
	dp_log(DP_LOG_WARN, "an order is refused", "topic=%s reason=\"%s\"", RUN_TOPIC,
		why);
	answer(desk, order, text, len);
}

/* The next run, which has another, may be an hour away. */
static void publish_report(struct desk *desk)
{
	const struct dp_bus_message message = {.topic = REPORT_TOPIC,
		.payload = desk->report,
		.len = desk->report_len,
		.qos = 1,
		.retain = true,
		.content_type = "application/json"};
	if (desk->report_len > 0 && publish(desk, &message) != -ENOTCONN)
		desk->report_len = 0;
}

static void on_connect(void *data)
{
	struct desk *desk = data;
	dp_bus_subscribe(desk->bus, RUN_TOPIC);
	dp_bus_subscribe(desk->bus, ANSWERED_TOPIC);
	say_unsent(desk);
	publish_report(desk);
}

static void drop(struct desk *desk, unsigned at)
{
	memmove(desk->next + at, desk->next + at + 1,
		(--desk->n - at) * sizeof(desk->next[0]));
}

/* Whether another pruner speaks of this one: of all but its name. */
static bool same(const struct desk *desk, const struct desk_order *order, const char *told,
	size_t len)
{
	char own[WHICH_MAX];
	size_t name = strlen(desk->name), n = which(desk, order, own) - name;
	return n == len && memcmp(own + name, told, len) == 0;
}

/* Another pruner has answered: what we have of it is over. */
static void note_answered(struct desk *desk, const struct dp_bus_message *message)
{
	const char *told = message->payload;
	const char *behind = message->len > 0 ? memchr(told, ' ', message->len) : NULL;
	size_t name = strlen(desk->name);
	if (behind == NULL ||
		((size_t)(behind - told) == name && memcmp(told, desk->name, name) == 0))
		return;
	size_t len = message->len - (size_t)(behind - told);
	if (desk->taken && same(desk, &desk->current, behind, len)) {
		desk->taken = false;
		return;
	}
	for (unsigned i = 0; i < desk->n; i++) {
		if (same(desk, &desk->next[i], behind, len)) {
			drop(desk, i);
			return;
		}
	}
}

static struct desk_order read_order(const struct dp_bus_message *message)
{
	struct desk_order order = {.since_ns = uv_hrtime()};
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
	if (order_parse(message->payload, message->len, &order.order, &order.bad) == 0)
		order.bad = NULL;
	return order;
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct desk *desk = data;
	if (strcmp(message->topic, ANSWERED_TOPIC) == 0)
		note_answered(desk, message);
	/* A retained one would be carried out again at each start. */
	if (message->retain || strcmp(message->topic, RUN_TOPIC) != 0)
		return;
	struct desk_order order = read_order(message);
	if (desk->n == DESK_ORDERS) {
		refuse(desk, &order, "too many orders wait");
		return;
	}
	/* Also one that cannot be read: the others have it as well. */
	desk->next[desk->n++] = order;
	desk->on_order(desk->data);
}

static void on_disconnect(void *data)
{
	(void)data; /* it prunes without a broker as well */
}

void desk_open(struct desk *desk, uv_loop_t *loop, const struct desk_options *options)
{
	*desk = (struct desk){.name = options->name,
		.on_order = options->on_order,
		.data = options->data};
	const struct dp_bus_options bus = {
		.url = options->url,
		.tls = options->tls,
		.client_id = options->name,
		.clean_start = true,
		.data = desk,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
	};
	if (dp_bus_open(&desk->bus, loop, &bus) != 0)
		dp_log_out_of_memory("the bus");
}

void desk_close(struct desk *desk)
{
	dp_bus_close(desk->bus, NULL);
}

const char *desk_health(const struct desk *desk)
{
	return dp_bus_health(desk->bus);
}

bool desk_taken(const struct desk *desk)
{
	return desk->taken;
}

bool desk_waits(const struct desk *desk)
{
	return desk->n > 0;
}

struct order desk_take(struct desk *desk)
{
	while (!desk->taken && desk->n > 0) {
		desk->current = desk->next[0];
		drop(desk, 0);
		desk->taken = desk->current.bad == NULL;
		if (!desk->taken)
			refuse(desk, &desk->current, desk->current.bad);
	}
	return desk->taken ? desk->current.order : (struct order){.dry_run = false};
}

uint64_t desk_owes_since(const struct desk *desk)
{
	if (desk->taken)
		return desk->current.since_ns;
	return desk->n > 0 ? desk->next[0].since_ns : 0;
}

void desk_report(struct desk *desk, const struct prune_report *report,
	const struct order_times *times)
{
	char text[ORDER_REPORT_MAX];
	size_t len = order_report(report, times, text);
	if (desk->taken)
		answer(desk, &desk->current, text, len);
	desk->taken = false;
	if (report->outcome == PRUNE_LOOKED)
		return;
	memcpy(desk->report, text, len);
	desk->report_len = len;
	publish_report(desk);
}

void desk_refuse(struct desk *desk, const char *why)
{
	if (desk->taken)
		refuse(desk, &desk->current, why);
	for (unsigned i = 0; i < desk->n; i++)
		refuse(desk, &desk->next[i], desk->next[i].bad ? desk->next[i].bad : why);
	desk_leave(desk);
}

void desk_leave(struct desk *desk)
{
	desk->taken = false;
	desk->n = 0;
}
