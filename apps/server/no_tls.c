/* no_tls.c - stands in for GnuTLS, which Debian's archive of libmicrohttpd is built with: this server speaks no TLS (a proxy before it does), so none of these
 * is ever called beyond the library's own start, and the program does not link GnuTLS and the dozen libraries below it. Each says that it failed. */
#include <stddef.h>

#define FUNCTIONS(X)                                                                                                                                       \
    X(alpn_set_protocols) X(bye) X(certificate_allocate_credentials) X(certificate_free_credentials) X(certificate_server_set_request)                     \
    X(certificate_set_dh_params) X(certificate_set_retrieve_function2) X(certificate_set_retrieve_function3) X(certificate_set_x509_key_mem)               \
    X(certificate_set_x509_key_mem2) X(certificate_set_x509_trust_mem) X(cipher_get) X(credentials_set) X(deinit) X(dh_params_deinit)                      \
    X(dh_params_import_pkcs3) X(dh_params_init) X(global_deinit) X(global_init) X(handshake) X(init) X(priority_deinit) X(priority_init) X(priority_set)   \
    X(protocol_get_version) X(psk_allocate_server_credentials) X(psk_free_server_credentials) X(psk_set_server_credentials_function)                       \
    X(record_check_pending) X(record_get_direction) X(record_recv) X(record_send) X(session_get_ptr) X(session_set_ptr) X(transport_set_int2)

#define FAILS(name) int gnutls_##name(void); int gnutls_##name(void) { return -1; }
FUNCTIONS(FAILS)

const char *gnutls_strerror(int e);
const char *gnutls_strerror(int e) {
    (void)e;
    return "no TLS";
}
extern void *(*gnutls_malloc)(size_t size);
void *(*gnutls_malloc)(size_t size) = NULL;
