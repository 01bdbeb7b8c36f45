/*
 * Many nodes in one process, for load and for tests. They are made of common/'s bus,
 * identity and reading and of the publisher's window: what the centre meets is what it
 * meets from publishers.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "config.h"
#include "log.h"
#include "node.h"
#include "number.h"
#include "url.h"

#define TICK_MS 10
#define READINGS_MAX 100000000u

/* Two descriptors a node: its socket and what is polled. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* One line a node, then one of totals. @return whether everything was answered */
static bool report(const struct load *load)
{
	const struct options *options = &load->options;
	uint64_t made = 0, answered = 0, rejected = 0, messages = 0, resent = 0, later = 0,
		 connects = 0;
	for (uint64_t i = 0; i < options->nodes; i++) {
		const struct node *node = &load->nodes[i];
		char hex[DP_STREAM_HEX + 1];
		dp_hex_encode(node->stream.bytes, DP_STREAM_BYTES, hex);
		if (!options->quiet)
			printf("node %s %s made=%" PRIu64 " answered=%" PRIu64
			       " rejected=%" PRIu64 " messages=%" PRIu64 " resent=%" PRIu64
			       "\n",
				node->name, hex, node->made, node->n_answered,
				node->rejected, node->messages, node->delivery.resent);
		made += node->made;
		answered += node->n_answered;
		rejected += node->rejected;
		messages += node->messages;
		resent += node->delivery.resent;
		later += node->later;
		connects += node->connects;
	}
	printf("total nodes=%" PRIu64 " start_us=%" PRId64 " made=%" PRIu64
	       " answered=%" PRIu64 " rejected=%" PRIu64 " messages=%" PRIu64
	       " resent=%" PRIu64 " later=%" PRIu64 " connects=%" PRIu64 " seconds=%.3f\n",
		options->nodes, load->start_us, made, answered, rejected, messages, resent,
		later, connects,
		(double)((int64_t)uv_now(&load->loop) - load->start_ms) / 1000);
	return load->open == 0;
}

static void print_help(void)
{
	printf("nodes: many simulated publishers in one process\n\n"
	       "Usage: nodes --url mqtt://HOST:PORT [OPTION...]\n\n"
	       "  --url URL       the central broker\n"
	       "  --nodes N       how many, each with its own connection (100)\n"
	       "  --readings N    readings of each node (1000)\n"
	       "  --batch N       readings in one message, 1 to 10000 (500)\n"
	       "  --rate N        readings a second and node; 0: all of them exist at the\n"
	       "                  start, a backlog (0)\n"
	       "  --seed N        in the nodes' names, node-SEED-INDEX, and values (1)\n"
	       "  --certificates DIR  for mqtts://: ca.pem, and NAME.pem and NAME.key a "
	       "node\n"
	       "  --quiet         no line for each node\n\n"
	       "Ends when every reading is answered, or on SIGTERM. Prints one line a "
	       "node:\n"
	       "  node NAME STREAM made=N answered=N rejected=N messages=N resent=N\n"
	       "and one of totals. made, answered and rejected are readings, messages are\n"
	       "batches sent, resent those whose time was up. On stderr, `connected "
	       "nodes=N`\n"
	       "whenever all of them are, and whenever none is.\n\n"
	       "Exit codes: 0 all answered, 1 not, 78 a bad option\n");
}

static int parse_number(
	const char *name, uint64_t min, uint64_t max, const char *text, uint64_t *out)
{
	if (dp_parse_u64(text, out) == 0 && *out >= min && *out <= max)
		return 0;
	fprintf(stderr,
		"nodes: --%s %s: must be within %" PRIu64 " and %" PRIu64
		"; --help lists the options\n",
		name, text, min, max);
	return -EINVAL;
}

static int check_url(const char *text)
{
	struct dp_mqtt_url url;
	const char *why;
	if (text == NULL)
		why = "is missing";
	else if (dp_mqtt_url_parse(text, &url, &why) == 0)
		return 0;
	fprintf(stderr, "nodes: --url %s\n", why);
	return -EINVAL;
}

