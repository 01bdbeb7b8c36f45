/* A subscriber that counts batches and acknowledges them: what the broker can hand out. */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void acknowledge(int fd, const uint8_t *acks, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, acks, len);
		if (n < 0)
			load_fail("writing", -errno);
		acks += n;
		len -= (size_t)n;
	}
}

int count_run(const struct options *options)
{
	struct reader reader = {.buf = NULL};
	struct packet packet;
	uint8_t acks[4096];
	uint64_t n = 0;
	int found, fd = load_connect(options, "load-count", "$share/count//data/+/batch");
	printf("ready\n");
	fflush(stdout);
	while (n < options->expect) {
		long bytes = packet_fill(&reader, fd);
		size_t len = 0;
		if (bytes <= 0)
			load_fail("reading", (int)bytes);
		while ((found = packet_next(&reader, &packet)) == 1) {
			if (packet.type != PACKET_PUBLISH)
				continue;
			n++;
			len += packet_puback(acks + len, packet.id);
			if (len + 4 <= sizeof(acks))
				continue;
			acknowledge(fd, acks, len);
			len = 0;
		}
		acknowledge(fd, acks, len);
		if (found < 0)
			load_fail("a packet", found);
	}
	printf("count messages=%" PRIu64 " end_ns=%" PRId64 "\n", n, load_now_ns());
	packet_finish(&reader);
	close(fd);
	return EXIT_SUCCESS;
}
