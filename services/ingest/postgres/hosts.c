#include "hosts.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define ENTRIES_MAX 64
#define ADDRESS_MAX 64

struct entry {
	struct slice {
		const char *at;
		size_t len;
	} host, port;
	char address[ADDRESS_MAX];
};

struct entries {
	struct entry at[ENTRIES_MAX];
	size_t n;
};

static void add(struct entries *entries, const struct entry *entry)
{
	if (entries->n < ENTRIES_MAX)
		entries->at[entries->n++] = *entry;
}

static int look_up_one(struct hosts *hosts, struct entries *entries, struct entry *entry)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char name[256];
	if (entry->host.len == 0 || entry->host.len >= sizeof(name)) {
		snprintf(
			hosts->why, sizeof(hosts->why), "a host name is empty or too long");
		return -EINVAL;
	}
	memcpy(name, entry->host.at, entry->host.len);
	name[entry->host.len] = '\0';
	entry->address[0] = '\0';
	if (name[0] == '/' || name[0] == '@') {
		add(entries, entry);
		return 0;
	}
	int code = getaddrinfo(name, NULL, &hints, &found);
	if (code != 0) {
		snprintf(hosts->why, sizeof(hosts->why), "no address of %s: %s", name,
			code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
		return -ENOENT;
	}
	for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
		if (getnameinfo(at->ai_addr, at->ai_addrlen, entry->address, ADDRESS_MAX,
			    NULL, 0, NI_NUMERICHOST) == 0)
			add(entries, entry);
	}
	freeaddrinfo(found);
	return 0;
}

/* The next item of a comma-separated list. */
static struct slice next_item(const char **list)
{
	struct slice item = {*list, strcspn(*list, ",")};
	*list += item.len;
	if (**list == ',')
		(*list)++;
	return item;
}

static int join(struct hosts *hosts, const struct entries *entries, size_t rotate)
{
	size_t size[3] = {1, 1, 1}, len[3] = {0, 0, 0};
	char **const texts[3] = {&hosts->host, &hosts->hostaddr, &hosts->port};
	for (size_t i = 0; i < entries->n; i++) {
		const struct entry *entry = &entries->at[i];
		size[0] += entry->host.len + 1;
		size[1] += strlen(entry->address) + 1;
		size[2] += entry->port.len + 1;
	}
	for (int k = 0; k < 3; k++) {
		*texts[k] = calloc(1, size[k]);
		if (*texts[k] == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < entries->n; i++) {
		const struct entry *entry = &entries->at[(i + rotate) % entries->n];
		const struct slice items[3] = {
			entry->host, {entry->address, strlen(entry->address)}, entry->port};
		for (int k = 0; k < 3; k++)
			len[k] += (size_t)snprintf(*texts[k] + len[k], size[k] - len[k],
				"%s%.*s", i > 0 ? "," : "", (int)items[k].len, items[k].at);
	}
	hosts->n = entries->n;
	return 0;
}

int hosts_look_up(struct hosts *hosts, const char *host, const char *port, size_t rotate)
{
	*hosts = (struct hosts){.n = 0};
	struct entries *entries = calloc(1, sizeof(*entries));
	if (entries == NULL)
		dp_log_out_of_memory("addresses");
	/* One port counts for all hosts. Several: one for each, empty for the default. */
	bool one = strchr(port, ',') == NULL;
	struct entry entry = {.port = next_item(&port)};
	int err = 0;
	for (bool more = true; more && err != -EINVAL;) {
		entry.host = next_item(&host);
		more = host > entry.host.at + entry.host.len; /* a comma was there */
		err = look_up_one(hosts, entries, &entry);
		if (!one)
			entry.port = next_item(&port);
	}
	if (err != -EINVAL && entries->n > 0)
		err = join(hosts, entries, rotate);
	free(entries);
	if (err == -ENOMEM)
		dp_log_out_of_memory("addresses");
	return err;
}

void hosts_finish(struct hosts *hosts)
{
	free(hosts->host);
	free(hosts->hostaddr);
	free(hosts->port);
	*hosts = (struct hosts){.n = 0};
}