/* @return -1 go on; otherwise the exit code */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {{"url", required_argument, NULL, 'u'},
		{"nodes", required_argument, NULL, 'n'},
		{"readings", required_argument, NULL, 'r'},
		{"batch", required_argument, NULL, 'b'},
		{"rate", required_argument, NULL, 'R'},
		{"seed", required_argument, NULL, 's'},
		{"certificates", required_argument, NULL, 'c'},
		{"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int c, err = 0;
	*options = (struct options){
		.nodes = 100, .readings = 1000, .batch = 500, .rate = 0, .seed = 1};
	while (err == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'u')
			options->url = optarg;
		else if (c == 'n')
			err = parse_number("nodes", 1, 100000, optarg, &options->nodes);
		else if (c == 'r')
			err = parse_number(
				"readings", 1, READINGS_MAX, optarg, &options->readings);
		else if (c == 'b')
			err = parse_number(
				"batch", 1, DP_COUNT_MAX, optarg, &options->batch);
		else if (c == 'R')
			err = parse_number("rate", 0, 1000000, optarg, &options->rate);
		else if (c == 's')
			err = parse_number("seed", 0, UINT32_MAX, optarg, &options->seed);
		else if (c == 'c')
			options->certificates = optarg;
		else if (c == 'q')
			options->quiet = true;
		else if (c == 'h') {
			print_help();
			return EXIT_SUCCESS;
		} else
			err = -EINVAL; /* getopt has said what is wrong */
	}
	return err != 0 || check_url(options->url) != 0 ? DP_EX_CONFIG : -1;
}

static void on_tick(uv_timer_t *timer)
{
	struct load *load = timer->data;
	for (uint64_t i = 0; i < load->options.nodes; i++)
		node_work(&load->nodes[i]);
}

static void stop(struct load *load)
{
	if (load->stopping)
		return;
	load->stopping = true;
	uv_close((uv_handle_t *)&load->tick, NULL);
	uv_close((uv_handle_t *)&load->sigterm, NULL);
	uv_close((uv_handle_t *)&load->sigint, NULL);
	for (uint64_t i = 0; i < load->options.nodes; i++)
		node_close(&load->nodes[i]);
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)number;
	stop(signal->data);
}

static void watch_signal(struct load *load, uv_signal_t *handle, int number)
{
	uv_signal_init(&load->loop, handle);
	handle->data = load;
	uv_signal_start(handle, on_signal, number);
}

static void start(struct load *load)
{
	const struct options *options = &load->options;
	uv_loop_init(&load->loop);
	load->nodes = calloc(options->nodes, sizeof(*load->nodes));
	load->batch = malloc(NODE_BATCH_BYTES);
	if (load->nodes == NULL || load->batch == NULL)
		dp_log_out_of_memory("the nodes");
	dp_clock_system(&load->clock);
	load->start_us = load->clock.wall_us(load->clock.data);
	load->start_ms = (int64_t)uv_now(&load->loop);
	load->all_answered = stop;
	load->open = options->nodes;
	for (uint64_t i = 0; i < options->nodes; i++)
		node_open(load, i);
	uv_timer_init(&load->loop, &load->tick);
	load->tick.data = load;
	uv_timer_start(&load->tick, on_tick, 0, TICK_MS);
	watch_signal(load, &load->sigterm, SIGTERM);
	watch_signal(load, &load->sigint, SIGINT);
}

int main(int argc, char **argv)
{
	struct load load = {.stopping = false};
	int code = parse_options(&load.options, argc, argv);
	if (code >= 0)
		return code;
	dp_log_init("nodes", DP_LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	start(&load);
	uv_run(&load.loop, UV_RUN_DEFAULT);
	bool complete = report(&load);
	for (uint64_t i = 0; i < load.options.nodes; i++)
		node_finish(&load.nodes[i]);
	free(load.nodes);
	free(load.batch);
	int err = uv_loop_close(&load.loop);
	assert(err == 0);
	(void)err;
	return complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
