#include "hub/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static const char *const LIBRARIES[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib"};

/* Set once, by load. It is never closed: TLS libraries leave handlers that run at exit. */
static struct curl_table table;
static char lacking[256]; /* why there is none; "" */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *library = NULL;
    for (unsigned i = 0; i < sizeof LIBRARIES / sizeof *LIBRARIES && !library; i++) library = dlopen(LIBRARIES[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(lacking, sizeof lacking, "found no libcurl.so.4, which fetches models; install it (Debian: apt-get install libcurl4)");
        return;
    }
#define X(name)                                                              \
    *(void **)&table.name = dlsym(library, "curl_" #name);                   \
    if (!table.name) snprintf(lacking, sizeof lacking, "libcurl has no curl_" #name ", expected version 7.66 or newer");
    CURL_FUNCTIONS(X)
#undef X
    if (!*lacking && table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) snprintf(lacking, sizeof lacking, "libcurl does not start");
}

gllm_status curl_open(const struct curl_table **out, gllm_error *err) {
    pthread_once(&once, load);
    *out = &table;
    return *lacking ? err_set(err, GLLM_UNSUPPORTED, "%s", lacking) : GLLM_OK;
}
