#include "random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"

void dp_random(void *buf, size_t len)
{
	char *at = buf;
	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			dp_log(DP_LOG_ERROR, "the kernel has no random bytes",
				"error=\"%s\"", strerror(errno));
			exit(EXIT_FAILURE);
		}
		at += n;
		len -= (size_t)n;
	}
}
