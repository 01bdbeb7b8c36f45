#include "tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "certificate.h"
#include "log.h"
#include "version.h"

#define FILE_MAX (4L << 20)
#define CA_SETTING "TLS_CA_FILE"
#define CERT_SETTING "TLS_CERT_FILE"
#define KEY_SETTING "TLS_KEY_FILE"

/* One of the files, being read. */
struct text {
	const char *setting, *path;
	char *bytes; /* with a NUL behind them */
	size_t len;
	struct stat stat;
};

__attribute__((format(printf, 4, 5))) static void find(struct dp_tls_finding *finding,
	const char *setting, const char *path, const char *words, ...)
{
	va_list args;
	finding->setting = setting;
	finding->path = path;
	va_start(args, words);
	vsnprintf(finding->words, sizeof(finding->words), words, args);
	va_end(args);
}

static struct dp_tls_finding *doubt(struct dp_tls_report *report)
{
	return &report->doubts[report->n_doubts++];
}

static const char *openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	return reason != NULL ? reason : "OpenSSL does not say why";
}

/* ---- reading ---- */

static void find_unreadable(
	struct dp_tls_report *report, const struct text *text, int error)
{
	struct stat is;
	char owner[80] = "";
	if (error != EACCES) {
		find(&report->wrong, text->setting, text->path, "cannot be read: %s",
			strerror(error));
		return;
	}
	if (stat(text->path, &is) == 0)
		snprintf(owner, sizeof(owner), ", which is of uid %u, gid %u, mode %04o",
			is.st_uid, is.st_gid, is.st_mode & 07777u);
	find(&report->wrong, text->setting, text->path,
		"uid %u, gid %u may not read it%s: give it the file", geteuid(), getegid(),
		owner);
}

static int read_bytes(struct dp_tls_report *report, struct text *text, int fd)
{
	if (fstat(fd, &text->stat) != 0) {
		find_unreadable(report, text, errno);
		return -1;
	}
	if (!S_ISREG(text->stat.st_mode) || text->stat.st_size > FILE_MAX) {
		find(&report->wrong, text->setting, text->path, "%s",
			S_ISREG(text->stat.st_mode) ? "is larger than 4 MiB"
						    : "is not a regular file");
		return -1;
	}
	size_t size = (size_t)text->stat.st_size;
	text->bytes = malloc(size + 1);
	if (text->bytes == NULL)
		dp_log_out_of_memory("a file of TLS");
	ssize_t n;
	while (text->len < size &&
		(n = read(fd, text->bytes + text->len, size - text->len)) != 0) {
		if (n < 0) {
			find_unreadable(report, text, errno);
			return -1;
		}
		text->len += (size_t)n;
	}
	text->bytes[text->len] = '\0';
	return 0;
}

static int read_text(struct dp_tls_report *report, struct text *text)
{
	/* Not to wait for the writer of a FIFO. */
	int fd = open(text->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		find_unreadable(report, text, errno);
		return -1;
	}
	int err = read_bytes(report, text, fd);
	close(fd);
	return err;
}

static void forget_text(struct text *text)
{
	if (text->bytes != NULL)
		OPENSSL_cleanse(text->bytes, text->len);
	free(text->bytes);
	text->bytes = NULL;
}

static BIO *open_text(const struct text *text)
{
	BIO *bio = BIO_new_mem_buf(text->bytes, (int)text->len);
	if (bio == NULL)
		dp_log_out_of_memory("a file of TLS");
	return bio;
}

/* ---- parsing ---- */

/* OpenSSL would ask for a passphrase on the terminal. */
static int refuse_passphrase(char *out, int size, int writing, void *data)
{
	bool *asked = data;
	(void)out, (void)size, (void)writing;
	*asked = true;
	return -1;
}

/* @return how many were added, which are the caller's; -1: one cannot be parsed */
static int read_certificates(const struct text *text, STACK_OF(X509) * out)
{
	bool asked = false;
	BIO *bio = open_text(text);
	X509 *cert;
	int n = 0;
	ERR_clear_error();
	while ((cert = PEM_read_bio_X509_AUX(bio, NULL, refuse_passphrase, &asked)) !=
		NULL) {
		if (sk_X509_push(out, cert) == 0)
			dp_log_out_of_memory("a certificate");
		n++;
	}
	bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	BIO_free(bio);
	return end ? n : -1;
}

