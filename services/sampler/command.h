/* What a command to an output says. Pure. */
#ifndef SAMPLER_COMMAND_H
#define SAMPLER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_BYTES_MAX 1024
#define COMMAND_FOR_MAX_MS 3600000

struct command {
	bool value;
	int64_t for_ms;	  /**< a pulse so long, then back; 0: for good */
	double expires_s; /**< not after this wall time, seconds since 1970; 0: none */
};

/**
 * `{"value":1}`, with `for_ms` and `expires` if wanted, or the value alone. A value is 0,
 * 1, true, false, on or off, the words in any case. Unknown members are ignored.
 * @param why  on failure, a literal: what is wrong
 * @return 0 or -EINVAL
 */
int command_parse(const void *payload, size_t len, struct command *out, const char **why);

#endif
