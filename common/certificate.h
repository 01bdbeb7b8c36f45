/* A certificate in words: whose it is, who issued it, from when to when. */
#ifndef DP_CERTIFICATE_H
#define DP_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#define DP_CERTIFICATE_DATE_MAX 16 /**< a date in words, with its NUL */

/*
 * All of them write a text that fits, cut where it does not. What could end a quoted text
 * of the log is a question mark: a certificate may be a stranger's.
 */

/** Such as `CN=orangepi0`. */
void dp_certificate_subject(const X509 *cert, char *out, size_t size);

/** The same of who issued it. */
void dp_certificate_issuer(const X509 *cert, char *out, size_t size);

/** What hosts it is for, such as `broker.example.org, 192.168.0.10`. */
void dp_certificate_hosts(const X509 *cert, char *out, size_t size);

/** Such as `2026-11-30`. */
void dp_certificate_date(const ASN1_TIME *time, char out[DP_CERTIFICATE_DATE_MAX]);
void dp_certificate_day(int64_t seconds, char out[DP_CERTIFICATE_DATE_MAX]);

/** @return -1 not valid yet then, 0 valid, 1 it has ended */
int dp_certificate_age(const X509 *cert, int64_t seconds);

#endif