static int find_no_certificate(struct dp_tls_report *report, const struct text *text, int n)
{
	if (n > 0)
		return 0;
	if (n < 0)
		find(&report->wrong, text->setting, text->path,
			"has a certificate that cannot be read: %s", openssl_reason());
	else
		find(&report->wrong, text->setting, text->path, "%s",
			strstr(text->bytes, "PRIVATE KEY-----") != NULL
				? "holds a private key and no certificate: are the two "
				  "files exchanged?"
				: "holds no certificate (in PEM, with BEGIN CERTIFICATE)");
	return -1;
}

static EVP_PKEY *read_key(struct dp_tls_report *report, const struct text *text)
{
	bool asked = false;
	BIO *bio = open_text(text);
	ERR_clear_error();
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &asked);
	BIO_free(bio);
	if (key != NULL)
		return key;
	if (asked)
		find(&report->wrong, text->setting, text->path,
			"is encrypted, and nobody is there to type the passphrase: store "
			"it without, as `openssl pkey` does");
	else if (strstr(text->bytes, "PRIVATE KEY-----") != NULL)
		find(&report->wrong, text->setting, text->path,
			"has a private key that cannot be read: %s", openssl_reason());
	else
		find(&report->wrong, text->setting, text->path, "%s",
			strstr(text->bytes, "BEGIN CERTIFICATE") != NULL
				? "holds a certificate and no private key: are the two "
				  "files exchanged?"
				: "holds no private key (in PEM, with BEGIN PRIVATE KEY)");
	return NULL;
}

/* ---- what a broker may not like ---- */

static int64_t now_s(const struct dp_clock *clock)
{
	return clock->wall_us(clock->data) / 1000000;
}

static bool is_plausible(const struct dp_clock *clock)
{
	return dp_clock_mark(clock, DP_CLOCK_TRUST_AUTO, dp_build_epoch) != DP_CLOCK_NONE;
}

void dp_tls_today(const struct dp_clock *clock, char *out, size_t size)
{
	char day[DP_CERTIFICATE_DATE_MAX];
	dp_certificate_day(now_s(clock), day);
	snprintf(out, size,
		is_plausible(clock) ? "today is %s here" : "the clock here is not set: %s",
		day);
}

static void doubt_mode(struct dp_tls_report *report, const struct text *key)
{
	unsigned mode = key->stat.st_mode & 07777u;
	if ((mode & S_IRWXO) != 0)
		find(doubt(report), KEY_SETTING, key->path,
			"mode %04o lets every user of this machine read it: chmod o= it",
			mode);
}

static void doubt_dates(
	struct dp_tls_report *report, const struct dp_tls_files *files, const X509 *cert)
{
	char date[DP_CERTIFICATE_DATE_MAX], today[64];
	int age = is_plausible(files->clock) ? dp_certificate_age(cert, now_s(files->clock))
					     : 0;
	if (age == 0)
		return;
	dp_tls_today(files->clock, today, sizeof(today));
	dp_certificate_date(
		age < 0 ? X509_get0_notBefore(cert) : X509_get0_notAfter(cert), date);
	find(doubt(report), CERT_SETTING, files->cert_file,
		age < 0 ? "it is not valid before %s, and %s"
			: "it has ended on %s, and %s",
		date, today);
}

static void doubt_issuer(struct dp_tls_report *report, const struct dp_tls_files *files,
	X509_STORE *authorities, X509 *cert, STACK_OF(X509) * chain)
{
	char issuer[64];
	X509_STORE_CTX *verify = X509_STORE_CTX_new();
	if (verify == NULL || X509_STORE_CTX_init(verify, authorities, cert, chain) != 1)
		dp_log_out_of_memory("a certificate's check");
	X509_STORE_CTX_set_purpose(verify, X509_PURPOSE_SSL_CLIENT);
	X509_STORE_CTX_set_flags(verify, X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(verify) != 1) {
		int error = X509_STORE_CTX_get_error(verify);
		dp_certificate_issuer(cert, issuer, sizeof(issuer));
		if (error == X509_V_ERR_INVALID_PURPOSE)
			find(doubt(report), CERT_SETTING, files->cert_file,
				"it is not one for clients (extendedKeyUsage)");
		else
			find(doubt(report), CERT_SETTING, files->cert_file,
				"it was issued by %s, not by " CA_SETTING ": %s", issuer,
				X509_verify_cert_error_string(error));
	}
	X509_STORE_CTX_free(verify);
}

