#include "tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certificate.h"
#include "certs.h"

#define FILE_SIZE (PATH_SIZE + 32)
#define TODAY INT64_C(4000000000) /* 2096-10-02: later than any build */
#define CLIENT "clientAuth"

/* An authority, and the files of a node that it has given a certificate to. */
struct scene {
	const char *directory;
	struct pair authority, node;
	int64_t now_s;
	struct dp_clock clock;
	char ca_path[FILE_SIZE], cert_path[FILE_SIZE], key_path[FILE_SIZE];
	struct dp_tls_files files;
	struct dp_tls_report report;
};

static void write_authority(struct scene *s)
{
	write_pem(
		s->ca_path, s->directory, "ca.pem", &s->authority.cert, 1, NULL, KEY_NONE);
}

static void write_node(struct scene *s, enum key_form form)
{
	write_pem(s->cert_path, s->directory, "node.pem", &s->node.cert, 1, NULL, KEY_NONE);
	write_pem(s->key_path, s->directory, "node.key", NULL, 0, s->node.key, form);
}

static void begin(struct scene *s, void **state, const struct issue *issue)
{
	struct issue node = *issue;
	*s = (struct scene){.directory = *state, .now_s = TODAY};
	s->clock = clock_at(&s->now_s);
	s->authority = make_pair(&(struct issue){.name = "authority", .authority = true});
	if (node.by == NULL)
		node.by = &s->authority;
	s->node = make_pair(&node);
	write_authority(s);
	write_node(s, KEY_PKCS8);
	s->files = (struct dp_tls_files){.ca_file = s->ca_path,
		.cert_file = s->cert_path,
		.key_file = s->key_path,
		.clock = &s->clock};
}

static void finish(struct scene *s)
{
	free_pair(&s->authority);
	free_pair(&s->node);
}

/* @return whether they can be used; nothing is left in OpenSSL's queue for others to find
 */
static bool load(struct scene *s)
{
	SSL_CTX *context = dp_tls_files_load(&s->files, &s->report);
	bool usable = context != NULL;
	SSL_CTX_free(context);
	assert_int_equal(ERR_peek_error(), 0);
	assert_int_equal(usable, s->report.wrong.setting == NULL);
	return usable;
}

static void assert_good(struct scene *s)
{
	if (!load(s))
		fail_msg("%s: %s", s->report.wrong.setting, s->report.wrong.words);
	if (s->report.n_doubts > 0)
		fail_msg("%s", s->report.doubts[0].words);
	assert_string_equal(s->report.refusable, "");
}

