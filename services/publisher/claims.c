/*
 * Which sampler has which sensor or output, and what is true of a name that none has.
 *
 *   - A name belongs to the first sampler that says its status, as long as that sampler is
 *     here. What another one says of it meanwhile counts once the first is gone.
 *   - A sampler is here from its `online` on local/sampler/<instance> until its `offline`,
 *     which may be its last will. When it goes, its names are offline.
 *   - After a start, and after the node's broker was away, nobody is here before it has
 * said so again; samplers do, when they connect and when they hear local/hello. A name that
 * no sampler has claimed after CLAIM_MS is offline.
 *   - If the sampler that had it is here without claiming it, the name has left its
 * settings: what the centre retains of it is cleared. So is what nobody knows the sampler
 * of, once there is any.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "relay.h"

#define CLAIM_MS 5000

static bool is_here(const struct relay *r, const char *instance)
{
	for (size_t i = 0; i < r->n_samplers; i++) {
		if (strcmp(r->samplers[i], instance) == 0)
			return true;
	}
	return false;
}

static void come(struct relay *r, const char *instance)
{
	if (!is_here(r, instance) && r->n_samplers < RELAY_SAMPLERS)
		snprintf(r->samplers[r->n_samplers++], sizeof(r->samplers[0]), "%s",
			instance);
	r->settle_ms = relay_now(r) + CLAIM_MS;
}

static void go(struct relay *r, const char *instance)
{
	for (size_t i = 0; i < r->n_samplers; i++) {
		if (strcmp(r->samplers[i], instance) != 0)
			continue;
		r->n_samplers--;
		memmove(r->samplers[i], r->samplers[r->n_samplers], sizeof(r->samplers[0]));
		return;
	}
}

static void claim(struct relay *r, struct last *last, const char *owner, bool online)
{
	memmove(last->sampler, owner, strlen(owner) + 1);
	last->claimed = true;
	if (last->clear_due) {
		last->clear_due = false;
		last->told = false;
		last->json_due = last->json[0] != '\0';
	}
	last_note_online(r, last, online);
}

/* Of a name that another sampler has. */
static void note_rival(struct last *last, const char *rival, bool online)
{
	if (strcmp(last->rival, rival) != 0)
		dp_log(DP_LOG_WARN,
			"two samplers have a sensor or output of the same name; rename one "
			"in SENSORS or OUTPUTS",
			"name=%s counts=%s ignored=%s", last->name, last->sampler, rival);
	snprintf(last->rival, sizeof(last->rival), "%s", rival);
	last->rival_online = online;
}

void claims_note(struct relay *r, struct last *last, const struct dp_bus_message *message)
{
	char owner[sizeof(last->sampler)] = "";
	/* The node's broker remembers samplers that are no more. */
	if (message->retain || message->len == 0)
		return;
	for (size_t i = 0; i < message->n_properties; i++) {
		const struct dp_property *property = &message->properties[i];
		if (strcmp(property->name, "sampler") == 0)
			snprintf(owner, sizeof(owner), "%s", property->value);
	}
	bool online = last_is_online(message);
	if (last->claimed && strcmp(last->sampler, owner) != 0 &&
		is_here(r, last->sampler)) {
		note_rival(last, owner, online);
		return;
	}
	if (strcmp(last->rival, owner) == 0)
		last->rival[0] = '\0';
	claim(r, last, owner, online);
}

static void lose(struct relay *r, struct last *last)
{
	if (last->rival[0] != '\0') {
		claim(r, last, last->rival, last->rival_online);
		last->rival[0] = '\0';
		return;
	}
	last->claimed = false;
	last_note_online(r, last, false);
}

void claims_note_sampler(struct relay *r, const char *instance, bool online)
{
	if (online) {
		come(r, instance);
		return;
	}
	go(r, instance);
	for (size_t i = 0; i < r->n_last; i++) {
		struct last *last = &r->last[i];
		if (strcmp(last->rival, instance) == 0)
			last->rival[0] = '\0';
		if (last->claimed && strcmp(last->sampler, instance) == 0)
			lose(r, last);
	}
}

void claims_expect(struct relay *r)
{
	r->settle_ms = relay_now(r) + CLAIM_MS;
}

void claims_forget(struct relay *r)
{
	r->n_samplers = 0;
	for (size_t i = 0; i < r->n_last; i++) {
		r->last[i].claimed = false;
		r->last[i].rival[0] = '\0';
	}
	claims_expect(r);
}

/* Whether it is known that no sampler has the name any more. */
static bool has_left(const struct relay *r, const struct last *last)
{
	return last->sampler[0] != '\0' ? is_here(r, last->sampler) : r->n_samplers > 0;
}

void claims_settle(struct relay *r)
{
	if (relay_now(r) < r->settle_ms)
		return;
	r->settle_ms = INT64_MAX;
	for (size_t i = 0; i < r->n_last; i++) {
		struct last *last = &r->last[i];
		if (last->claimed || last->clear_due || !(last->told || last->at_centre))
			continue;
		last_note_online(r, last, false);
		if (!has_left(r, last))
			continue;
		dp_log(DP_LOG_INFO,
			"no sampler has this sensor or output any more; its state and "
			"status are cleared",
			"name=%s", last->name);
		last->clear_due = true;
		last->json_due = last->status_due = false;
		last->json[0] = '\0';
		r->last_due = true;
	}
}
