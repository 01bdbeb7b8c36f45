#include "mqtt_tls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "certificate.h"

#define NAME_BYTES 64
#define NO_ANSWER "the broker hung up without an answer to CONNECT"

/* The first is the cause, what comes after it its consequence. */
__attribute__((format(printf, 2, 3))) static void say(
	struct dp_mqtt_tls *tls, const char *words, ...)
{
	va_list args;
	if (tls->words[0] != '\0')
		return;
	va_start(args, words);
	vsnprintf(tls->words, sizeof(tls->words), words, args);
	va_end(args);
}

/* ---- the broker's certificate ---- */

static bool is_for(X509 *cert, const char *host)
{
	return X509_check_ip_asc(cert, host, 0) == 1 ||
	       X509_check_host(cert, host, strlen(host),
		       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* Whose certificate cannot be trusted, for the start of a sentence. */
static void print_culprit(const X509 *cert, int depth, char *out, size_t size)
{
	char name[NAME_BYTES];
	dp_certificate_subject(cert, name, sizeof(name));
	snprintf(out, size,
		depth == 0 ? "the broker's certificate (%s)"
			   : "the certificate of the broker's authority (%s)",
		name);
}

static void say_date(
	struct dp_mqtt_tls *tls, const X509 *cert, const char *whose, bool ended)
{
	char date[DP_CERTIFICATE_DATE_MAX], today[64];
	dp_tls_today(tls->files->clock, today, sizeof(today));
	dp_certificate_date(
		ended ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), date);
	say(tls, "%s %s %s, and %s", whose, ended ? "has ended on" : "is not valid before",
		date, today);
}

static void say_untrusted(struct dp_mqtt_tls *tls, X509_STORE_CTX *verify)
{
	char whose[NAME_BYTES + 48] = "the broker's certificate",
				issuer[NAME_BYTES] = "nobody";
	int error = X509_STORE_CTX_get_error(verify);
	const X509 *cert = X509_STORE_CTX_get_current_cert(verify);
	if (cert != NULL) {
		print_culprit(
			cert, X509_STORE_CTX_get_error_depth(verify), whose, sizeof(whose));
		dp_certificate_issuer(cert, issuer, sizeof(issuer));
	}
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		if (cert != NULL)
			say_date(tls, cert, whose, error == X509_V_ERR_CERT_HAS_EXPIRED);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		say(tls, "%s was issued by %s, which is no authority of TLS_CA_FILE (%s)",
			whose, issuer, tls->files->ca_file);
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		say(tls, "%s is not one for servers (extendedKeyUsage)", whose);
		break;
	default:
		break;
	}
	say(tls, "%s cannot be trusted: %s", whose, X509_verify_cert_error_string(error));
}

/* In place of X509_verify_cert(), as OpenSSL calls it when the certificate arrives. */
static int verify_broker(X509_STORE_CTX *verify, void *data)
{
	struct dp_mqtt_tls *tls = data;
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(verify),
		(time_t)(tls->files->clock->wall_us(tls->files->clock->data) / 1000000));
	if (X509_verify_cert(verify) != 1) {
		say_untrusted(tls, verify);
		return 0;
	}
	X509 *cert = X509_STORE_CTX_get0_cert(verify);
	if (is_for(cert, tls->host))
		return 1;
	char hosts[128];
	dp_certificate_hosts(cert, hosts, sizeof(hosts));
	say(tls, "the broker's certificate is for %s, not for %s", hosts, tls->host);
	X509_STORE_CTX_set_error(verify, X509_V_ERR_HOSTNAME_MISMATCH);
	return 0;
}

/* ---- what the broker says, and how the handshake fails ---- */

static void say_refused(struct dp_mqtt_tls *tls, const char *why)
{
	say(tls, "the broker refuses our certificate (%s): %s%s%s", tls->ours, why,
		tls->doubts[0] != '\0' ? "; " : "", tls->doubts);
}

static void note_alert(struct dp_mqtt_tls *tls, int alert)
{
	switch (alert) {
	case SSL_AD_CLOSE_NOTIFY:
	case SSL_AD_USER_CANCELLED:
		return; /* that it hangs up is seen as well */
	case SSL_AD_PROTOCOL_VERSION:
		say(tls, "the broker speaks no version of TLS from 1.2 on");
		return;
	case SSL_AD_CERTIFICATE_REQUIRED:
		say(tls, "the broker wants a certificate: set TLS_CERT_FILE and "
			 "TLS_KEY_FILE");
		return;
	default:
		break;
	}
	if (tls->ours[0] == '\0') {
		/* What a broker of TLS 1.2 says that wants a certificate. */
		say(tls, "the broker broke off: %s%s", SSL_alert_desc_string_long(alert),
			alert == SSL_AD_HANDSHAKE_FAILURE
				? "; it may want a certificate (TLS_CERT_FILE)"
				: "");
		return;
	}
	switch (alert) {
	case SSL_AD_CERTIFICATE_REVOKED:
		say_refused(tls, "it is revoked");
		break;
	case SSL_AD_CERTIFICATE_EXPIRED:
		say_refused(tls, "for the broker it, or the list of those revoked, has "
				 "ended (is the broker's clock right?)");
		break;
	case SSL_AD_UNKNOWN_CA:
		say_refused(tls, "the broker does not know who issued it");
		break;
	case SSL_AD_BAD_CERTIFICATE:
		say_refused(tls,
			"for the broker it, or the list of those revoked, is bad or not "
			"valid yet (is the broker's clock right?)");
		break;
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_ACCESS_DENIED:
		say_refused(tls, SSL_alert_desc_string_long(alert));
		break;
	default:
		say(tls, "the broker broke off: %s", SSL_alert_desc_string_long(alert));
	}
}

