/* Options, the loop and the report. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "number.h"
#include "reading.h"

#define EVENTS 256
#define SILENCE_MS 20000
#define TICK_MS 1

_Noreturn void load_fail(const char *what, int err)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(-err));
	exit(EXIT_FAILURE);
}

int64_t load_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void expect(int fd, struct reader *reader, enum packet_type type)
{
	struct packet packet;
	int found;
	while ((found = packet_next(reader, &packet)) == 0) {
		long n = packet_fill(reader, fd);
		if (n <= 0)
			load_fail("waiting for the broker", n == 0 ? -EPIPE : (int)n);
	}
	if (found < 0 || packet.type != type || packet.code >= 128)
		load_fail("the broker refuses", -EPROTO);
}

int load_connect(const struct options *options, const char *client_id, const char *filter)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
	struct reader reader = {.buf = NULL};
	uint8_t buf[2 * PACKET_HEAD];
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, options->host, &address.sin_addr) != 1)
		load_fail("--host", -EINVAL);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		load_fail("connecting", -errno);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (write(fd, buf, packet_connect(buf, client_id)) < 0)
		load_fail("connecting", -errno);
	expect(fd, &reader, PACKET_CONNACK);
	if (write(fd, buf, packet_subscribe(buf, filter)) < 0)
		load_fail("subscribing", -errno);
	expect(fd, &reader, PACKET_SUBACK);
	packet_finish(&reader);
	return fd;
}

/* Readings as a DHT22 gives them, spread over a second. */
static void make_payload(struct load *load)
{
	struct payload *payload = &load->payload;
	const struct options *options = &load->options;
	char sensor[16];
	payload->count = (uint32_t)options->batch;
	payload->text = malloc(options->batch * DP_READING_JSON + 2);
	payload->seconds = calloc(options->batch, sizeof(*payload->seconds));
	if (payload->text == NULL || payload->seconds == NULL)
		load_fail("a payload", -ENOMEM);
	for (uint32_t i = 0; i < payload->count; i++) {
		snprintf(
			sensor, sizeof(sensor), "sensor%u", i % (unsigned)options->sensors);
		const struct dp_reading reading = {
			.sensor = dp_slice(sensor),
			.has_time = true,
			.ts_us = load->base_s * 1000000 +
				 (int64_t)i * 1000000 / payload->count,
			.n = 2,
			.values = {{dp_slice("temperature"), dp_slice("Cel"),
					   (double)(200 + i % 100) / 10},
				{dp_slice("humidity"), dp_slice("%RH"),
					(double)(400 + i % 300) / 10}},
		};
		char *at = payload->text + payload->len;
		*at = i == 0 ? '[' : ',';
		int n = dp_reading_encode(&reading, at + 1, DP_READING_JSON);
		if (n < 0)
			load_fail("a reading", n);
		payload->seconds[i] =
			payload->len + 1 + strlen("{\"bn\":\"/\",\"bt\":") + strlen(sensor);
		payload->len += (size_t)n + 1;
	}
	payload->text[payload->len++] = ']';
}

/* At a given rate the nodes take turns. */
static void send_due(struct load *load, uint64_t *turn)
{
	const struct options *options = &load->options;
	int64_t now = load_now_ns();
	int64_t begun = load->start_ns != 0 ? load->start_ns : now;
	uint64_t due = 1 + (uint64_t)((double)(now - begun) * 1e-9 * (double)options->rate /
				      (double)options->batch);
	uint64_t refused = 0;
	while (load->sent < due && refused < options->nodes) {
		refused = node_send(&load->nodes[*turn]) ? 0 : refused + 1;
		*turn = (*turn + 1) % options->nodes;
	}
}

static bool done(struct load *load)
{
	if (load->stop_ns != 0 && load->messages == UINT64_MAX &&
		load_now_ns() >= load->stop_ns)
		load->messages = 0;
	if (load->messages == UINT64_MAX)
		return false;
	uint64_t all = load->messages * load->options.nodes;
	return load->ended == (load->stop_ns != 0 ? load->sent : all);
}