static void assert_wrong(struct scene *s, const char *setting, const char *words)
{
	assert_false(load(s));
	assert_string_equal(s->report.wrong.setting, setting);
	if (strstr(s->report.wrong.words, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, s->report.wrong.words);
}

static void assert_doubt(struct scene *s, const char *setting, const char *words)
{
	assert_true(load(s));
	assert_int_equal(s->report.n_doubts, 1);
	assert_string_equal(s->report.doubts[0].setting, setting);
	if (strstr(s->report.doubts[0].words, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, s->report.doubts[0].words);
}

static const struct issue ordinary = {.name = "node", .usage = CLIENT};

/* ---- what is good ---- */

static void test_keys_of_all_forms(void **state)
{
	static const enum key_form forms[] = {KEY_PKCS8, KEY_TRADITIONAL};
	static const int bits[] = {0, 2048};
	for (size_t i = 0; i < LENGTH(bits); i++) {
		struct scene s;
		begin(&s, state,
			&(struct issue){
				.name = "node", .usage = CLIENT, .rsa_bits = bits[i]});
		for (size_t j = 0; j < LENGTH(forms); j++) {
			write_node(&s, forms[j]);
			assert_good(&s);
		}
		finish(&s);
	}
}

static void test_without_a_certificate(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	s.files.cert_file = s.files.key_file = NULL;
	assert_good(&s);
	finish(&s);
}

static void test_certificate_and_key_in_one_file(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	write_pem(s.cert_path, s.directory, "node.pem", &s.node.cert, 1, s.node.key,
		KEY_PKCS8);
	s.files.key_file = s.cert_path;
	assert_good(&s);
	finish(&s);
}

static void test_a_chain_leads_to_the_authority(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	struct pair between = make_pair(
		&(struct issue){.name = "between", .by = &s.authority, .authority = true});
	struct pair node =
		make_pair(&(struct issue){.name = "node", .by = &between, .usage = CLIENT});
	X509 *chain[] = {node.cert, between.cert};
	write_pem(s.key_path, s.directory, "node.key", NULL, 0, node.key, KEY_PKCS8);
	write_pem(s.cert_path, s.directory, "node.pem", chain, 2, NULL, KEY_NONE);
	assert_good(&s);
	/* All of it is sent. */
	SSL_CTX *context = dp_tls_files_load(&s.files, &s.report);
	STACK_OF(X509) *sent = NULL;
	assert_int_equal(SSL_CTX_get0_chain_certs(context, &sent), 1);
	assert_int_equal(sk_X509_num(sent), 1);
	SSL_CTX_free(context);
	/* Without the one between, nobody knows who issued it. */
	write_pem(s.cert_path, s.directory, "node.pem", chain, 1, NULL, KEY_NONE);
	assert_doubt(
		&s, "TLS_CERT_FILE", "it was issued by CN=between, not by TLS_CA_FILE");
	free_pair(&between);
	free_pair(&node);
	finish(&s);
}

static void test_one_of_many_authorities(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	struct pair other = make_pair(&(struct issue){.name = "other", .authority = true});
	X509 *both[] = {other.cert, s.authority.cert};
	write_pem(s.ca_path, s.directory, "ca.pem", both, 2, NULL, KEY_NONE);
	assert_good(&s);
	free_pair(&other);
	finish(&s);
}

/* ---- what may be right ---- */

static void test_another_authority(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	struct pair other = make_pair(&(struct issue){.name = "other", .authority = true});
	write_pem(s.ca_path, s.directory, "ca.pem", &other.cert, 1, NULL, KEY_NONE);
	assert_doubt(
		&s, "TLS_CERT_FILE", "it was issued by CN=authority, not by TLS_CA_FILE");
	assert_string_equal(s.report.refusable, s.report.doubts[0].words);
	/* One of the same name is still another. */
	free_pair(&other);
	other = make_pair(&(struct issue){.name = "authority", .authority = true});
	write_pem(s.ca_path, s.directory, "ca.pem", &other.cert, 1, NULL, KEY_NONE);
	assert_doubt(
		&s, "TLS_CERT_FILE", "it was issued by CN=authority, not by TLS_CA_FILE");
	free_pair(&other);
	finish(&s);
}

static void test_dates(void **state)
{
	struct scene s;
	begin(&s, state,
		&(struct issue){.name = "node",
			.usage = CLIENT,
			.from = "20960601000000Z",
			.to = "20970601000000Z"});
	assert_good(&s);
	s.now_s += INT64_C(365) * 86400;
	assert_doubt(&s, "TLS_CERT_FILE",
		"it has ended on 2097-06-01, and today is 2097-10-02 here");
	s.now_s = TODAY;
	free_pair(&s.node);
	s.node = make_pair(&(struct issue){.name = "node",
		.by = &s.authority,
		.usage = CLIENT,
		.from = "20990101000000Z"});
	write_node(&s, KEY_PKCS8);
	assert_doubt(&s, "TLS_CERT_FILE",
		"it is not valid before 2099-01-01, and today is 2096-10-02");
	assert_string_equal(s.report.refusable, s.report.doubts[0].words);
	/* A board that has booted in 1970 does not know. */
	s.now_s = 86400;
	assert_good(&s);
	finish(&s);
}

static void test_a_certificate_for_servers(void **state)
{
	struct scene s;
	begin(&s, state, &(struct issue){.name = "node", .usage = "serverAuth"});
	assert_doubt(&s, "TLS_CERT_FILE", "it is not one for clients");
	finish(&s);
}

static void test_a_key_that_others_may_read(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	assert_int_equal(chmod(s.key_path, 0604), 0);
	assert_doubt(
		&s, "TLS_KEY_FILE", "mode 0604 lets every user of this machine read it");
	/* No reason for the broker to refuse us. */
	assert_string_equal(s.report.refusable, "");
	assert_int_equal(chmod(s.key_path, 0640), 0);
	assert_good(&s);
	finish(&s);
}

static void test_all_doubts_at_once(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	free_pair(&s.node);
	s.node = make_pair(&(struct issue){.name = "node", .to = "20200101000000Z"});
	write_node(&s, KEY_PKCS8);
	assert_int_equal(chmod(s.key_path, 0644), 0);
	assert_true(load(&s));
	assert_int_equal(s.report.n_doubts, DP_TLS_DOUBTS);
	assert_non_null(strstr(s.report.refusable, "issued by CN=node"));
	assert_non_null(strstr(s.report.refusable, "; it has ended on 2020-01-01"));
	finish(&s);
}

/* ---- what is wrong ---- */

static void test_a_key_of_another(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	struct pair other = make_pair(&ordinary);
	write_pem(s.key_path, s.directory, "node.key", NULL, 0, other.key, KEY_PKCS8);
	assert_wrong(&s, "TLS_KEY_FILE", "is not the key of TLS_CERT_FILE");
	assert_non_null(strstr(s.report.wrong.words, s.cert_path));
	free_pair(&other);
	/* Nor one of another kind. */
	other = make_pair(&(struct issue){.name = "node", .rsa_bits = 2048});
	write_pem(s.key_path, s.directory, "node.key", NULL, 0, other.key, KEY_PKCS8);
	assert_wrong(&s, "TLS_KEY_FILE", "is not the key of TLS_CERT_FILE");
	free_pair(&other);
	finish(&s);
}

/* Nobody is asked for a passphrase: standard input, where it would be typed, has it. */
static void test_an_encrypted_key(void **state)
{
	static const enum key_form forms[] = {KEY_ENCRYPTED, KEY_ENCRYPTED_OLD};
	struct scene s;
	begin(&s, state, &ordinary);
	int saved = dup(STDIN_FILENO), pipes[2];
	require(saved >= 0 && pipe(pipes) == 0 && write(pipes[1], "geheim\n", 7) == 7);
	dup2(pipes[0], STDIN_FILENO);
	for (size_t i = 0; i < LENGTH(forms); i++) {
		write_node(&s, forms[i]);
		assert_wrong(&s, "TLS_KEY_FILE", "is encrypted");
	}
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(pipes[0]);
	close(pipes[1]);
	finish(&s);
}

static void test_exchanged_files(void **state)
{
	struct scene s;
	begin(&s, state, &ordinary);
	s.files.cert_file = s.key_path;
	assert_wrong(&s, "TLS_CERT_FILE", "holds a private key and no certificate");
	s.files.cert_file = s.files.key_file = s.cert_path;
	assert_wrong(&s, "TLS_KEY_FILE", "holds a certificate and no private key");
	finish(&s);
}

/* Each file in turn holds this. */
static void assert_all_wrong(struct scene *s, const char *text, size_t len,
	const char *cert_words, const char *key_words)
{
	write_file(s->ca_path, text, len);
	assert_wrong(s, "TLS_CA_FILE", cert_words);
	write_authority(s);
	write_file(s->cert_path, text, len);
	assert_wrong(s, "TLS_CERT_FILE", cert_words);
	write_node(s, KEY_PKCS8);
	write_file(s->key_path, text, len);
	assert_wrong(s, "TLS_KEY_FILE", key_words);
	write_node(s, KEY_PKCS8);
	assert_good(s);
}

static void test_garbage(void **state)
{
	static const char nonsense[] = "no\0thing of\nuse";
	struct scene s;
	begin(&s, state, &ordinary);
	assert_all_wrong(&s, "", 0, "holds no certificate", "holds no private key");
	assert_all_wrong(&s, nonsense, sizeof(nonsense), "holds no certificate",
		"holds no private key");
	const char *bad_cert =
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
	write_file(s.cert_path, bad_cert, strlen(bad_cert));
	assert_wrong(&s, "TLS_CERT_FILE", "has a certificate that cannot be read");
	write_node(&s, KEY_PKCS8);
	const char *bad_key =
		"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
	write_file(s.key_path, bad_key, strlen(bad_key));
	assert_wrong(&s, "TLS_KEY_FILE", "has a private key that cannot be read");
	finish(&s);
}

/* As a reader sees a file that is being written in place. */
static void test_cut_short_anywhere(void **state)
{
	struct scene s;
	char text[4096];
	begin(&s, state, &ordinary);
	const char *const paths[] = {s.ca_path, s.cert_path, s.key_path};
	for (size_t i = 0; i < LENGTH(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		ssize_t len = read(fd, text, sizeof(text));
		require(len > 0 && len < (ssize_t)sizeof(text));
		close(fd);
		/* Its last line may lack its end. */
		for (ssize_t n = 0; n < len - 2; n += 7) {
			write_file(paths[i], text, (size_t)n);
			if (load(&s))
				fail_msg("%s is good with %zd of %zd bytes", paths[i], n,
					len);
		}
		write_file(paths[i], text, (size_t)len);
		assert_good(&s);
	}
	finish(&s);
}

static void test_a_key_that_is_too_weak(void **state)
{
	struct scene s;
	begin(&s, state,
		&(struct issue){.name = "node", .usage = CLIENT, .rsa_bits = 1024});
	assert_wrong(&s, "TLS_CERT_FILE", "cannot be used: ee key too small");
	finish(&s);
}

static void test_what_is_no_file(void **state)
{
	struct scene s;
	char path[FILE_SIZE];
	begin(&s, state, &ordinary);
	s.files.key_file = s.directory;
	assert_wrong(&s, "TLS_KEY_FILE", "is not a regular file");
	snprintf(path, sizeof(path), "%s/fifo", s.directory);
	require(mkfifo(path, 0600) == 0);
	s.files.key_file = path; /* which nobody writes to */
	assert_wrong(&s, "TLS_KEY_FILE", "is not a regular file");
	snprintf(path, sizeof(path), "%s/none", s.directory);
	assert_wrong(&s, "TLS_KEY_FILE", "cannot be read: No such file");
	snprintf(path, sizeof(path), "%s/large", s.directory);
	write_file(path, "", 0);
	require(truncate(path, (4 << 20) + 1) == 0);
	assert_wrong(&s, "TLS_KEY_FILE", "is larger than 4 MiB");
	finish(&s);
}

static void test_a_file_that_is_not_ours(void **state)
{
	struct scene s;
	char words[64];
	begin(&s, state, &ordinary);
	require(chmod(s.directory, 0711) == 0 && chmod(s.key_path, 0) == 0 &&
		chmod(s.cert_path, 0644) == 0 && chmod(s.ca_path, 0644) == 0);
	/* root may read everything. */
	uid_t uid = geteuid();
	require(uid != 0 || seteuid(65534) == 0);
	snprintf(words, sizeof(words), "uid %u, gid %u may not read it, which is of uid %u",
		geteuid(), getegid(), uid);
	bool usable = load(&s);
	require(uid != 0 || seteuid(0) == 0);
	assert_false(usable);
	assert_string_equal(s.report.wrong.setting, "TLS_KEY_FILE");
	assert_non_null(strstr(s.report.wrong.words, words));
	assert_non_null(strstr(s.report.wrong.words, "mode 0000: give it the file"));
	finish(&s);
}

/* ---- names ---- */

static void test_names_of_strangers(void **state)
{
	char text[32];
	(void)state;
	struct pair pair = make_pair(&(struct issue){.name = "a\" msg=\"forged\n"});
	dp_certificate_subject(pair.cert, text, sizeof(text));
	assert_string_equal(text, "CN=a?? msg=??forged?0A");
	free_pair(&pair);
	/* Cut between characters. */
	pair = make_pair(&(struct issue){.name = "äöüäöü"});
	dp_certificate_issuer(pair.cert, text, 6);
	assert_string_equal(text, "CN=ä");
	dp_certificate_hosts(pair.cert, text, sizeof(text));
	assert_string_equal(text, "CN=äöüäöü");
	free_pair(&pair);
	pair = make_pair(&(struct issue){.name = "x",
		.hosts = "DNS:a.example.org,email:me@example.org,IP:192.0.2.1,IP:::1"});
	dp_certificate_hosts(pair.cert, text, sizeof(text));
	assert_string_equal(text, "a.example.org, 192.0.2.1, ::1");
	dp_certificate_hosts(pair.cert, text, 20);
	assert_string_equal(text, "a.example.org, ::1");
	free_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_keys_of_all_forms),
		IN_DIRECTORY(test_without_a_certificate),
		IN_DIRECTORY(test_certificate_and_key_in_one_file),
		IN_DIRECTORY(test_a_chain_leads_to_the_authority),
		IN_DIRECTORY(test_one_of_many_authorities),
		IN_DIRECTORY(test_another_authority),
		IN_DIRECTORY(test_dates),
		IN_DIRECTORY(test_a_certificate_for_servers),
		IN_DIRECTORY(test_a_key_that_others_may_read),
		IN_DIRECTORY(test_all_doubts_at_once),
		IN_DIRECTORY(test_a_key_of_another),
		IN_DIRECTORY(test_an_encrypted_key),
		IN_DIRECTORY(test_exchanged_files),
		IN_DIRECTORY(test_garbage),
		IN_DIRECTORY(test_cut_short_anywhere),
		IN_DIRECTORY(test_a_key_that_is_too_weak),
		IN_DIRECTORY(test_what_is_no_file),
		IN_DIRECTORY(test_a_file_that_is_not_ours),
		cmocka_unit_test(test_names_of_strangers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
