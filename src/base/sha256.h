/* sha256.h - SHA-256 (FIPS 180-4), a piece at a time. */
#ifndef GLLM_BASE_SHA256_H
#define GLLM_BASE_SHA256_H
#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};
void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_hex(const struct sha256 *s, char out[65]); /* of the bytes so far, in lower case; more may follow */
#endif
