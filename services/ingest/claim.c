#include "claim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "log.h"
#include "timer.h"
#include "topic.h"

#define ROOT "ingest/store/"
#define STORE_LEN 32
#define ASK "ask"
#define TAKEN "taken "
#define SUSPECTS_MAX 64
#define ECHO_MS 10000  /* until the broker should have sent our own message back */
#define PROBE_MS 3000  /* until a store that is still there should have answered */
#define AGAIN_MS 30000 /* the other store may have left without saying so */

enum state { DOWN, ASKING, PROBING, CLAIMING, OURS, YIELDED };

/* Another store's claim that was retained when we came; it may be out of date. */
struct suspect {
	struct suspect *next;
	char topic[];
};

struct claim {
	struct claim_options options;
	struct dp_bus *bus;
	uv_timer_t timer;
	unsigned open; /* the bus and the timer */
	enum state state;
	struct suspect *suspects;
	unsigned n_suspects;
	bool unheard; /* logged already: the broker passes nothing on */
	char client_id[160], store[STORE_LEN + 1], name[256];
	char topic[DP_TOPIC_MAX + 128], filter[DP_TOPIC_MAX];
	char blocker[DP_TOPIC_MAX + 128]; /* to whom it yielded; empty: to nobody */
	char why[320];			  /* it is not ours, in words; or empty */
};

static void ask(struct claim *claim);

static void forget_suspects(struct claim *claim)
{
	while (claim->suspects != NULL) {
		struct suspect *next = claim->suspects->next;
		free(claim->suspects);
		claim->suspects = next;
	}
	claim->n_suspects = 0;
}

static void suspect(struct claim *claim, const char *topic)
{
	size_t size = strlen(topic) + 1;
	if (claim->n_suspects == SUSPECTS_MAX)
		return;
	struct suspect *suspect = malloc(sizeof(*suspect) + size);
	if (suspect == NULL)
		dp_log_out_of_memory("a claim");
	memcpy(suspect->topic, topic, size);
	suspect->next = claim->suspects;
	claim->suspects = suspect;
	claim->n_suspects++;
}

static void clear_suspect(struct claim *claim, const char *topic)
{
	for (struct suspect **at = &claim->suspects; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->topic, topic) != 0)
			continue;
		struct suspect *gone = *at;
		*at = gone->next;
		free(gone);
		claim->n_suspects--;
		return;
	}
}

static void say(struct claim *claim, const char *topic, const char *text, bool retain)
{
	const struct dp_bus_message message = {.topic = topic,
		.payload = text,
		.len = strlen(text),
		.qos = 1,
		.retain = retain};
	/* If this fails, the connection is about to be lost, and we ask again after it. */
	int err = dp_bus_publish(claim->bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_ERROR, "cannot publish", "topic=\"%s\" error=\"%s\"", topic,
			strerror(-err));
}

static void say_taken(struct claim *claim)
{
	char text[sizeof(TAKEN) + sizeof(claim->name)];
	snprintf(text, sizeof(text), TAKEN "%s", claim->name);
	say(claim, claim->topic, text, true);
}

static void on_timer(uv_timer_t *timer);

static void enter(struct claim *claim, enum state state, uint64_t timeout_ms)
{
	bool was_ours = claim->state == OURS, is_ours = state == OURS;
	claim->state = state;
	if (timeout_ms > 0)
		timer_start(&claim->timer, on_timer, timeout_ms);
	else
		uv_timer_stop(&claim->timer);
	if (was_ours != is_ours)
		claim->options.changed(claim->options.data, is_ours);
}

static void start_claiming(struct claim *claim)
{
	while (claim->suspects != NULL) {
		dp_log(DP_LOG_WARN,
			"a store that is said to be at this broker does not answer; its "
			"claim is cleared",
			"topic=\"%s\"", claim->suspects->topic);
		say(claim, claim->suspects->topic, "", true);
		clear_suspect(claim, claim->suspects->topic);
	}
	enter(claim, CLAIMING, ECHO_MS);
	say_taken(claim);
}

static void ask(struct claim *claim)
{
	forget_suspects(claim);
	enter(claim, ASKING, ECHO_MS);
	/* Subscribe again, so that the broker sends what is retained again. */
	dp_bus_unsubscribe(claim->bus, claim->filter);
	dp_bus_subscribe(claim->bus, claim->filter);
	say(claim, claim->topic, ASK, false);
}

static void note_unheard(struct claim *claim)
{
	if (claim->blocker[0] == '\0')
		snprintf(claim->why, sizeof(claim->why),
			"the broker does not pass on what is published to " ROOT "#");
	if (!claim->unheard)
		dp_log(DP_LOG_ERROR,
			"the broker does not pass on what ingest says about its store; "
			"nothing is taken: allow it to publish and subscribe there",
			"topic=\"%s\" filter=\"%s\"", claim->topic, claim->filter);
	claim->unheard = true;
}

static void on_timer(uv_timer_t *timer)
{
	struct claim *claim = timer->data;
	if (claim->state == PROBING) {
		start_claiming(claim);
		return;
	}
	if (claim->state != YIELDED)
		note_unheard(claim);
	ask(claim);
}

/* The other store's name, without characters that do not belong into a log. */
static void copy_name(const struct dp_bus_message *message, char *name, size_t size)
{
	const char *from = (const char *)message->payload + strlen(TAKEN);
	size_t len = message->len - strlen(TAKEN), i;
	for (i = 0; i < len && i + 1 < size; i++)
		name[i] =
			from[i] > 0x20 && from[i] < 0x7f && from[i] != '"' ? from[i] : '?';
	name[i] = '\0';
}

