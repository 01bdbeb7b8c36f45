#include "mqtt_tls.h"

#include <signal.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certs.h"

#define FILE_SIZE (PATH_SIZE + 32)
#define TODAY INT64_C(4000000000) /* 2096-10-02: later than any build */
#define HOST "broker.example.org"

/* A client and a broker that shake hands over a socket pair. */
struct scene {
	const char *directory;
	struct pair authority, broker, node;
	int64_t now_s;
	struct dp_clock clock;
	char ca_path[FILE_SIZE], cert_path[FILE_SIZE];
	struct dp_tls_files files;
	struct dp_mqtt_tls tls;
	SSL_CTX *broker_context;
	SSL *client, *server;
	int fds[2],
		fd; /* client's, broker's; and the client's once more, as a bus has it */
};

static void begin(struct scene *s, void **state, const struct issue *broker)
{
	struct issue issue = *broker;
	*s = (struct scene){.directory = *state, .now_s = TODAY};
	signal(SIGPIPE, SIG_IGN);
	s->clock = clock_at(&s->now_s);
	s->authority = make_pair(&(struct issue){.name = "authority", .authority = true});
	if (issue.by == NULL)
		issue.by = &s->authority;
	s->broker = make_pair(&issue);
	write_pem(
		s->ca_path, s->directory, "ca.pem", &s->authority.cert, 1, NULL, KEY_NONE);
	s->files = (struct dp_tls_files){.ca_file = s->ca_path, .clock = &s->clock};
	s->broker_context = SSL_CTX_new(TLS_server_method());
	require(SSL_CTX_use_cert_and_key(
			s->broker_context, s->broker.cert, s->broker.key, NULL, 1) == 1);
}

/* The client has a certificate as well. */
static void certify(struct scene *s)
{
	s->node = make_pair(&(struct issue){
		.name = "node", .by = &s->authority, .usage = "clientAuth"});
	write_pem(s->cert_path, s->directory, "node.pem", &s->node.cert, 1, s->node.key,
		KEY_PKCS8);
	s->files.cert_file = s->files.key_file = s->cert_path;
}

static void finish(struct scene *s)
{
	SSL_CTX_free(s->broker_context);
	free_pair(&s->authority);
	free_pair(&s->broker);
	free_pair(&s->node);
}

static void connect_both(struct scene *s, const char *host)
{
	SSL_CTX *context = dp_mqtt_tls_begin(&s->tls, host, &s->files);
	require(context != NULL);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fds) == 0);
	s->fd = dup(s->fds[0]);
	s->client = SSL_new(context);
	s->server = SSL_new(s->broker_context);
	SSL_CTX_free(context);
	require(SSL_set_fd(s->client, s->fds[0]) == 1 &&
		SSL_set_fd(s->server, s->fds[1]) == 1);
	SSL_set_connect_state(s->client);
	SSL_set_accept_state(s->server);
	dp_mqtt_tls_connected(&s->tls, s->client);
}

/* As far as both get. @return whether the broker is content */
static bool shake_hands(struct scene *s)
{
	int err = 0;
	ERR_clear_error();
	for (int i = 0; i < 6; i++) {
		SSL_do_handshake(s->client);
		ERR_clear_error();
		int done = SSL_do_handshake(s->server);
		err = SSL_get_error(s->server, done);
		ERR_clear_error();
	}
	return err == SSL_ERROR_NONE;
}

/* The broker hangs up; the client reads what there is, or is about to send CONNECT. */
static void lose(struct scene *s, bool reads)
{
	char byte = 'x';
	SSL_free(s->server);
	close(s->fds[1]);
	if (reads)
		assert_true(SSL_read(s->client, &byte, 1) <= 0);
	else
		assert_true(SSL_write(s->client, &byte, 1) <= 0);
	ERR_clear_error();
	/* As the library does before it says anything. */
	SSL_shutdown(s->client);
	SSL_free(s->client);
	close(s->fds[0]);
}

static void end(struct scene *s)
{
	dp_mqtt_tls_end(&s->tls);
	close(s->fd);
}

