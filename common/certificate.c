#include "certificate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/x509v3.h>

/* As much of it as fits, in whole characters of UTF-8. */
static void copy_text(const char *text, size_t len, char *out, size_t size)
{
	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		out[i] = c < 0x20 || c == 0x7f || c == '"' || c == '\\' ? '?' : text[i];
	}
	out[len] = '\0';
}

static void print_name(const X509_NAME *name, char *out, size_t size)
{
	char *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	out[0] = '\0';
	if (bio == NULL)
		return;
	X509_NAME_print_ex(
		bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	long len = BIO_get_mem_data(bio, &text);
	if (len > 0)
		copy_text(text, (size_t)len, out, size);
	BIO_free(bio);
	if (out[0] == '\0')
		snprintf(out, size, "%s", "without a name");
}

void dp_certificate_subject(const X509 *cert, char *out, size_t size)
{
	print_name(X509_get_subject_name(cert), out, size);
}

void dp_certificate_issuer(const X509 *cert, char *out, size_t size)
{
	print_name(X509_get_issuer_name(cert), out, size);
}

/* One entry of subjectAltName, or nothing when it is no host. */
static void print_host(const GENERAL_NAME *entry, char *out, size_t size)
{
	int type;
	char address[INET6_ADDRSTRLEN] = "";
	const ASN1_STRING *value = GENERAL_NAME_get0_value(entry, &type);
	out[0] = '\0';
	if (type != GEN_DNS && type != GEN_IPADD)
		return;
	const unsigned char *bytes = ASN1_STRING_get0_data(value);
	size_t len = (size_t)ASN1_STRING_length(value);
	if (type == GEN_DNS)
		copy_text((const char *)bytes, len, out, size);
	else if ((len == 4 || len == 16) && inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes,
						    address, sizeof(address)) != NULL)
		snprintf(out, size, "%s", address);
}

void dp_certificate_hosts(const X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;
	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char host[80];
		print_host(sk_GENERAL_NAME_value(names, i), host, sizeof(host));
		size_t separator = used > 0 ? 2 : 0;
		if (host[0] == '\0' || used + separator + strlen(host) >= size)
			continue;
		used += (size_t)snprintf(
			out + used, size - used, "%s%s", used > 0 ? ", " : "", host);
	}
	GENERAL_NAMES_free(names);
	if (used == 0)
		dp_certificate_subject(cert, out, size);
}

static void print_date(const struct tm *date, char out[DP_CERTIFICATE_DATE_MAX])
{
	if (strftime(out, DP_CERTIFICATE_DATE_MAX, "%Y-%m-%d", date) == 0)
		snprintf(out, DP_CERTIFICATE_DATE_MAX, "%s", "an odd date");
}

void dp_certificate_date(const ASN1_TIME *time, char out[DP_CERTIFICATE_DATE_MAX])
{
	struct tm date = {.tm_year = 0};
	if (ASN1_TIME_to_tm(time, &date) == 1)
		print_date(&date, out);
	else
		snprintf(out, DP_CERTIFICATE_DATE_MAX, "%s", "an odd date");
}

void dp_certificate_day(int64_t seconds, char out[DP_CERTIFICATE_DATE_MAX])
{
	struct tm date;
	time_t time = (time_t)seconds;
	if (gmtime_r(&time, &date) != NULL)
		print_date(&date, out);
	else
		snprintf(out, DP_CERTIFICATE_DATE_MAX, "%s", "an odd date");
}

int dp_certificate_age(const X509 *cert, int64_t seconds)
{
	time_t time = (time_t)seconds;
	/* 0, a date that cannot be read, is left to who verifies the certificate. */
	if (X509_cmp_time(X509_get0_notBefore(cert), &time) > 0)
		return -1;
	time = (time_t)seconds;
	return X509_cmp_time(X509_get0_notAfter(cert), &time) < 0 ? 1 : 0;
}
