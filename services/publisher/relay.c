#include "relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "timer.h"

static const char presence[] = "local/publisher";

static int64_t now_ms(const struct relay *r)
{
	return (int64_t)uv_now(&r->service->loop);
}

/* ---- the node's broker ---- */

static void say_at_node(
	struct relay *r, const char *status, enum dp_log_level level, const char *if_not)
{
	/* Readings that are answered in time are not to be sent again. */
	char within[24];
	const struct dp_property property = {"within", within};
	const struct dp_bus_message message = {.topic = presence,
		.payload = status,
		.len = strlen(status),
		.qos = 1,
		.retain = true,
		.properties = &property,
		.n_properties = r->config->within_ms > 0};
	snprintf(within, sizeof(within), "%" PRId64, r->config->within_ms);
	int err = dp_bus_publish(r->local, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(level, if_not, "error=\"%s\"", strerror(-err));
}

static void say_online(struct relay *r)
{
	say_at_node(r, "online", DP_LOG_ERROR,
		"cannot tell the samplers that the publisher is here");
}

static void on_local_connect(void *data)
{
	struct relay *r = data;
	const struct dp_bus_message hello = {
		.topic = "local/hello", .payload = "", .qos = 1};
	static const char *const filters[] = {"local/reading/+", "local/stats/+/+",
		"local/last/+", "local/state/+", "local/status/+", "local/sampler/+",
		"local/listening/+", "local/answer/#"};
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		dp_bus_subscribe(r->local, filters[i]);
	int err = dp_bus_publish(r->local, &hello);
	last_local_connected(&r->last);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot ask the samplers for what is not accepted",
			"error=\"%s\"", strerror(-err));
	say_online(r);
}

static void on_local_disconnect(void *data)
{
	struct relay *r = data;
	commands_local_disconnected(&r->commands); /* samplers keep what was not accepted */
	last_local_disconnected(&r->last);
}

static void on_local_message(void *data, const struct dp_bus_message *message)
{
	struct relay *r = data;
	if (strncmp(message->topic, "local/reading/", 14) == 0)
		intake_reading(&r->intake, message);
	else if (strncmp(message->topic, "local/stats/", 12) == 0)
		node_stats_message(&r->node_stats, message, r->uplink.bus, now_ms(r));
	else if (strncmp(message->topic, "local/last/", 11) == 0)
		intake_waiting(&r->intake, message);
	else if (strncmp(message->topic, "local/state/", 12) == 0)
		last_output(&r->last, message);
	else if (strncmp(message->topic, "local/status/", 13) == 0)
		last_status(&r->last, message);
	else if (strncmp(message->topic, "local/sampler/", 14) == 0) {
		last_sampler(&r->last, message);
		if (commands_sampler(&r->commands, message) && !r->stopping)
			say_online(r);
	} else if (strncmp(message->topic, "local/listening/", 16) == 0)
		commands_listening(&r->commands, message);
	else if (strncmp(message->topic, "local/answer/", 13) == 0)
		commands_answered(&r->commands, message);
}

static void start_stats(struct relay *r)
{
	snprintf(r->stats_topic, sizeof(r->stats_topic), "stats/%s/publisher/%s",
		r->config->node_name, r->config->service.instance);
	const struct dp_stat table[] = {{"received", &r->intake.received},
		{"accepted", &r->intake.accepted}, {"duplicates", &r->intake.duplicates},
		{"refused", &r->intake.refused}, {"in_memory", &r->in_memory},
		{"batches_in_flight", &r->in_flight}, {"in_outbox", &r->in_outbox},
		{"outbox_bytes", &r->queue.usage.bytes}, {"outbox_oldest_s", &r->oldest_s},
		{"spilled", &r->queue.spill.spilled}, {"dropped", &r->queue.spill.dropped},
		{"damaged", &r->queue.damaged}, {"batches", &r->uplink.sender.batches},
		{"stored", &r->uplink.stored}, {"rejected", &r->uplink.rejected},
		{"later", &r->uplink.later}, {"resent", &r->uplink.sender.delivery.resent},
		{"strange_answers", &r->uplink.strange_answers},
		{"commands", &r->commands.received},
		{"commands_refused", &r->commands.refused}};
	_Static_assert(sizeof(table) <= sizeof(r->table), "RELAY_STATS is too small");
	memcpy(r->table, table, sizeof(table));
	dp_stats_start(&r->stats, &r->service->loop, r->uplink.bus, r->stats_topic,
		r->table, sizeof(table) / sizeof(table[0]),
		r->config->service.stats_period_s);
}

