#include "topic.h"

#include <errno.h>
#include <string.h>

/* Of ASCII, whatever the locale; called for each name of each reading. */
static bool is_alnum(unsigned char c)
{
	return (unsigned char)((c | 0x20) - 'a') < 26 || (unsigned char)(c - '0') < 10;
}

bool dp_name_valid(const char *name, size_t len)
{
	if (len == 0 || len > DP_NAME_MAX || !is_alnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		if (!is_alnum(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return true;
}

bool dp_topic_prefix_valid(const char *prefix)
{
	size_t len = strlen(prefix);
	if (len == 0 || len > 256 || prefix[len - 1] == '/')
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)prefix[i];
		if (c <= 0x20 || c >= 0x7f || c == '+' || c == '#' || c == '$')
			return false;
	}
	return true;
}

int dp_topic_node(const char *topic, const char *prefix, const char *suffix, char *node)
{
	size_t prefix_len = strlen(prefix);
	size_t suffix_len = strlen(suffix);
	size_t len = strlen(topic);
	if (len < prefix_len + 1 + suffix_len || memcmp(topic, prefix, prefix_len) != 0 ||
		topic[prefix_len] != '/' || strcmp(topic + len - suffix_len, suffix) != 0)
		return -EINVAL;
	const char *name = topic + prefix_len + 1;
	size_t name_len = len - prefix_len - 1 - suffix_len;
	if (!dp_name_valid(name, name_len))
		return -EINVAL;
	memcpy(node, name, name_len);
	node[name_len] = '\0';
	return 0;
}

bool dp_topic_is_ack_of(const char *topic, const char *node)
{
	size_t node_len = strlen(node);
	if (strncmp(topic, "ack/", 4) != 0 || strncmp(topic + 4, node, node_len) != 0 ||
		topic[4 + node_len] != '/')
		return false;
	const char *instance = topic + 4 + node_len + 1;
	return dp_name_valid(instance, strlen(instance));
}
