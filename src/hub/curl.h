/* curl.h - libcurl, by dlopen: a program without it runs, and says what is missing when it is to fetch something.
 *
 * The types are those of the header that the program was built with; the functions are found at first use, in libcurl.so.4 of either TLS flavour.
 * The ABI of that name has not broken since 2006. */
#ifndef GLLM_HUB_CURL_H
#define GLLM_HUB_CURL_H
#include <curl/curl.h>

#include "base/error.h"

#define CURL_FUNCTIONS(X)                                                                                                                       \
    X(global_init) X(easy_init) X(easy_setopt) X(easy_getinfo) X(easy_cleanup) X(easy_strerror) X(slist_append) X(slist_free_all) X(multi_init) \
    X(multi_add_handle) X(multi_remove_handle) X(multi_perform) X(multi_info_read) X(multi_poll) X(multi_cleanup)

struct curl_table { /* curl_easy_init is easy_init, and so on */
#define X(name) __typeof__(curl_##name) *name;
    CURL_FUNCTIONS(X)
#undef X
};
/* The same table for ever, from any thread. GLLM_UNSUPPORTED: there is no libcurl, or one without a function that is needed. */
gllm_status curl_open(const struct curl_table **out, gllm_error *err);
#endif