static void assert_said(struct scene *s, const char *words)
{
	const char *said = dp_mqtt_tls_fault(&s->tls, s->fd);
	assert_non_null(said);
	if (strstr(said, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, said);
}

static void assert_fault(struct scene *s, const char *host, const char *words)
{
	connect_both(s, host);
	assert_false(shake_hands(s));
	lose(s, true);
	assert_said(s, words);
	end(s);
}

static void assert_connects(struct scene *s, const char *host)
{
	connect_both(s, host);
	assert_true(shake_hands(s));
	if (s->tls.words[0] != '\0')
		fail_msg("%s", s->tls.words);
	lose(s, true);
	end(s);
}

static const struct issue ordinary = {
	.name = HOST, .usage = "serverAuth", .hosts = "DNS:" HOST ",IP:192.0.2.1"};

static void test_hosts(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	assert_connects(&s, HOST);
	assert_connects(&s, "192.0.2.1");
	assert_fault(&s, "192.0.2.2", "is for " HOST ", 192.0.2.1, not for 192.0.2.2");
	assert_fault(&s, "example.org", "is for " HOST ", 192.0.2.1, not for example.org");
	finish(&s);
	begin(&s, state, &(struct issue){.name = "192.0.2.1"});
	assert_connects(&s, "192.0.2.1");
	assert_fault(&s, HOST, "is for CN=192.0.2.1, not for " HOST);
	finish(&s);
}

static void test_authorities(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	struct pair other = make_pair(&(struct issue){.name = "other", .authority = true});
	write_pem(s.ca_path, s.directory, "ca.pem", &other.cert, 1, NULL, KEY_NONE);
	assert_fault(&s, HOST,
		"the broker's certificate (CN=" HOST
		") was issued by CN=authority, which is no "
		"authority of TLS_CA_FILE (");
	free_pair(&other);
	/* Of the same name, with another key. */
	other = make_pair(&(struct issue){.name = "authority", .authority = true});
	write_pem(s.ca_path, s.directory, "ca.pem", &other.cert, 1, NULL, KEY_NONE);
	assert_fault(&s, HOST, "was issued by CN=authority, which is no authority");
	free_pair(&other);
	finish(&s);
}

/* The service's clock counts, not the kernel's. */
static void test_dates(void **state)
{
	struct scene s;
	begin(&s, state,
		&(struct issue){
			.name = HOST, .from = "20960101000000Z", .to = "20961231000000Z"});
	assert_connects(&s, HOST);
	s.now_s += INT64_C(100) * 86400;
	assert_fault(&s, HOST,
		"the broker's certificate (CN=" HOST
		") has ended on 2096-12-31, and today is "
		"2097-01-10 here");
	s.now_s -= INT64_C(400) * 86400;
	assert_fault(
		&s, HOST, "is not valid before 2096-01-01, and today is 2095-12-07 here");
	s.now_s = 86400;
	assert_fault(&s, HOST,
		"is not valid before 2096-01-01, and the clock here is not set: "
		"1970-01-02");
	finish(&s);
}

static void test_for_clients_only(void **state)
{
	struct scene s;
	begin(&s, state, &(struct issue){.name = HOST, .usage = "clientAuth"});
	assert_fault(&s, HOST, "is not one for servers");
	finish(&s);
}

/* What a broker does not like of ours, as if it had looked. */
static int reject(X509_STORE_CTX *verify, void *error)
{
	X509_STORE_CTX_set_error(verify, *(int *)error);
	return 0;
}

static const struct {
	int error;
	const char *words;
} refusals[] = {
	{X509_V_ERR_CERT_REVOKED, "refuses our certificate (CN=node): it is revoked"},
	{X509_V_ERR_CERT_HAS_EXPIRED,
		"(CN=node): for the broker it, or the list of those revoked"},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
		"(CN=node): the broker does not know who issued it"},
	{X509_V_ERR_CERT_NOT_YET_VALID,
		"(CN=node): for the broker it, or the list of those revoked, is bad or not "
		"valid yet (is the broker's clock right?)"},
	{X509_V_ERR_INVALID_PURPOSE, "(CN=node): unsupported certificate"},
	{X509_V_ERR_OUT_OF_MEM, "the broker broke off: internal error"},
};