static void yield(struct claim *claim, const struct dp_bus_message *message)
{
	char name[160];
	if (claim->state == CLAIMING)
		say(claim, claim->topic, "", true);
	if (strcmp(claim->blocker, message->topic) != 0) {
		const char *store = message->topic + strlen(ROOT);
		const char *instance = store + STORE_LEN + 1;
		int len = (int)strcspn(instance, "/");
		copy_name(message, name, sizeof(name));
		dp_log(DP_LOG_ERROR,
			"another store takes what arrives at this broker, nothing is taken "
			"here while it does: stop one of them, or point both at one "
			"database, or give one another TOPIC_PREFIX",
			"this=%s this_id=%s other=%s other_id=%.*s other_instance=%.*s",
			claim->name, claim->store, name, STORE_LEN, store, len, instance);
		snprintf(claim->blocker, sizeof(claim->blocker), "%s", message->topic);
		snprintf(claim->why, sizeof(claim->why),
			"another store takes what arrives at this broker: %s of instance "
			"%.*s; stop one of them",
			name, len, instance);
	}
	enter(claim, YIELDED, AGAIN_MS);
}

static void on_own(
	struct claim *claim, const struct dp_bus_message *message, bool asked, bool taken)
{
	if (claim->state == ASKING && asked) {
		claim->unheard = false;
		if (claim->suspects == NULL)
			start_claiming(claim);
		else
			enter(claim, PROBING, PROBE_MS);
	} else if (claim->state == CLAIMING && taken) {
		dp_log(DP_LOG_INFO, "this store takes what arrives at the broker",
			"store=%s id=%s", claim->name, claim->store);
		claim->blocker[0] = claim->why[0] = '\0';
		enter(claim, OURS, 0);
	} else if ((claim->state == OURS || claim->state == CLAIMING) &&
		   message->len == 0) {
		/* Somebody has waited in vain for a word of ours, or has cleared it by
		 * hand. */
		ask(claim);
	}
}

static void on_stranger(
	struct claim *claim, const struct dp_bus_message *message, bool asked, bool taken)
{
	if (message->len == 0) {
		clear_suspect(claim, message->topic);
		if (claim->state == YIELDED && strcmp(claim->blocker, message->topic) == 0)
			ask(claim);
		else if (claim->state == PROBING && claim->suspects == NULL)
			start_claiming(claim);
	} else if (message->retain) {
		if (claim->state == ASKING)
			suspect(claim, message->topic);
	} else if (asked && claim->state == OURS) {
		say_taken(claim);
	} else if (taken && claim->state != OURS && claim->state != YIELDED) {
		yield(claim, message);
	}
}

static bool says(const struct dp_bus_message *message, const char *word)
{
	return message->len >= strlen(word) &&
	       memcmp(message->payload, word, strlen(word)) == 0;
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct claim *claim = data;
	const char *store = message->topic + strlen(ROOT);
	bool asked = says(message, ASK), taken = says(message, TAKEN);
	/* The filter says that there is an instance behind it. */
	if (strncmp(message->topic, ROOT, strlen(ROOT)) != 0 ||
		strcspn(store, "/") != STORE_LEN ||
		strlen(message->topic) >= sizeof(claim->blocker))
		return;
	if (strncmp(store, claim->store, STORE_LEN) != 0)
		on_stranger(claim, message, asked, taken);
	else if (strcmp(message->topic, claim->topic) == 0 &&
		 (!message->retain || message->len == 0))
		on_own(claim, message, asked, taken);
}

static void on_connect(void *data)
{
	ask(data);
}

static void on_disconnect(void *data)
{
	struct claim *claim = data;
	forget_suspects(claim);
	enter(claim, DOWN, 0);
}

int claim_open(struct claim **out, uv_loop_t *loop, const struct claim_options *options)
{
	struct claim *claim = calloc(1, sizeof(*claim));
	if (claim == NULL)
		return -ENOMEM;
	claim->options = *options;
	snprintf(claim->client_id, sizeof(claim->client_id), "%s", options->client_id);
	snprintf(claim->store, sizeof(claim->store), "%s", options->store);
	snprintf(claim->name, sizeof(claim->name), "%s", options->name);
	snprintf(claim->topic, sizeof(claim->topic), ROOT "%s/%s/%s", claim->store,
		options->instance, options->prefix);
	snprintf(claim->filter, sizeof(claim->filter), ROOT "+/+/%s", options->prefix);
	const struct dp_bus_options bus = {
		.url = options->url,
		.tls = options->tls,
		.client_id = claim->client_id,
		.clean_start = true,
		.will_topic = claim->topic,
		.will_payload = "",
		.data = claim,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
	};
	int err = dp_bus_open(&claim->bus, loop, &bus);
	if (err != 0) {
		free(claim);
		return err;
	}
	timer_init(loop, &claim->timer, claim);
	claim->open = 2;
	*out = claim;
	return 0;
}

static void closed(void *data)
{
	struct claim *claim = data;
	if (--claim->open == 0)
		free(claim);
}

static void timer_closed(uv_handle_t *timer)
{
	closed(timer->data);
}

void claim_close(struct claim *claim)
{
	if (claim == NULL)
		return;
	forget_suspects(claim);
	if (claim->state == OURS || claim->state == CLAIMING)
		say(claim, claim->topic, "", true);
	dp_bus_close(claim->bus, closed);
	uv_close((uv_handle_t *)&claim->timer, timer_closed);
}

const char *claim_health(const struct claim *claim)
{
	if (claim->state == OURS)
		return NULL;
	if (dp_bus_health(claim->bus) != NULL)
		return dp_bus_health(claim->bus);
	return claim->why[0] != '\0' ? claim->why
				     : "asking the broker whether another store is there";
}