static void open_buses(struct relay *r)
{
	snprintf(r->client, sizeof(r->client), "dewpoint-publisher-%s", r->queue.instance);
	const struct dp_bus_options local = {
		.url = r->config->mqtt_url,
		.tls = &r->config->service.tls,
		.client_id = r->client,
		.clean_start = true,
		.will_topic = presence,
		.will_payload = "offline",
		.data = r,
		.on_connect = on_local_connect,
		.on_disconnect = on_local_disconnect,
		.on_message = on_local_message,
	};
	if (dp_bus_open(&r->local, &r->service->loop, &local) != 0)
		dp_log_out_of_memory("the bus");
	uplink_open(&r->uplink, r->queue.instance);
	last_open(&r->last, r->uplink.bus);
	commands_open(&r->commands, r->local, r->uplink.bus);
	start_stats(r);
}

/* ---- once an iteration ---- */

static void count(struct relay *r)
{
	const struct dp_clock *clock = &r->service->clock;
	r->in_memory = streams_live(&r->streams).n;
	r->in_flight = uplink_in_flight(&r->uplink);
	r->in_outbox = streams_stored(&r->streams);
	int64_t oldest_us = r->queue.usage.oldest_us;
	int64_t age_us = clock->wall_us(clock->data) - oldest_us;
	bool aged = r->in_outbox > 0 && oldest_us > 0 && age_us > 0;
	r->oldest_s = aged ? (uint64_t)age_us / 1000000 : 0;
}

static void on_timer(uv_timer_t *timer)
{
	(void)timer; /* waking up is all; relay_work() follows */
}

static void arm_timer(struct relay *r)
{
	int64_t due = queue_deadline(&r->queue);
	if (uplink_deadline(&r->uplink) < due)
		due = uplink_deadline(&r->uplink);
	if (last_deadline(&r->last) < due)
		due = last_deadline(&r->last);
	if (node_stats_deadline(&r->node_stats) > now_ms(r) &&
		node_stats_deadline(&r->node_stats) < due)
		due = node_stats_deadline(&r->node_stats);
	if (intake_deadline(&r->intake) < due)
		due = intake_deadline(&r->intake);
	/* Once a second; it is also how a stop of the process is noticed. */
	if ((commands_any(&r->commands) || last_has_outputs(&r->last)) &&
		now_ms(r) + 1000 < due)
		due = now_ms(r) + 1000;
	if (due == INT64_MAX) {
		uv_timer_stop(&r->timer);
		return;
	}
	int64_t wait = due - now_ms(r);
	timer_start(&r->timer, on_timer, wait > 0 ? (uint64_t)wait : 0);
}

/* Everything that was in memory is in the outbox now, or cannot be saved. */
static void finish_stop(struct relay *r)
{
	r->stopped = true;
	size_t live = streams_live(&r->streams).n;
	if (live > 0)
		dp_log(DP_LOG_ERROR, "stopping with readings only the samplers still hold",
			"readings=%zu", live);
	if (r->uplink.bus != NULL) {
		commands_finish(&r->commands);
		last_finish(&r->last);
		say_at_node(
			r, "offline", DP_LOG_WARN, "cannot tell the samplers of the stop");
		dp_stats_stop(&r->stats);
		uplink_close(&r->uplink);
		dp_bus_close(r->local, NULL);
	}
	uv_close((uv_handle_t *)&r->prepare, NULL);
	uv_close((uv_handle_t *)&r->timer, NULL);
	dp_service_safe(r->service);
}

/* What is due goes together. */
static void send_up(struct relay *r)
{
	dp_bus_cork(r->uplink.bus);
	bool sent = uplink_send(&r->uplink, !queue_writes(&r->queue));
	last_send(&r->last, sent);
	node_stats_send(&r->node_stats, r->uplink.bus, now_ms(r));
	dp_bus_uncork(r->uplink.bus);
}