/* The library takes the errors out of OpenSSL's queue, and says nothing of them. */
static void note_failure(struct dp_mqtt_tls *tls)
{
	unsigned long error = ERR_peek_error();
	if (error == 0 || ERR_GET_LIB(error) != ERR_LIB_SSL)
		return;
	switch (ERR_GET_REASON(error)) {
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		break;
	case SSL_R_UNSUPPORTED_PROTOCOL:
		say(tls, "the broker speaks no version of TLS from 1.2 on");
		break;
	default:
		if (tls->spoke)
			say(tls, "TLS failed: %s", ERR_reason_error_string(error));
		else
			say(tls, "the answer is not TLS: for a port without it the address "
				 "begins with mqtt://");
	}
}

static void on_progress(const SSL *ssl, int where, int value)
{
	struct dp_mqtt_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
	if (state != TLS_ST_BEFORE && state != TLS_ST_CW_CLNT_HELLO)
		tls->spoke = true;
	if (where == SSL_CB_HANDSHAKE_DONE)
		tls->finished = true;
	if (where == SSL_CB_READ_ALERT)
		note_alert(tls, value & 0xff);
	else if (where == SSL_CB_CONNECT_EXIT && value <= 0)
		note_failure(tls);
}

/* ---- from beginning to end ---- */

static void note_ours(struct dp_mqtt_tls *tls, const SSL_CTX *context)
{
	const X509 *cert = SSL_CTX_get0_certificate(context);
	if (cert != NULL)
		dp_certificate_subject(cert, tls->ours, sizeof(tls->ours));
}

SSL_CTX *dp_mqtt_tls_begin(
	struct dp_mqtt_tls *tls, const char *host, const struct dp_tls_files *files)
{
	struct dp_tls_report report;
	*tls = (struct dp_mqtt_tls){.host = host, .files = files};
	SSL_CTX *context = dp_tls_files_load(files, &report);
	if (context == NULL) {
		say(tls, "%s (%s) %s", report.wrong.setting, report.wrong.path,
			report.wrong.words);
		return NULL;
	}
	snprintf(tls->doubts, sizeof(tls->doubts), "%s", report.refusable);
	note_ours(tls, context);
	SSL_CTX_set_app_data(context, tls);
	SSL_CTX_set_cert_verify_callback(context, verify_broker, tls);
	SSL_CTX_set_info_callback(context, on_progress);
	return context;
}

void dp_mqtt_tls_connected(struct dp_mqtt_tls *tls, SSL *ssl)
{
	if (SSL_up_ref(ssl) == 1)
		tls->ssl = ssl;
}

/*
 * A broker of TLS 1.3 that refuses our certificate says so and hangs up, while we take the
 * handshake for finished and send CONNECT. When that fails, the library closes at once, and
 * what the broker said is still to be read.
 */
static void read_last_words(struct dp_mqtt_tls *tls, int fd)
{
	char byte;
	ERR_clear_error();
	if (SSL_set_fd(tls->ssl, fd) == 1)
		(void)SSL_read(tls->ssl, &byte, sizeof(byte)); /* on_progress() hears it */
	ERR_clear_error();
}

const char *dp_mqtt_tls_fault(struct dp_mqtt_tls *tls, int fd)
{
	if (tls->words[0] == '\0' && tls->ssl != NULL && fd >= 0)
		read_last_words(tls, fd);
	if (tls->ssl == NULL)
		return tls->words[0] != '\0' ? tls->words : NULL;
	if (!tls->spoke)
		say(tls, "the broker hung up without a word of TLS: for a port without it "
			 "the address begins with mqtt://");
	else if (!tls->finished)
		say(tls, "the broker hung up while TLS was being agreed on");
	else if (tls->ours[0] != '\0')
		say(tls, NO_ANSWER ": it may refuse our certificate (%s)%s%s", tls->ours,
			tls->doubts[0] != '\0' ? "; " : "", tls->doubts);
	else
		say(tls, NO_ANSWER ": it may want a certificate (TLS_CERT_FILE)");
	return tls->words;
}

void dp_mqtt_tls_end(struct dp_mqtt_tls *tls)
{
	SSL_free(tls->ssl);
	tls->ssl = NULL;
}
