#include "ungranted.h"

#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "log.h"

#define FIRST_MS 5000
#define LIMIT_MS 300000

static bool has_name(const struct stream *stream, const char *name)
{
	return strcmp(stream->node, name) == 0;
}

static struct stream *first_of(const struct streams *streams, const char *name)
{
	struct stream *s = streams->first;
	while (s != NULL && !has_name(s, name))
		s = s->next;
	return s;
}

bool ungranted(const struct stream *stream)
{
	return stream->uplink.ungranted_ms != 0;
}

/* All streams of a name pause alike. */
static void pause_all(struct streams *streams, const char *name, int64_t pause_ms,
	int64_t until_ms, bool asked)
{
	for (struct stream *s = streams->first; s != NULL; s = s->next) {
		if (!has_name(s, name))
			continue;
		s->uplink.ungranted_ms = pause_ms;
		s->uplink.ungranted_until_ms = until_ms;
		s->uplink.asked = asked;
	}
}

void ungranted_begin(struct streams *streams, const char *name, const char *own,
	int64_t now_ms, uint64_t *random)
{
	const struct stream *first = first_of(streams, name);
	if (first == NULL || (ungranted(first) && !first->uplink.asked))
		return; /* another one of the same volley */
	if (!ungranted(first))
		dp_log(DP_LOG_ERROR,
			"the centre's broker refuses readings from before this node was "
			"renamed; they are kept and tried again",
			"former_name=%s advice=\"at the centre: make provision-node "
			"NODE=%s "
			"WAS=%s\"",
			name, own, name);
	int64_t pause_ms = ungranted(first) ? 2 * first->uplink.ungranted_ms : FIRST_MS;
	if (pause_ms > LIMIT_MS)
		pause_ms = LIMIT_MS;
	pause_all(streams, name, pause_ms, now_ms + dp_jitter_ms(random, pause_ms), false);
}

void ungranted_ask(struct streams *streams, const struct stream *stream, int64_t until_ms)
{
	pause_all(streams, stream->node, stream->uplink.ungranted_ms, until_ms, true);
}

void ungranted_end(struct streams *streams, const struct stream *stream)
{
	if (!ungranted(stream))
		return;
	dp_log(DP_LOG_INFO, "the centre's broker takes readings under the former name now",
		"former_name=%s", stream->node);
	pause_all(streams, stream->node, 0, 0, false);
}

void ungranted_forget_pause(struct streams *streams)
{
	for (struct stream *s = streams->first; s != NULL; s = s->next) {
		if (ungranted(s))
			s->uplink.ungranted_until_ms = 0;
	}
}

void ungranted_say(const struct streams *streams, const char *own, char *text, size_t size)
{
	const struct stream *s = streams->first;
	while (s != NULL && !ungranted(s))
		s = s->next;
	text[0] = '\0';
	if (s != NULL)
		snprintf(text, size,
			"the centre's broker refuses readings under this node's former "
			"name %s; at the centre: make provision-node NODE=%s WAS=%s",
			s->node, own, s->node);
}
