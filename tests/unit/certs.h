/* Certificates made for one test, as files of its directory. */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "clock.h"
#include "support.h"

#define ALWAYS_FROM "19700101000000Z"
#define ALWAYS_TO "99991231235959Z"

/* A certificate and its key; an authority where others are issued by it. */
struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

struct issue {
	const char *name;      /* of CN */
	const struct pair *by; /* NULL: itself */
	const char *from, *to; /* NULL: always */
	const char *usage;     /* of extendedKeyUsage, NULL: none */
	const char *hosts;     /* of subjectAltName, NULL: none */
	bool authority;
	int rsa_bits; /* 0: an elliptic curve */
};

static inline void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	require(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static inline struct pair make_pair(const struct issue *issue)
{
	struct pair pair = {.cert = X509_new()};
	pair.key = issue->rsa_bits > 0 ? EVP_RSA_gen((unsigned)issue->rsa_bits)
				       : EVP_EC_gen("P-256");
	require(pair.cert != NULL && pair.key != NULL);
	const struct pair *by = issue->by != NULL ? issue->by : &pair;
	X509_set_version(pair.cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(pair.cert), 1);
	ASN1_TIME_set_string(X509_getm_notBefore(pair.cert),
		issue->from != NULL ? issue->from : ALWAYS_FROM);
	ASN1_TIME_set_string(
		X509_getm_notAfter(pair.cert), issue->to != NULL ? issue->to : ALWAYS_TO);
	require(X509_NAME_add_entry_by_NID(X509_get_subject_name(pair.cert), NID_commonName,
			MBSTRING_UTF8, (const unsigned char *)issue->name, -1, -1, 0) == 1);
	X509_set_issuer_name(pair.cert, X509_get_subject_name(by->cert));
	X509_set_pubkey(pair.cert, pair.key);
	add_extension(pair.cert, NID_basic_constraints,
		issue->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (issue->usage != NULL)
		add_extension(pair.cert, NID_ext_key_usage, issue->usage);
	if (issue->hosts != NULL)
		add_extension(pair.cert, NID_subject_alt_name, issue->hosts);
	require(X509_sign(pair.cert, by->key, EVP_sha256()) > 0);
	return pair;
}

static inline void free_pair(struct pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
	*pair = (struct pair){.cert = NULL};
}

/* How a key is written. */
enum key_form { KEY_NONE, KEY_PKCS8, KEY_TRADITIONAL, KEY_ENCRYPTED, KEY_ENCRYPTED_OLD };

static inline int print_key(BIO *out, EVP_PKEY *key, enum key_form form)
{
	char passphrase[] = "geheim";
	switch (form) {
	case KEY_NONE:
		return 1;
	case KEY_PKCS8:
		return PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	case KEY_TRADITIONAL:
		return PEM_write_bio_PrivateKey_traditional(
			out, key, NULL, NULL, 0, NULL, NULL);
	case KEY_ENCRYPTED:
		return PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_256_cbc(),
			passphrase, (int)strlen(passphrase), NULL, NULL);
	case KEY_ENCRYPTED_OLD:
		return PEM_write_bio_PrivateKey_traditional(out, key, EVP_aes_256_cbc(),
			(unsigned char *)passphrase, (int)strlen(passphrase), NULL, NULL);
	}
	return 0;
}

/* Certificates, and then a key in this form, into DIRECTORY/NAME, whose path it returns. */
static inline const char *write_pem(char path[PATH_SIZE + 32], const char *directory,
	const char *name, X509 *const *certs, size_t n, EVP_PKEY *key, enum key_form form)
{
	snprintf(path, PATH_SIZE + 32, "%s/%s", directory, name);
	BIO *out = BIO_new_file(path, "w");
	require(out != NULL);
	for (size_t i = 0; i < n; i++)
		require(PEM_write_bio_X509(out, certs[i]) == 1);
	require(print_key(out, key, form) == 1);
	BIO_free(out);
	require(chmod(path, 0600) == 0);
	return path;
}

/* A clock that says what the test does. */
static inline int64_t certs_wall_us(void *data)
{
	return *(int64_t *)data * 1000000;
}

static inline int64_t certs_boot_ns(void *data)
{
	(void)data;
	return 0;
}

static inline int certs_synchronised(void *data)
{
	(void)data;
	return 1;
}

static inline struct dp_clock clock_at(int64_t *seconds)
{
	return (struct dp_clock){.wall_us = certs_wall_us,
		.boot_ns = certs_boot_ns,
		.synchronised = certs_synchronised,
		.data = seconds};
}

#endif