static void sum_up(struct dp_tls_report *report)
{
	size_t used = 0;
	for (unsigned i = 0; i < report->n_doubts; i++) {
		const struct dp_tls_finding *found = &report->doubts[i];
		if (strcmp(found->setting, CERT_SETTING) != 0 ||
			used >= sizeof(report->refusable))
			continue;
		used += (size_t)snprintf(report->refusable + used,
			sizeof(report->refusable) - used, "%s%s", used > 0 ? "; " : "",
			found->words);
	}
}

/* ---- the context ---- */

static int use_authorities(
	SSL_CTX *context, const struct dp_tls_files *files, struct dp_tls_report *report)
{
	struct text text = {.setting = CA_SETTING, .path = files->ca_file};
	STACK_OF(X509) *certs = sk_X509_new_null();
	if (certs == NULL)
		dp_log_out_of_memory("a file of TLS");
	int err = read_text(report, &text);
	if (err == 0)
		err = find_no_certificate(report, &text, read_certificates(&text, certs));
	for (int i = 0; err == 0 && i < sk_X509_num(certs); i++) {
		if (X509_STORE_add_cert(
			    SSL_CTX_get_cert_store(context), sk_X509_value(certs, i)) != 1)
			dp_log_out_of_memory("a certificate");
	}
	sk_X509_pop_free(certs, X509_free);
	forget_text(&text);
	return err;
}

/* The first of the certificates is ours, the others lead from it to an authority. */
static int use_pair(SSL_CTX *context, const struct dp_tls_files *files,
	struct dp_tls_report *report, STACK_OF(X509) * certs, EVP_PKEY *key)
{
	X509 *cert = sk_X509_shift(certs);
	int err = 0;
	if (X509_check_private_key(cert, key) != 1) {
		find(&report->wrong, KEY_SETTING, files->key_file,
			"is not the key of " CERT_SETTING " (%s): they are of two pairs",
			files->cert_file);
		err = -1;
	} else if (SSL_CTX_use_cert_and_key(context, cert, key, certs, 1) != 1) {
		find(&report->wrong, CERT_SETTING, files->cert_file, "cannot be used: %s",
			openssl_reason());
		err = -1;
	} else {
		doubt_issuer(report, files, SSL_CTX_get_cert_store(context), cert, certs);
		doubt_dates(report, files, cert);
	}
	X509_free(cert);
	return err;
}

static int use_own(
	SSL_CTX *context, const struct dp_tls_files *files, struct dp_tls_report *report)
{
	struct text cert_text = {.setting = CERT_SETTING, .path = files->cert_file};
	struct text key_text = {.setting = KEY_SETTING, .path = files->key_file};
	STACK_OF(X509) *certs = sk_X509_new_null();
	EVP_PKEY *key = NULL;
	if (certs == NULL)
		dp_log_out_of_memory("a file of TLS");
	int err = read_text(report, &cert_text);
	if (err == 0)
		err = find_no_certificate(
			report, &cert_text, read_certificates(&cert_text, certs));
	if (err == 0)
		err = read_text(report, &key_text);
	if (err == 0)
		key = read_key(report, &key_text);
	if (err == 0)
		err = key != NULL ? use_pair(context, files, report, certs, key) : -1;
	if (err == 0)
		doubt_mode(report, &key_text);
	EVP_PKEY_free(key);
	sk_X509_pop_free(certs, X509_free);
	forget_text(&key_text);
	forget_text(&cert_text);
	return err;
}

SSL_CTX *dp_tls_files_load(const struct dp_tls_files *files, struct dp_tls_report *report)
{
	*report = (struct dp_tls_report){.n_doubts = 0};
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
		dp_log_out_of_memory("TLS");
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	int err = use_authorities(context, files, report);
	if (err == 0 && files->cert_file != NULL)
		err = use_own(context, files, report);
	if (err == 0)
		sum_up(report);
	/* Errors left in OpenSSL's queue would be taken for the connection's. */
	ERR_clear_error();
	if (err == 0)
		return context;
	SSL_CTX_free(context);
	return NULL;
}