/* Whether the client reads first, or finds that CONNECT cannot be sent. */
static void refused(void **state, int version, bool reads)
{
	for (size_t i = 0; i < LENGTH(refusals); i++) {
		struct scene s;
		int error = refusals[i].error;
		begin(&s, state, &ordinary);
		certify(&s);
		SSL_CTX_set_max_proto_version(s.broker_context, version);
		SSL_CTX_set_verify(s.broker_context, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_cert_verify_callback(s.broker_context, reject, &error);
		connect_both(&s, HOST);
		assert_false(shake_hands(&s));
		lose(&s, reads);
		assert_said(&s, refusals[i].words);
		end(&s);
		finish(&s);
	}
}

static void test_ours_is_refused(void **state)
{
	refused(state, TLS1_2_VERSION, true);
	refused(state, TLS1_3_VERSION, true);
	/* It was said before we could send, and the library has closed its socket. */
	refused(state, TLS1_3_VERSION, false);
}

static void test_ours_is_missing(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	SSL_CTX_set_verify(
		s.broker_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	assert_fault(&s, HOST, "wants a certificate: set TLS_CERT_FILE and TLS_KEY_FILE");
	SSL_CTX_set_max_proto_version(s.broker_context, TLS1_2_VERSION);
	assert_fault(
		&s, HOST, "handshake failure; it may want a certificate (TLS_CERT_FILE)");
	finish(&s);
}

static void test_a_broker_of_old(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	SSL_CTX_set_security_level(s.broker_context, 0);
	SSL_CTX_set_min_proto_version(s.broker_context, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(s.broker_context, TLS1_1_VERSION);
	assert_fault(&s, HOST, "speaks no version of TLS from 1.2 on");
	finish(&s);
}

static void test_a_broker_that_hangs_up(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	connect_both(&s, HOST);
	SSL_do_handshake(s.client);
	lose(&s, true);
	assert_said(&s, "hung up without a word of TLS");
	end(&s);

	connect_both(&s, HOST);
	SSL_do_handshake(s.client);
	SSL_CTX_set_max_proto_version(s.broker_context, TLS1_2_VERSION);
	SSL_set_max_proto_version(s.server, TLS1_2_VERSION);
	SSL_do_handshake(s.server);
	SSL_do_handshake(s.client);
	lose(&s, true);
	assert_said(&s, "hung up while TLS was being agreed on");
	end(&s);
	SSL_CTX_set_max_proto_version(s.broker_context, TLS1_3_VERSION);

	connect_both(&s, HOST);
	assert_true(shake_hands(&s));
	lose(&s, true);
	assert_said(&s, "without an answer to CONNECT: it may want a certificate");
	end(&s);

	certify(&s);
	connect_both(&s, HOST);
	assert_true(shake_hands(&s));
	lose(&s, true);
	assert_said(&s, "hung up without an answer to CONNECT: it may refuse our "
			"certificate (CN=node)");
	end(&s);
	finish(&s);
}

static void test_a_broker_without_tls(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	connect_both(&s, HOST);
	SSL_do_handshake(s.client);
	require(write(s.fds[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
	lose(&s, true);
	assert_said(&s, "the answer is not TLS");
	end(&s);
	finish(&s);
}

static void test_before_it_begins(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	SSL_CTX *context = dp_mqtt_tls_begin(&s.tls, HOST, &s.files);
	assert_non_null(context);
	SSL_CTX_free(context);
	/* That TCP fails is for others to say. */
	assert_null(dp_mqtt_tls_fault(&s.tls, -1));
	dp_mqtt_tls_end(&s.tls);
	s.files.ca_file = "/does/not/exist";
	assert_null(dp_mqtt_tls_begin(&s.tls, HOST, &s.files));
	assert_string_equal(dp_mqtt_tls_fault(&s.tls, -1),
		"TLS_CA_FILE (/does/not/exist) cannot be read: No such file or directory");
	dp_mqtt_tls_end(&s.tls);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_hosts),
		IN_DIRECTORY(test_authorities),
		IN_DIRECTORY(test_dates),
		IN_DIRECTORY(test_for_clients_only),
		IN_DIRECTORY(test_ours_is_refused),
		IN_DIRECTORY(test_ours_is_missing),
		IN_DIRECTORY(test_a_broker_of_old),
		IN_DIRECTORY(test_a_broker_that_hangs_up),
		IN_DIRECTORY(test_a_broker_without_tls),
		IN_DIRECTORY(test_before_it_begins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