static void run(struct load *load)
{
	struct epoll_event events[EVENTS];
	const struct options *options = &load->options;
	uint64_t turn = 0;
	if (options->seconds > 0)
		load->stop_ns = load_now_ns() + (int64_t)options->seconds * 1000000000;
	for (uint64_t i = 0; options->rate == 0 && i < options->nodes; i++)
		node_ready(&load->nodes[i], EPOLLOUT);
	while (!done(load)) {
		if (options->rate > 0)
			send_due(load, &turn);
		int n = epoll_wait(load->epoll, events, EVENTS,
			options->rate > 0 ? TICK_MS : SILENCE_MS);
		if (n < 0 && errno != EINTR)
			load_fail("epoll", -errno);
		if (n == 0 && (load_now_ns() - load->end_ns) / 1000000 > SILENCE_MS &&
			load->end_ns != 0)
			load_fail("no answer for 20 s", -ETIMEDOUT);
		for (int i = 0; i < n; i++)
			node_ready(events[i].data.ptr, events[i].events);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

static void report(struct load *load)
{
	size_t n = load->n_latencies;
	uint64_t batch = load->options.batch;
	qsort(load->latency_us, n, sizeof(*load->latency_us), compare);
	printf("load readings=%" PRIu64 " messages=%" PRIu64 " rejected=%" PRIu64
	       " later=%" PRIu64 " start_ns=%" PRId64 " end_ns=%" PRId64
	       " p50_us=%u p99_us=%u max_us=%u\n",
		load->ended * batch, load->ended, load->rejected, load->later,
		load->start_ns, load->end_ns, load->latency_us[n / 2],
		load->latency_us[n * 99 / 100], load->latency_us[n - 1]);
}

static void print_help(void)
{
	printf("load: many simulated nodes that ask little of the machine\n\n"
	       "Usage: load --port PORT [OPTION...]\n\n"
	       "  --host ADDRESS  of the broker (127.0.0.1)\n"
	       "  --nodes N       connections (50)\n"
	       "  --readings N    of each node, in whole batches (10000)\n"
	       "  --batch N       readings in a message (100)\n"
	       "  --sensors N     of a node, taking turns (1)\n"
	       "  --window N      messages of a node without an answer (64)\n"
	       "  --rate N        readings a second of all nodes; 0: as fast as may be "
	       "(0)\n"
	       "  --wait N        milliseconds that an answer may take (0)\n"
	       "  --seconds N     send for so long, whatever --readings says\n"
	       "  --pubacks       nobody answers: the broker's acknowledgement is enough\n"
	       "  --count N       no nodes: subscribe, and end after so many batches\n\n"
	       "Waits for a line on stdin before it sends. Exit codes: 0 all answered, 1 "
	       "not,\n"
	       "78 a bad option\n");
}

static int parse(const char *text, uint64_t max, uint64_t *out)
{
	if (dp_parse_u64(text, out) == 0 && *out <= max)
		return 0;
	fprintf(stderr, "load: %s: must be a number up to %" PRIu64 "\n", text, max);
	return -EINVAL;
}

/* @return -1 go on; otherwise the exit code */
static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {{"host", required_argument, NULL, 'H'},
		{"port", required_argument, NULL, 'p'},
		{"nodes", required_argument, NULL, 'n'},
		{"readings", required_argument, NULL, 'r'},
		{"batch", required_argument, NULL, 'b'},
		{"sensors", required_argument, NULL, 's'},
		{"window", required_argument, NULL, 'w'},
		{"rate", required_argument, NULL, 'R'},
		{"seconds", required_argument, NULL, 'S'},
		{"wait", required_argument, NULL, 'W'}, {"pubacks", no_argument, NULL, 'a'},
		{"count", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	*o = (struct options){.host = "127.0.0.1",
		.nodes = 50,
		.readings = 10000,
		.batch = 100,
		.sensors = 1,
		.window = 64};
	int c, err = 0;
	while (err == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'H')
			o->host = optarg;
		else if (c == 'p')
			err = parse(optarg, UINT16_MAX, &o->port);
		else if (c == 'n')
			err = parse(optarg, 100000, &o->nodes);
		else if (c == 'r')
			err = parse(optarg, 100000000, &o->readings);
		else if (c == 'b')
			err = parse(optarg, DP_COUNT_MAX, &o->batch);
		else if (c == 's')
			err = parse(optarg, LOAD_SENSORS, &o->sensors);
		else if (c == 'w')
			err = parse(optarg, LOAD_WINDOW, &o->window);
		else if (c == 'R')
			err = parse(optarg, 100000000, &o->rate);
		else if (c == 'S')
			err = parse(optarg, 86400, &o->seconds);
		else if (c == 'W')
			err = parse(optarg, DP_WAIT_MAX_MS, &o->wait_ms);
		else if (c == 'c')
			err = parse(optarg, UINT32_MAX, &o->expect);
		else if (c == 'a')
			o->pubacks = true;
		else if (c == 'h') {
			print_help();
			return EXIT_SUCCESS;
		} else
			err = -EINVAL; /* getopt has said what is wrong */
	}
	if (err == 0 && o->port > 0 && o->nodes > 0 && o->batch > 0 && o->sensors > 0 &&
		o->window > 0)
		return -1;
	fprintf(stderr, "load: --help lists the options; --port is needed, and no zeros\n");
	return DP_EX_CONFIG;
}

static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct load load = {.base_s = (int64_t)time(NULL)};
	struct options *options = &load.options;
	int code = parse_options(options, argc, argv);
	if (code >= 0)
		return code;
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	if (options->expect > 0)
		return count_run(options);
	for (load.slots = 1; load.slots < options->window; load.slots *= 2)
		;
	load.messages =
		options->seconds > 0 ? UINT64_MAX : options->readings / options->batch;
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.nodes = calloc(options->nodes, sizeof(*load.nodes));
	if (load.epoll < 0 || load.nodes == NULL)
		load_fail("the nodes", -ENOMEM);
	make_payload(&load);
	for (uint64_t i = 0; i < options->nodes; i++)
		node_open(&load, i);
	printf("ready\n");
	fflush(stdout);
	if (getchar() == EOF)
		return EXIT_FAILURE;
	run(&load);
	report(&load);
	for (uint64_t i = 0; i < options->nodes; i++)
		node_close(&load.nodes[i]);
	free(load.nodes);
	free(load.latency_us);
	free(load.payload.text);
	free(load.payload.seconds);
	close(load.epoll);
	return EXIT_SUCCESS;
}