static void relay_work(uv_prepare_t *prepare)
{
	struct relay *r = prepare->data;
	if (!r->queue.opened)
		queue_open(&r->queue);
	else if (r->local == NULL && !r->stopping)
		open_buses(r);
	if (r->queue.opened && !r->stopped) {
		intake_date(&r->intake);
		uplink_expire(&r->uplink);
		last_decide(&r->last);
		if (!r->stopping && r->uplink.bus != NULL)
			send_up(r);
		/* A page that is asked for while one is on its way would be that one. */
		struct page_want want = {.stream = NULL};
		if (!r->stopping && !queue_busy(&r->queue))
			want = uplink_wants(&r->uplink);
		queue_work(&r->queue, &want);
		if (r->local != NULL)
			intake_answer(&r->intake, r->local);
		commands_flush(&r->commands);
		count(r);
	}
	if (r->stopping && !r->stopped && queue_saved(&r->queue))
		finish_stop(r);
	if (!r->stopped)
		arm_timer(r);
	commands_note_awake(&r->commands);
}

/* ---- what the parts have to say to each other ---- */

static void on_page(void *data, struct stream *stream, const struct outbox_page *page)
{
	struct relay *r = data;
	uplink_page(&r->uplink, stream, page);
}

static bool is_in_flight(void *data, const struct stream *stream, uint64_t seq)
{
	const struct relay *r = data;
	return uplink_has_in_flight(&r->uplink, stream, seq);
}

static void on_seen(
	void *data, const struct dp_identity *identity, const struct dp_reading *reading)
{
	struct relay *r = data;
	last_reading(&r->last, identity, reading);
}

static bool is_in_use(void *data, const struct stream *stream)
{
	const struct relay *r = data;
	return queue_busy(&r->queue) || uplink_uses(&r->uplink, stream);
}

static void on_connected(void *data)
{
	struct relay *r = data;
	commands_connected(&r->commands);
	last_connected(&r->last);
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct relay *r = data;
	if (!commands_message(&r->commands, message))
		last_message(&r->last, message);
}

static void on_outbox_failed(void *data)
{
	struct relay *r = data;
	dp_service_stop(r->service, EXIT_FAILURE);
}

/* ---- start and stop ---- */

struct relay *relay_start(struct dp_service *service, const struct publisher_config *config)
{
	struct relay *r = calloc(1, sizeof(*r));
	if (r == NULL)
		dp_log_out_of_memory("the publisher");
	r->service = service;
	r->config = config;
	last_init(&r->last, &service->loop, &service->clock, config);
	node_stats_init(&r->node_stats, config->node_name, config->stats_every_ms);
	const struct intake_options intake = {.loop = &service->loop,
		.clock = &service->clock,
		.config = config,
		.streams = &r->streams,
		.data = r,
		.seen = on_seen,
		.in_use = is_in_use};
	intake_init(&r->intake, &intake);
	r->commands = (struct commands){.config = config, .clock = &service->clock};
	const struct uplink_options uplink = {.loop = &service->loop,
		.config = config,
		.streams = &r->streams,
		.data = r,
		.connected = on_connected,
		.message = on_message};
	uplink_init(&r->uplink, &uplink);
	const struct queue_options queue = {.loop = &service->loop,
		.clock = &service->clock,
		.config = config,
		.streams = &r->streams,
		.data = r,
		.page = on_page,
		.in_flight = is_in_flight,
		.failed = on_outbox_failed};
	queue_init(&r->queue, &queue);
	timer_init(&service->loop, &r->timer, r);
	prepare_start(&service->loop, &r->prepare, relay_work, r);
	return r;
}

void relay_stop(void *data)
{
	struct relay *r = data;
	r->stopping = true;
	queue_stop(&r->queue);
	commands_stop(&r->commands);
	if (r->local != NULL)
		dp_bus_pause(r->local, true);
	/* relay_work() finishes it, at the latest when the outbox has answered. */
	timer_start(&r->timer, on_timer, 0);
}

const char *relay_health(void *data)
{
	struct relay *r = data;
	if (r->local == NULL)
		return queue_health(&r->queue) != NULL
			       ? queue_health(&r->queue)
			       : "waiting for the outbox; another publisher may hold it";
	const char *wrong = dp_bus_health(r->local);
	if (wrong == NULL)
		wrong = queue_health(&r->queue);
	return wrong != NULL ? wrong : uplink_health(&r->uplink);
}

void relay_destroy(struct relay *r)
{
	queue_finish(&r->queue);
	streams_clear(&r->streams);
	uplink_finish(&r->uplink);
	node_stats_finish(&r->node_stats);
	free(r);
}
